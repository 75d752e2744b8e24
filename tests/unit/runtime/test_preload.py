"""Import statements of a function, found the same way whatever Python looks for them."""

import pytest

from runtime.preload import MOST_SOURCE_BYTES, MOST_STATEMENTS, local_names, statements_of
from storage.blocks import MemoryBlockStore
from storage.unixfs_import import Importer
from storage.unixfs_read import UnixfsReader
from storage.unixfs_tree import TreeBuilder


def source(files):
    """Store a function's directory and return a reader with its CID."""
    store = MemoryBlockStore()
    tree = TreeBuilder(Importer(store))
    for name, text in files.items():
        tree.add_file(name, text if isinstance(text, bytes) else text.encode())
    return UnixfsReader(store), tree.finish().cid


def found(text, **files):
    return statements_of(*source({"function.py": text, **files}))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import pandas", [("pandas", ())]),
        ("import pandas as pd, io  # both\n", [("pandas", ()), ("io", ())]),
        ("import os.path\r\nimport json\r\n", [("os.path", ()), ("json", ())]),
        ("from PIL import Image", [("PIL", ("Image",))]),
        ("from a.b import c as d, e", [("a.b", ("c", "e"))]),
        ("from a import (  # why\n    b,  # this\n    c as d,\n)\nx = (1, 2)", [("a", ("b", "c"))]),
        ("from a import *", [("a", ())]),
        ("import a; import b", [("a", ())]),
        ("import a\nimport a", [("a", ())]),
        ("def main():\n    import late", []),
        ("try:\n    import maybe\nexcept ImportError: pass", []),
        ("from . import x\nfrom .y import z", []),
        ("important = 1\nfromage = 2\nimport1 = 3", []),
        ("import \u00e9t\u00e9", []),
        ("x = '''\nimport quoted\n'''", [("quoted", ())]),
        ("from a import (b", [("a", ("b",))]),
        ("", []),
    ],
)
def test_statements(text, expected):
    assert list(found(text)) == expected


def test_the_functions_own_modules_are_followed_and_not_returned():
    text = "import one\nimport package.part\nimport numpy\nfrom function import main\nimport json"
    files = {"one.py": "import csv\nimport two", "two.py": "import one, re", "package/__init__.py": "import gzip"}
    assert [module for module, _ in found(text, **files)] == ["csv", "re", "gzip", "numpy", "json"]
    assert local_names(*source({"function.py": text, **files})) == {"one", "two", "package"}


def test_a_module_that_is_there_in_name_only_is_passed_over():
    assert found("import data\nimport csv", **{"data/table.csv": "1"}) == (("csv", ()),)


def test_bounds():
    many = "\n".join(f"import m{number}" for number in range(MOST_STATEMENTS + 9))
    assert len(found(many)) == MOST_STATEMENTS
    assert found("import csv\n" + "#" * MOST_SOURCE_BYTES) == ()
    assert found(b"import csv\n\xff\xfe\nimport json") == (("csv", ()), ("json", ()))

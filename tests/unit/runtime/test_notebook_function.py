import json

import pytest

from runtime.notebook_function import advice, check_parameters, function_files, parameters_of
from runtime.preload import statements_of
from runtime.source_check import check_entry, parse
from runtime.source_import import Source, import_source
from storage.blocks import MemoryBlockStore
from storage.errors import UserError
from storage.unixfs_read import UnixfsReader
from tests.unit.runtime.test_notebook_file import code, node, read  # noqa: F401  a fixture


@pytest.fixture
def notebook(read):  # noqa: F811
    def call(*cells, **metadata):
        return read(node(*(code(one) if isinstance(one, str) else one for one in cells), **metadata))

    return call


def test_the_files_are_an_ordinary_function(notebook):
    files = function_files(notebook("# requirements: pandas==3.0.2\nimport pandas as pd", "import re, IPython"), None)
    assert {"function.py", "notebook.json", "_cells/2.json", "requirements.txt", "_notebook/runner.py"} <= set(files)
    assert files["requirements.txt"] == b"pandas==3.0.2\n"
    module = parse(files["function.py"], "function.py")
    check_entry(module, entry="main", args=["n"], where="function.py")
    store = MemoryBlockStore()
    source = import_source(Source(files=tuple(sorted(files.items())), where=""), store)
    assert statements_of(UnixfsReader(store), source) == (("pandas", ()), ("re", ()))


def test_the_same_cells_are_the_same_function(notebook):
    first = function_files(notebook(code("x = 1", outputs=[], execution_count=7)), None)
    second = function_files(notebook(code("x = 1", id="zz", metadata={"scrolled": True})), None)
    other = function_files(notebook("x = 2"), None)
    assert first == second
    assert {path for path in first if first[path] != other[path]} == {"_cells/1.json"}


def test_a_cell_is_refused_with_its_number(notebook):
    with pytest.raises(UserError) as refused:
        function_files(notebook("x = 1", "", "!ls"), None)
    assert "n.ipynb code cell 2: there is no shell" in str(refused.value)


def test_what_names_the_packages(notebook):
    own = notebook("%pip install a", bacalhau={"requirements": ["b", "c"]})
    assert function_files(own, None)["requirements.txt"] == b"b\nc\n"
    assert function_files(own, b"d\n")["requirements.txt"] == b"d\n"
    assert function_files(notebook("%pip install a"), None)["requirements.txt"] == b"a\n"
    with pytest.raises(UserError, match="-r"):
        function_files(notebook("%pip install -r x.txt"), None)
    with pytest.raises(UserError, match="code cell 2: packages are named in the first"):
        function_files(notebook("x = 1", "%pip install a"), None)


def test_advice_where_imports_have_no_packages(notebook):
    bare = notebook("import json, sklearn.svm\nfrom PIL import Image", "from IPython.display import HTML")
    said = advice(bare, function_files(bare, None))
    assert said.endswith("write `# requirements: scikit-learn, pillow` into its first code cell, or use -r")
    assert advice(bare, function_files(bare, b"pillow\n")) == ""
    plain = notebook("import json")
    assert advice(plain, function_files(plain, None)) == ""


def test_parameters(notebook):
    cell = code("n = 1\nname: str = 'x'\nn == 2\nn = 3  # again\nprint(sep='')\n", metadata={"tags": ["parameters"]})
    tagged = notebook(cell)
    assert parameters_of(tagged) == ("n", "name")
    check_parameters(tagged, ["n=5", "name=word"])
    for given, said in (
        (["sep=1"], "no parameter 'sep'"),
        (["nome=1"], "no parameter 'nome'; did you mean 'name'?"),
        (["x=1", "y=2"], "no parameter 'x', 'y'; it has: n, name"),
        (["n"], "-p n=20"),
        (["n=1", "n=2"], "given twice"),
    ):
        with pytest.raises(UserError) as refused:
            check_parameters(tagged, given)
        assert said in str(refused.value)
        assert "--arg" not in str(refused.value)
    with pytest.raises(UserError, match="no cell that is tagged 'parameters'"):
        check_parameters(notebook("n = 1"), ["n=2"])
    check_parameters(notebook("n = 1"), [])


def test_a_function_has_room_for_code_only(notebook):
    with pytest.raises(UserError, match="more than 10 MiB"):
        function_files(notebook(f"x = '{'a' * (11 << 20)}'"), None)


def test_nothing_of_a_cell_breaks_the_entry_point(notebook):
    files = function_files(notebook('import os\n"""\nimport evil"""\nfrom a import (b, """)\nx = """\n"""'), None)
    compile(files["function.py"], "function.py", "exec")
    compile(files["_imports.py"], "_imports.py", "exec")
    assert json.loads(files["_cells/1.json"])

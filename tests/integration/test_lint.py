"""What lint says of the guest is so: asked of the guest itself."""

import json
import sys

import pytest

from runtime.guest_grammar import ask_guest
from runtime.lint.known_calls import ABSENT, BRIDGE
from runtime.lint.linter import lint
from runtime.npm_client import pyodide_package
from runtime.source_check import SyntaxProblem
from runtime.source_import import read_source
from tests.unit.functions.test_inputs import FUNCTIONS

pytestmark = pytest.mark.integration

ASK = """
import importlib, json, signal, sys, threading, subprocess, socket, os

def outcome(act):
    try: act()
    except BaseException as error: return type(error).__name__
    return "done"

def main(data, absent, bridge):
    return {
        "absent": [name for name in absent if outcome(lambda: importlib.import_module(name)) != "ModuleNotFoundError"],
        "bridge": [name for name in bridge if outcome(lambda: importlib.import_module(name)) != "ModuleNotFoundError"],
        "standard": sorted(name for name in sys.stdlib_module_names if not name.startswith("_")
                           and name not in ("antigravity", "this") and name not in absent
                           and outcome(lambda: importlib.import_module(name)) == "ModuleNotFoundError"),
        "alarm": hasattr(signal, "alarm") or hasattr(signal, "setitimer"),
        "thread": outcome(lambda: threading.Thread(target=print).start()),
        "process": outcome(lambda: subprocess.run(["ls"])),
        "socket": outcome(socket.socket),
        "input": outcome(input),
        "elsewhere": outcome(lambda: open("/data.csv", "w")),
        "platform": [sys.platform, os.name, __name__],
    }
"""


def test_the_guest_refuses_what_lint_says_it_refuses(house):
    args = (f"absent={json.dumps(sorted(ABSENT))}", f"bridge={json.dumps(sorted(BRIDGE))}")
    asked = house.run(ASK, args=args)
    assert asked.exit_code == 0, asked.stderr
    assert json.loads(asked.result) == {
        "absent": [], "bridge": [], "standard": ["pydoc_data"], "alarm": False, "thread": "RuntimeError",
        "process": "OSError", "socket": "OSError", "input": "EOFError", "elsewhere": "PermissionError",
        "platform": ["emscripten", "posix", "function"],
    }  # fmt: skip


@pytest.mark.parametrize("path", sorted(FUNCTIONS.rglob("function.py")), ids=lambda path: path.parent.name)
def test_our_own_functions_have_no_more_than_notes(path):
    report = lint(read_source(path.parent, None, None), entry="main", knowledge=None)
    assert report.verdict in ("clean", "findings")
    assert {one.level.value for one in report.findings} <= {"note"}


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="this Python knows the guest's grammar, and asks nobody")
def test_the_guest_says_what_parses(house):
    package = pyodide_package(house.home / "cache")
    wrong, new = b"def main(data):\n    return (\n", b"def main(data):\n    return t'{data}'\n"
    said, fine = (ask_guest(content, package, store=house.store, engine=house.engine) for content in (wrong, new))
    assert (said.problem, said.is_known) == (SyntaxProblem(line=2, message="'(' was never closed"), True)
    assert (fine.problem, fine.is_known) == (None, True)

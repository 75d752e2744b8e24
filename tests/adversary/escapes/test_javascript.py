"""JavaScript from Python: five layers, each taken away in turn, and what stands behind the last."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.engine import UndeterminedError
from tests.adversary.escapes.attempt import Attempt, Ending, alone, javascript, met_by, same_worker, together
from tests.adversary.escapes.cases.javascript import ENDINGS, FOUND, IMPORTS

pytestmark = pytest.mark.integration

NO_CODE = "EvalError: Code generation from strings disallowed for this context"
NO_OBJECT = "JsException: TypeError: Cannot read properties of null (reading '__name__')"


def test_nothing_in_python_leads_there(house: Any) -> None:
    attempts = IMPORTS + FOUND
    assert met_by(house.run(together(attempts))) == {attempt.name: attempt.met for attempt in attempts}


@pytest.mark.parametrize("case", ENDINGS, ids=lambda case: case.name)
def test_what_is_reached_all_the_same_ends_the_run(house: Any, case: Ending) -> None:
    outcome = house.run(alone(case.code))
    assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (case.exit_code, "begun\n", "")


USE = "import pyodide.ffi; print('imported', flush=True); pyodide.ffi.to_js([1])"


def test_without_the_seal_the_gate_refuses(without: Any) -> None:
    """The bridge's modules can be imported, which is the control; the first use of one ends the run."""
    outcome = without("seal").run(alone(USE))
    assert (outcome.exit_code, outcome.stdout) == (139, "begun\nimported\n")


POLLUTED = "import pyodide.ffi; return hasattr(pyodide.ffi.to_js([]).concat, 'polluted')"
BRIDGE = (
    Attempt(name="polluted before", code=POLLUTED, met="returned False"),
    Attempt(name="control", code="import pyodide.ffi; return pyodide.ffi.to_js([1, 2]).length", met="returned 2"),
    Attempt(
        name="climb from an array",
        code="import pyodide.ffi; pyodide.ffi.to_js([1]).constructor.constructor('return process')()",
        met=f"JsException: {NO_CODE}",
    ),
    Attempt(
        name="climb from the module",
        code="import pyodide_js; pyodide_js.constructor.constructor('return process')()",
        met=f"JsException: {NO_CODE}",
    ),
    Attempt(
        name="climb from a method",
        code="import pyodide.ffi; pyodide.ffi.to_js([1]).push.constructor('return 1')()",
        met=f"JsException: {NO_CODE}",
    ),
    Attempt(
        name="climb from an exception",
        code="""
            import pyodide.ffi
            try: pyodide.ffi.to_js([1]).reduce(1)
            except pyodide.ffi.JsException as error: error.constructor.constructor("return process")()
            """,
        met=f"JsException: {NO_CODE}",
    ),
    Attempt(
        name="run_js",
        code="from pyodide.code import run_js; run_js('1')",
        met="ImportError: cannot import name 'eval' from 'js' (unknown location)",
    ),
    Attempt(name="process", code="import js; js.process", met="AttributeError: process"),
    Attempt(name="globalThis", code="import js; js.globalThis", met="AttributeError: globalThis"),
    Attempt(
        name="Node's files",
        code="""
            import pyodide.ffi, pyodide_js
            root = pyodide.ffi.to_js({"root": "/"}, dict_converter=pyodide_js.constructor.fromEntries)
            pyodide_js.FS.mount(pyodide_js.FS.filesystems.NODEFS, root, "/tmp")
            """,
        met="JsException: TypeError: Cannot read properties of undefined (reading 'lstatSync')",
    ),
    Attempt(
        name="pollute",
        code="import pyodide.ffi; pyodide.ffi.to_js([1]).constructor.constructor.prototype.polluted = 1",
        met="returned None",
    ),
    Attempt(name="polluted now", code=POLLUTED, met="returned True"),
)


_PROXY = "import pyodide.ffi; proxy = pyodide.ffi.create_proxy(len)\n"
RESTORED = (
    Attempt(name="control", code=f"{_PROXY}return proxy.constructor.constructor.name", met="returned 'Function'"),
    Attempt(
        name="climb from a proxy",
        code="""
            import pyodide.ffi
            proxy = pyodide.ffi.create_proxy(len)
            try: proxy.constructor.constructor("return process")()
            except SystemError as error: return str(error.__cause__)
            """,
        met=f"returned '{NO_CODE}'",
    ),
    Attempt(name="a module of the bridge", code="import js", met=NO_OBJECT),
)
"""What is left of the bridge in an instance that was restored: no image holds its objects of JavaScript."""

BRIDGES = ((), RESTORED), (("restoring",), BRIDGE)


@pytest.mark.parametrize(("lost", "attempts"), BRIDGES, ids=["restored", "booted"])
def test_without_seal_and_gate_no_code_is_made_and_the_realm_is_empty(without: Any, lost: Any, attempts: Any) -> None:
    """Prototypes can be changed; behind that is the process, which then ends: the next finds them clean."""
    house = without("seal", "gate", *lost)
    plan = house.plan(together(attempts))
    for _ in range(2):
        assert met_by(house.execute(plan)) == {attempt.name: attempt.met for attempt in attempts}


POLLUTE = """
import pyodide.ffi
def main(data):
    changed = pyodide.ffi.create_proxy(len).constructor
    found, changed.polluted = changed.polluted, 7
    return found
"""


@pytest.mark.parametrize("lost", ["asking", "references"])
def test_a_worker_in_which_javascript_was_changed_is_not_used_again(without: Any, lost: str) -> None:
    """One look is enough: whether something was asked for, or what the bridge's tables hold."""
    house = without("seal", "gate", lost)
    plan = house.plan(POLLUTE)
    first, second = house.execute(plan), house.execute(plan)
    assert (first.exit_code, first.result, second.result) == (0, "", "")
    assert not same_worker(first, second)


def test_without_both_looks_the_change_is_found(without: Any) -> None:
    """The control of the one before."""
    house = without("seal", "gate", "asking", "references")
    plan = house.plan(POLLUTE)
    assert [house.execute(plan).result for _ in range(2)] == ["", "7"]


def test_without_the_gate_the_script_calls_are_refused_by_themselves(without: Any) -> None:
    """The control is a call that only the gate refuses."""
    outcome = without("gate").run(alone("LIB.emscripten_console_log(b'x'); print('past', flush=True); evaluate('1')"))
    assert (outcome.exit_code, outcome.stdout) == (139, "begun\npast\n")


def test_without_gate_and_refusals_the_engine_makes_no_code(without: Any) -> None:
    with pytest.raises(UndeterminedError, match=NO_CODE):
        without("gate", "scripts").run(alone("evaluate('40 + 2')"))


HOSTS = (
    "process",
    "require",
    "module",
    "fetch",
    "WebSocket",
    "XMLHttpRequest",
    "Worker",
    "Buffer",
    "navigator",
    "door",
)
REALM = {
    "control": "40 + 2",
    "names": f"{json.dumps(HOSTS)}.filter((name) => name in globalThis)",
    "typeof": "[typeof process, typeof require, typeof module, typeof fs]",
    "function": "[].push.constructor('return typeof process')()",
    "mount": "FS.mount(NODEFS, {root: '/'}, '/tmp')",
    "compile": "Object.getOwnPropertyNames(WebAssembly).filter((name) => /compile|instantiate/.test(name))",
    "module": "new WebAssembly.Module(new Uint8Array(5000))",
}


def test_with_all_code_allowed_the_realm_holds_nothing_of_the_host(without: Any) -> None:
    met = javascript(without("gate", "scripts", "code-generation"), REALM)
    assert met == {
        "control": "42",
        "names": "",
        "typeof": "undefined,undefined,undefined,undefined",
        "function": "undefined",
        "mount": "threw TypeError: Cannot read properties of undefined (reading 'lstatSync')",
        "compile": "",
        "module": "threw CompileError: side modules are loaded from the function's wheels only",
    }

"""JavaScript from Python: five layers, each taken away in turn, and what stands behind the last."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.engine import UndeterminedError
from tests.adversary.escapes.attempt import Attempt, Ending, alone, javascript, met_by, together
from tests.adversary.escapes.cases.javascript import ENDINGS, FOUND, IMPORTS

pytestmark = pytest.mark.integration

NO_CODE = "EvalError: Code generation from strings disallowed for this context"


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


TO_JS = "SystemError: <built-in function to_js> returned a result with an exception set"
NOT_THERE = "JsException: TypeError: Cannot read properties of null (reading '{}')"
BRIDGE = (
    Attempt(name="to an object", code="import pyodide.ffi; return pyodide.ffi.to_js([1, 2]).length", met=TO_JS),
    Attempt(
        name="climb from an array",
        code="import pyodide.ffi; pyodide.ffi.to_js([1]).constructor.constructor('return process')()",
        met=TO_JS,
    ),
    Attempt(
        name="climb from the module",
        code="import pyodide_js; pyodide_js.constructor.constructor('return process')()",
        met="AttributeError: 'NoneType' object has no attribute 'constructor'",
    ),
    Attempt(
        name="run_js",
        code="from pyodide.code import run_js; run_js('1')",
        met=NOT_THERE.format("__name__"),
    ),
    Attempt(name="globalThis", code="import js; js.globalThis", met=NOT_THERE.format("__loader__")),
    Attempt(name="process", code="import js; js.process", met=NOT_THERE.format("__package__")),
    Attempt(
        name="Node's files",
        code="""
            import pyodide.ffi, pyodide_js
            root = pyodide.ffi.to_js({"root": "/"}, dict_converter=pyodide_js.constructor.fromEntries)
            pyodide_js.FS.mount(pyodide_js.FS.filesystems.NODEFS, root, "/tmp")
            """,
        met="AttributeError: 'NoneType' object has no attribute 'fromEntries'",
    ),
)


def test_without_seal_and_gate_an_image_holds_nothing_that_the_bridge_could_lead_to(without: Any) -> None:
    """Its modules are there and their calls pass, which is the control; objects of JavaScript are in no image."""
    house = without("seal", "gate")
    plan = house.plan(together(BRIDGE))
    for _ in range(2):
        assert met_by(house.execute(plan)) == {attempt.name: attempt.met for attempt in BRIDGE}


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

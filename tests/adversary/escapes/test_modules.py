"""Compiled code of strangers: refused by what it holds, by where it lies, by its bytes, by what it calls."""

from __future__ import annotations

from typing import Any, Final

import pytest

import js_host
from runtime.engine import UndeterminedError
from storage.errors import UserError
from tests.adversary.escapes.attempt import alone, met_by, together
from tests.adversary.escapes.cases.modules import (
    ADMITTED,
    CHANGED,
    EM_JS,
    FUEL,
    FUEL_OF_A_START,
    GOOD,
    LOAD_MADE,
    MADE,
    OBJECTS,
    REFUSED,
    REFUSING,
    RUN,
    SCRIPT,
    TELL,
    USE,
    WRITE_TOO_MUCH,
    WRITER,
    Admitted,
    Refused,
    catching,
)
from tests.adversary.escapes.side_module import wheel, with_wheel
from tests.integration.conftest import House, Outcome

pytestmark = pytest.mark.integration

NOT_LOADED: Final = " is not a module that can be loaded\n"
"""All that Python is told; which layer refused is what the next control shows, where that one is gone."""

GLUE: Final = js_host.npm_manifest_dir() / "node_modules" / "pyodide"


def run(house: House, module: bytes, code: str = RUN, **request: Any) -> Outcome:
    """Run with a wheel that holds the module."""
    plan = house.plan(alone(code), **request)
    return house.execute(with_wheel(plan, wheel({"evil/x.so": module}), house.store))


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_the_rewriter_refuses(house: Any, case: Refused) -> None:
    with pytest.raises(UserError) as caught:
        run(house, case.module)
    assert caught.value.problem.startswith(f"its module evil/x.so is refused: {case.problem}")


@pytest.mark.parametrize("case", ADMITTED, ids=lambda case: case.name)
def test_what_is_admitted_calls_nothing_of_the_host(house: Any, case: Admitted) -> None:
    outcome = run(house, case.module, fuel=FUEL_OF_A_START if case.exit_code == 152 else None)
    assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (case.exit_code, case.stdout, "")


def test_a_module_that_catches_refusals_is_refused_all_the_same(house: Any) -> None:
    names = tuple(name for name in REFUSING if name in (GLUE / "pyodide.asm.mjs").read_text("utf-8"))
    assert len(names) > 15
    assert run(house, catching("env", names), TELL % len(names)).result == str([1] * len(names)).replace(" ", "")


def test_without_the_gate_what_it_alone_refuses_can_be_called(without: Any) -> None:
    """The scripts are refused by themselves then, and names of JavaScript's objects by the table."""
    names = ("emscripten_console_log", "emscripten_run_script_int", *OBJECTS)
    module = catching("wasi_snapshot_preview1", names)
    assert run(without("gate"), module, TELL % len(names)).result == str([0] + [1] * (len(names) - 1)).replace(" ", "")


def test_output_over_the_limit_is_so_for_a_module_that_catches(house: Any) -> None:
    assert run(house, WRITER, WRITE_TOO_MUCH, memory="2Gb").exit_code == 153


def test_with_code_allowed_a_module_s_script_runs(without: Any) -> None:
    """The control of the refusals above."""
    assert run(without("gate", "scripts", "code-generation"), SCRIPT).stdout == "begun\n42\n"


def test_without_the_rewriter_s_refusals_the_engine_makes_no_code(without: Any) -> None:
    outcome = run(without("refusals"), EM_JS)
    assert outcome.exit_code == 1
    assert outcome.stderr.endswith(NOT_LOADED)


def test_with_code_allowed_the_loader_makes_a_module_s_script(without: Any) -> None:
    """The control of the one before; the realm that it would run in is that of test_javascript."""
    assert run(without("refusals", "code-generation"), EM_JS).stdout == "begun\n7\n"


def test_without_the_rewriter_s_refusals_the_parent_refuses_what_was_spent(without: Any) -> None:
    with pytest.raises(UndeterminedError, match="last frame is malformed: fuel -"):
        run(without("refusals"), FUEL)


def test_modules_that_the_function_makes_are_not_loaded(house: Any) -> None:
    assert met_by(house.run(together(MADE))) == {attempt.name: attempt.met for attempt in MADE}


def test_a_module_changed_in_memory_is_read_from_its_file(house: Any) -> None:
    assert run(house, GOOD, CHANGED + USE).stdout == "begun\n1\n7\n"


def test_without_the_rule_of_places_and_without_reading_again_the_bytes_are_not_admitted(without: Any) -> None:
    outcome = run(without("places", "rereading"), GOOD, CHANGED + LOAD_MADE)
    assert outcome.stdout == "begun\n0\n"
    assert outcome.stderr.endswith(NOT_LOADED)


def test_without_admission_they_run(without: Any) -> None:
    """The control. What they could call is what a module from a wheel can call."""
    outcome = run(without("places", "rereading", "admission"), GOOD, CHANGED + USE + LOAD_MADE)
    assert outcome.stdout == "begun\n1\n8\n7\n"

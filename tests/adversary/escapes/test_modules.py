"""Compiled code of strangers: refused by what it holds, by where it lies, by its bytes, by what it calls."""

from __future__ import annotations

from typing import Any

import pytest

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
    REFUSED,
    RUN,
    SCRIPT,
    Admitted,
    Refused,
)
from tests.adversary.escapes.side_module import wheel, with_wheel
from tests.integration.conftest import House, Outcome

pytestmark = pytest.mark.integration


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


def test_without_the_refusal_of_scripts_the_engine_makes_no_code(without: Any) -> None:
    outcome = run(without("script-refusals"), EM_JS)
    assert outcome.exit_code == 1
    assert outcome.stderr.endswith("EvalError: Code generation from strings disallowed for this context\n")


def test_without_both_the_loader_makes_the_module_s_script(without: Any) -> None:
    """The control of the one before; the realm that it would run in is that of test_javascript."""
    assert run(without("script-refusals", "code-generation"), EM_JS).stdout == "begun\n7\n"


def test_without_the_refusal_of_names_the_parent_refuses_what_was_spent(without: Any) -> None:
    with pytest.raises(UndeterminedError, match="last frame is malformed: fuel -"):
        run(without("name-refusals"), FUEL)


def test_without_the_gate_a_module_s_script_call_is_refused_by_itself(without: Any) -> None:
    assert run(without("gate"), SCRIPT).exit_code == 139


def test_with_code_allowed_it_runs(without: Any) -> None:
    """The control of the one before."""
    assert run(without("gate", "scripts", "code-generation"), SCRIPT).stdout == "begun\n42\n"


def test_modules_that_the_function_makes_are_not_loaded(house: Any) -> None:
    assert met_by(house.run(together(MADE))) == {attempt.name: attempt.met for attempt in MADE}


def test_without_the_rule_of_places_their_bytes_are_not_admitted(without: Any) -> None:
    outcome = without("places").run(alone(LOAD_MADE))
    assert outcome.exit_code == 1
    assert outcome.stderr.endswith("CompileError: side modules are loaded from the function's wheels only\n")


def test_without_both_a_made_module_runs(without: Any) -> None:
    """The control. What it could call is what one from a wheel can call."""
    assert without("places", "admission").run(alone(LOAD_MADE)).stdout == "begun\n7\n"


def test_a_module_changed_in_memory_is_read_from_its_file(house: Any) -> None:
    assert run(house, GOOD, CHANGED).stdout == "begun\n1\n7\n"


def test_without_reading_again_the_changed_bytes_are_not_admitted(without: Any) -> None:
    assert run(without("rereading"), GOOD, CHANGED).stdout == "begun\n0\n"


def test_without_both_the_changed_module_runs(without: Any) -> None:
    """The control."""
    assert run(without("rereading", "admission"), GOOD, CHANGED).stdout == "begun\n1\n8\n"

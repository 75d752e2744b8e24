"""`bacalhau chaos`: exit codes, what is printed, and wrong calls; the trials have tests of their own."""

import pytest

from tests.unit.bacalhau.fakes import FakeEngine, Gave

FEW = ("--factor", "seed", "--factor", "locale")


def engine(says):
    return FakeEngine(lambda _number, plan, _store: Gave(result=repr(says(plan)).encode()))


def varied(plan):
    return "settings" in plan.input.args and "vary" in plan.input.args["settings"]


@pytest.mark.parametrize(("says", "code", "badge"), [
    (lambda _plan: 1, 0, "pure"), (lambda plan: plan.input.seed, 0, "seeded"), (varied, 1, "leaky"),
])  # fmt: skip
def test_the_badge_decides_the_exit_code(desk, says, code, badge):
    desk.engine = engine(says)
    said = desk("chaos", "-c", "print(1)", *FEW, "--json")
    assert (said.code, said.json["badge"]) == (code, badge)
    assert [one["factors"] for one in said.json["factors"]] == [["seed"], ["locale"], ["repetition"]]


def test_a_function_that_fails_is_said_to(desk):
    desk.engine = FakeEngine(lambda *_: Gave(exit_code=1))
    said = desk("chaos", "-c", "print(1)", *FEW)
    assert said.code == 3
    assert "exit code 1" in said.err


def test_text_has_the_badge_first(desk):
    desk.engine = engine(varied)
    lines = desk("chaos", "-c", "print(1)", *FEW).text.splitlines()
    assert lines[0].startswith("leaky: ")
    assert [line.split()[:2] for line in lines[1:]] == [["no", "effect"], ["changes", "it"], ["no", "effect"]]


def test_wrong_calls(desk):
    for call in (["chaos"], ["chaos", "-c", "1", "--factor", "moon"], ["chaos", "-c", "1", "--runs", "0"]):
        assert desk(*call).code == 2, call
    assert "engine bun, repetition" in desk("chaos", "-c", "1", "--factor", "moon").err, "every name is told"

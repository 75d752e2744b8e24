"""Goals: met, missed, not measured, and which of these fail a run."""

from __future__ import annotations

import pytest

from bench.comparison import Row, Side, Unit
from bench.goals import (
    GOALS,
    HUNDRED_SHARDS,
    LARGEST_INPUT,
    MOST_SHARDS,
    SMALL_INPUT,
    Goal,
    Measure,
    Outcome,
    Verdict,
    judge,
    judge_all,
)
from bench.registry import MEASUREMENTS
from bench.scale import full
from bench.size_rows import of_input, of_shards

AT_MOST = Goal(row="row", text="at most 2", measure=Measure.RATIO, against="other", at_most=2)
PER_CORE = Goal(row="row", text="at least 100", measure=Measure.PER_CORE, at_least=100)
GROWTH = Goal(row="row", text="at most 10 more", measure=Measure.GROWTH, against="other", at_most=10)


def _row(ours: float, other: float = 1.0, *, is_reduced: bool = False) -> Row:
    sides = (Side(name="ours", values=(ours,)), Side(name="other", values=(other,)))
    return Row(name="row", unit=Unit.SECONDS, sides=sides, is_reduced=is_reduced)


@pytest.mark.parametrize(
    ("goal", "row", "verdict", "value"),
    [
        (AT_MOST, _row(2.0), Verdict.MET, 2.0),
        (AT_MOST, _row(2.1), Verdict.MISSED, 2.1),
        (PER_CORE, _row(400.0), Verdict.MET, 100.0),
        (PER_CORE, _row(399.0), Verdict.MISSED, 99.75),
        (GROWTH, _row(15.0, 5.0), Verdict.MET, 10.0),
        (GROWTH, _row(16.0, 5.0), Verdict.MISSED, 11.0),
    ],
)
def test_a_value_is_compared_with_its_bound(goal: Goal, row: Row, verdict: Verdict, value: float) -> None:
    outcome = judge(goal, [row], cores=4)
    assert outcome == Outcome(goal=goal, verdict=verdict, value=value)
    assert outcome.fails == (verdict is Verdict.MISSED)


def test_what_was_not_measured_is_not_met() -> None:
    alone = Row(name="row", unit=Unit.SECONDS, sides=(Side(name="ours", values=(1.0,)),))
    for rows in ([], [alone]):
        outcome = judge(AT_MOST, rows, cores=1)
        assert (outcome.verdict, outcome.fails) == (Verdict.NOT_MEASURED, True)


def test_ours_is_not_compared_with_itself() -> None:
    goal = Goal(row="row", text="at most 2", measure=Measure.RATIO, against="ours", at_most=2)
    assert judge(goal, [_row(1.0)], cores=1).verdict is Verdict.NOT_MEASURED


def test_a_miss_at_a_reduced_size_fails_nothing() -> None:
    outcome = judge(AT_MOST, [_row(3.0, is_reduced=True)], cores=1)
    assert (outcome.verdict, outcome.is_reduced, outcome.fails) == (Verdict.MISSED, True, False)


def test_a_goal_about_a_size_is_not_met_by_another() -> None:
    goal = Goal(row="row", text="at most 2", measure=Measure.RATIO, against="other", size="of 10,000", at_most=2)
    assert judge(goal, [_row(1.0)], cores=1).verdict is Verdict.NOT_MEASURED
    reduced = judge(goal, [_row(1.0, is_reduced=True)], cores=1)
    assert (reduced.verdict, reduced.is_reduced) == (Verdict.MET, True)


def test_what_cannot_be_measured_at_a_reduced_size_fails_nothing() -> None:
    row = Row(name="row", unit=Unit.SECONDS, sides=(Side(name="ours", values=(1.0,)),), is_reduced=True)
    assert not judge(AT_MOST, [row], cores=1).fails


def test_the_sizes_of_goals_are_those_of_a_full_run() -> None:
    scale = full(rounds=1)
    assert (of_shards(100), of_shards(scale.shards[-1])) == (HUNDRED_SHARDS, MOST_SHARDS)
    sizes = [of_input(size) for size in scale.stream_bytes]
    assert (sizes[0], sizes[-1]) == (SMALL_INPUT, LARGEST_INPUT)


def test_a_goal_for_information_fails_nothing() -> None:
    goal = Goal(row="row", text="at most 2", measure=Measure.RATIO, against="other", at_most=2, is_binding=False)
    assert not judge(goal, [_row(3.0)], cores=1).fails
    assert not judge(goal, [], cores=1).fails


def test_a_goal_has_one_bound_and_what_its_measure_needs() -> None:
    with pytest.raises(ValueError, match="one bound"):
        Goal(row="row", text="none", measure=Measure.PER_CORE)
    with pytest.raises(ValueError, match="needs another side"):
        Goal(row="row", text="ratio to nothing", measure=Measure.RATIO, at_most=1)


def test_every_goal_is_about_a_row_that_is_measured() -> None:
    rows = {row for measurement in MEASUREMENTS for row in measurement.rows}
    assert {goal.row for goal in GOALS} <= rows
    assert len(judge_all(GOALS, [], cores=1)) == len(GOALS)

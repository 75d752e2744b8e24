"""The goals of the benchmark, and whether a run met them.

A goal that was not measured is not met: it fails a run of all rows, as a missed one does. One that was missed at a
reduced size is told and fails nothing, because it is a goal about another size.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from bench.comparison import Row


class Measure(Enum):
    """What of a row is compared with the bound."""

    RATIO = "ratio"
    """Ours over another side's."""
    PER_CORE = "per core"
    """Ours, divided by the cores."""
    GROWTH = "growth"
    """Ours less another side's."""


class Verdict(Enum):
    """What became of a goal."""

    MET = "met"
    MISSED = "missed"
    NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A bound on one number of one row."""

    row: str
    text: str
    measure: Measure
    against: str | None = None
    """Name of the other side."""
    size: str | None = None
    """Name of our side at the size that the goal is about, where there are several."""
    at_most: float | None = None
    at_least: float | None = None
    is_binding: bool = True
    """A miss fails the benchmark."""

    def __post_init__(self) -> None:
        if (self.at_most is None) == (self.at_least is None):
            raise ValueError(f"{self.text}: one bound, please")
        if (self.against is None) != (self.measure is Measure.PER_CORE):
            raise ValueError(f"{self.text}: a ratio or a growth needs another side, a rate per core has none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A goal with what was measured."""

    goal: Goal
    verdict: Verdict
    value: float | None = None
    """The median; None where it was not measured."""
    is_reduced: bool = False

    @property
    def fails(self) -> bool:
        """Whether a run that was to measure this goal fails by it."""
        return self.goal.is_binding and not self.is_reduced and self.verdict is not Verdict.MET


PLAIN = "plain Pyodide"
REBOOT = "plain Pyodide, booted for each call"
UNSAFE = "plain Pyodide, warm and never reset (unsafe)"
BARE = "3 bare executions"
TINY = "tiny shard on a devstack"
TRACES, OFF = "traces of tiny shards", "without traces"
HOOKS, JOB_S = "hooks of traces that are off", "a tiny shard"
MEMCPY = "memcpy of the same bytes"
HUNDRED_SHARDS, MOST_SHARDS = "of 100 shards", "of 10,000 shards"
SMALL_INPUT, LARGEST_INPUT = "1 MB of input", "4,000 MB of input"
MB = 1_000_000

GOALS: tuple[Goal, ...] = (
    Goal(
        row="cold pandas",
        text="at most 1/8 of plain Pyodide's time",
        measure=Measure.RATIO,
        against=PLAIN,
        at_most=1 / 8,
    ),
    Goal(
        row="cold hello",
        text="at most 1/2 of plain Pyodide's time",
        measure=Measure.RATIO,
        against=PLAIN,
        at_most=1 / 2,
    ),
    Goal(row="warm hello", text="at least 100 executions per second per core", measure=Measure.PER_CORE, at_least=100),
    Goal(
        row="warm hello",
        text="60 % of the unsafe bound (for information)",
        measure=Measure.RATIO,
        against=UNSAFE,
        at_least=0.6,
        is_binding=False,
    ),
    *(
        Goal(
            row=row,
            text="at least 100 times as often as with a boot for each call",
            measure=Measure.RATIO,
            against=REBOOT,
            at_least=100,
        )
        for row in ("warm hello", "warm pandas")
    ),
    Goal(row="reset", text="at most 3 times a memcpy", measure=Measure.RATIO, against=MEMCPY, at_most=3),
    *(
        Goal(row=row, text="at most 1.3 times 3 executions", measure=Measure.RATIO, against=BARE, at_most=1.3)
        for row in ("verified hello", "verified pandas")
    ),
    Goal(row=TRACES, text="at most 3 % more than without", measure=Measure.RATIO, against=OFF, at_most=1.03),
    Goal(row=HOOKS, text="at most 1/1000 of a tiny shard", measure=Measure.RATIO, against=JOB_S, at_most=0.001),
    Goal(row=TINY, text="at most 1.5 times 3 executions", measure=Measure.RATIO, against=BARE, at_most=1.5),
    *(
        Goal(
            row=f"stream, memory of the {process}",
            text="at most 64 MB more than for 1 MB",
            measure=Measure.GROWTH,
            against=SMALL_INPUT,
            size=LARGEST_INPUT,
            at_most=64 * MB,
        )
        for process in ("worker", "parent")
    ),
    Goal(
        row="time per shard",
        text="of 10,000 at most 1.2 times that of 100",
        measure=Measure.RATIO,
        against=HUNDRED_SHARDS,
        size=MOST_SHARDS,
        at_most=1.2,
    ),
)


def judge(goal: Goal, rows: Iterable[Row], cores: int) -> Outcome:
    """Compare a goal with the rows that were measured."""
    row = next((row for row in rows if row.name == goal.row), None)
    value = None if row is None else _value(goal, row, cores)
    if row is None or value is None:
        return Outcome(goal=goal, verdict=Verdict.NOT_MEASURED, is_reduced=row is not None and row.is_reduced)
    is_met = value <= goal.at_most if goal.at_most is not None else value >= (goal.at_least or 0)
    return Outcome(goal=goal, verdict=Verdict.MET if is_met else Verdict.MISSED, value=value, is_reduced=row.is_reduced)


def judge_all(goals: Iterable[Goal], rows: Sequence[Row], cores: int) -> tuple[Outcome, ...]:
    """Judge each goal."""
    return tuple(judge(goal, rows, cores) for goal in goals)


def _value(goal: Goal, row: Row, cores: int) -> float | None:
    if goal.measure is Measure.PER_CORE:
        return row.ours.spread().median / cores
    other = row.side(goal.against or "")
    if other is None or other is row.ours:
        return None
    if goal.size not in (None, row.ours.name) and not row.is_reduced:
        return None
    return (row.ratio(other) if goal.measure is Measure.RATIO else row.growth(other)).median

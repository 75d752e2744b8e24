"""What a measurement gives: values of several ways to do one thing, taken in turns, and the ratios between them.

Times on a shared machine mean little. So every row compares things that took turns in the same minutes, and its ratios
are taken turn by turn before their median is. Nothing here measures; `take_turns` only says whose turn it is.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum


class Unit(Enum):
    """What the values of a row count."""

    SECONDS = "seconds"
    """Of one run; less is better."""
    PER_SECOND = "runs per second"
    """On all cores together; more is better."""
    MIB_PER_SECOND = "MiB per second"
    """More is better."""
    BYTES = "bytes"
    """Less is better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A median with its range."""

    median: float
    least: float
    most: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One way to do it, with one value for each round."""

    name: str
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError(f"{self.name}: no values")

    def spread(self) -> Spread:
        """Return the values' median and range."""
        return spread_of(self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One comparison: the first side is ours."""

    name: str
    unit: Unit
    sides: tuple[Side, ...]
    absent: tuple[tuple[str, str], ...] = ()
    """Sides that could not be measured here, each with the reason."""
    is_reduced: bool = False
    """Measured at smaller sizes than the row's goal is about."""
    note: str = ""

    def __post_init__(self) -> None:
        if len({len(side.values) for side in self.sides}) != 1:
            raise ValueError(f"{self.name}: sides without the same number of rounds")
        if len({side.name for side in self.sides}) != len(self.sides):
            raise ValueError(f"{self.name}: two sides of one name")

    @property
    def ours(self) -> Side:
        """The side that is judged."""
        return self.sides[0]

    def side(self, name: str) -> Side | None:
        """Return a side by its name, if it was measured."""
        return next((side for side in self.sides if side.name == name), None)

    def ratio(self, other: Side) -> Spread:
        """Return ours over the other's, turn by turn."""
        return spread_of([mine / theirs for mine, theirs in zip(self.ours.values, other.values, strict=True)])

    def growth(self, other: Side) -> Spread:
        """Return ours less the other's, turn by turn."""
        return spread_of([mine - theirs for mine, theirs in zip(self.ours.values, other.values, strict=True)])


def spread_of(values: Sequence[float]) -> Spread:
    """Return the median and range of some values."""
    return Spread(median=statistics.median(values), least=min(values), most=max(values))


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """A way to do it that can be asked for one value after the other."""

    name: str
    measure: Callable[[], float]


def take_turns(rounds: int, contestants: Sequence[Contestant], *, warm_up: bool = True) -> tuple[Side, ...]:
    """Ask each in turn, `rounds` times, in an order that is reversed from round to round.

    warm_up: ask each once before, and forget the answer.
    """
    if warm_up:
        for contestant in contestants:
            contestant.measure()
    values: dict[str, list[float]] = {contestant.name: [] for contestant in contestants}
    for turn in range(rounds):
        for contestant in contestants if turn % 2 == 0 else reversed(contestants):
            values[contestant.name].append(contestant.measure())
    return tuple(Side(name=name, values=tuple(taken)) for name, taken in values.items())

"""What a stack has to satisfy, whoever says so: the requester, the operator's policy, or the machine.

All three say it in one form: when conditions hold, others have to, or the stack must not be. A rule with a weight is a
preference. Rules of a question are judged here one by one; `encoding` makes clauses of the same meaning.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from runtime.planner.stack import OF_PARTS, Machine, Number, Part, Place, Stack


class Origin(StrEnum):
    """Who says it."""

    REQUEST = "request"
    POLICY = "policy"
    MACHINE = "machine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A choice is one of some values."""

    key: str
    """One of CHOICES."""
    values: frozenset[str]
    """As the enumerations of `stack` write them; `true` and `false`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A number is at most, or at least, a value; it says nothing of a stack that has no such number."""

    key: str
    """One of NUMBERS."""
    at_most: bool
    value: Number


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """When all of `when` holds, all of `then` has to; or, with `never`, nothing of the kind may be.

    It has to hold for every part of a stack, and for what has no parts once. What is not for us to say (engine and
    isolation where other nodes run it, diversity where we serve others) does not hold in `when`, and holds in `then`.
    """

    words: str
    """What it says, as a clause without a full stop: it goes into errors."""
    origin: Origin
    where: str
    """The flag, the line of the file, or the part of the machine that it comes from."""
    fix: str = ""
    """What to do about it, where something can be done."""
    when: tuple[Condition, ...] = ()
    then: tuple[Condition | Bound, ...] = ()
    never: bool = False
    weight: int | None = None
    """What it costs to do without; None: it cannot be done without."""

    def __post_init__(self) -> None:
        if bool(self.then) == self.never or (self.never and not self.when):
            raise ValueError("a rule either demands something or forbids something")


View: TypeAlias = Part | None
"""A part of a stack, or None for one that has none."""


def holds(rule: Rule, stack: Stack, machine: Machine) -> bool:
    """Tell whether a stack satisfies a rule on such a machine."""
    return not any(
        all(_applies(condition, view, stack, machine) for condition in rule.when)
        and (rule.never or not all(_met(demand, view, stack, machine) for demand in rule.then))
        for view in views(stack)
    )


def views(stack: Stack) -> tuple[View, ...]:
    """Return what a rule has to hold for."""
    return stack.parts or (None,)


def upper_bounds(rules: Iterable[Rule], stack: Stack, machine: Machine) -> dict[str, Number]:
    """Return the least upper bound of each number that rules without a weight put on a stack like this."""
    found: dict[str, Number] = {}
    for bound in _demanded(rules, stack, machine):
        if bound.at_most:
            found[bound.key] = min(bound.value, found.get(bound.key, bound.value))
    return found


def _demanded(rules: Iterable[Rule], stack: Stack, machine: Machine) -> Iterator[Bound]:
    for rule in rules:
        if rule.weight is None and any(
            all(_applies(condition, view, stack, machine) for condition in rule.when) for view in views(stack)
        ):
            yield from (demand for demand in rule.then if isinstance(demand, Bound))


def is_open(key: str, view: View, place: Place) -> bool:
    """Tell whether one of CHOICES is not for us to say."""
    return (key in OF_PARTS and view is None) or (key == "diverse" and place is Place.SERVING)


def _applies(condition: Condition, view: View, stack: Stack, machine: Machine) -> bool:
    if is_open(condition.key, view, stack.place):
        return False
    return value_of(condition.key, view, stack, machine) in condition.values


def _met(demand: Condition | Bound, view: View, stack: Stack, machine: Machine) -> bool:
    if isinstance(demand, Bound):
        value = stack.numbers.get(demand.key)
        return value is None or (value <= demand.value if demand.at_most else value >= demand.value)
    if is_open(demand.key, view, stack.place):
        return True
    return value_of(demand.key, view, stack, machine) in demand.values


def value_of(key: str, view: View, stack: Stack, machine: Machine) -> str:
    """Return what a stack has chosen for one of CHOICES, as conditions write it."""
    if key == "machine":
        return machine.value
    found = getattr(view if key in OF_PARTS else stack, key)
    return str(found).lower() if isinstance(found, bool) else str(found)

"""What the planner is asked: what may be chosen, what is wished for, and all rules, in the order of who says them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from runtime.planner.rules import Bound, Condition, Origin, Rule
from runtime.planner.stack import (
    ENGINES_OF,
    ISOLATIONS_OF,
    REACHES_OUT,
    EngineName,
    Kind,
    Machine,
    Number,
    Part,
    Place,
    Stack,
    closeness,
)

LEAST_DIVERSE: Final = 2
"""Nodes that can differ from each other."""
MACHINE_WORDS: Final[Mapping[Machine, str]] = {
    Machine.VM: "this machine is a virtual one",
    Machine.BARE: "this machine is no virtual one",
    Machine.UNKNOWN: "this machine does not tell whether it is a virtual one",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question. What each kind can be made of is in `stack`; nothing here has been looked at yet."""

    kind: Kind
    places: tuple[Place, ...]
    """Those that may be chosen."""
    machine: Machine
    wishes: Mapping[str, Number]
    """The numbers that are wished for, by name; the answer's are as close as the rules let them be."""
    rules: tuple[Rule, ...]
    """The requester's, then the policy's, then the machine's: of two smallest clashes the earlier one is told."""
    given: tuple[Rule, ...] = ()
    """Rules that are not in question: no clash tells of them."""

    @property
    def every_rule(self) -> tuple[Rule, ...]:
        """All rules, and what the machine is."""
        values = frozenset({self.machine.value})
        rule = Rule(
            words=MACHINE_WORDS[self.machine],
            origin=Origin.MACHINE,
            where="this machine",
            then=(Condition(key="machine", values=values),),
        )
        return (*self.rules, rule)

    @property
    def engines(self) -> tuple[EngineName, ...]:
        """Engines that run this kind."""
        return ENGINES_OF[self.kind]

    @property
    def flags(self) -> tuple[bool, ...]:
        """What `gpu` and `networking` may be."""
        return (False, True) if self.kind in REACHES_OUT else (False,)

    def numbers_of(self, name: str) -> tuple[Number, ...]:
        """Return the values that a number may have, the one that is wished for first.

        Rules only bound numbers, so the best value is the wish or some bound: others need not be looked at. The
        confidence and the nodes bound each other, and diverse nodes are two.
        """
        coupled = {"nodes", "confidence"} if name in ("nodes", "confidence") else {name}
        values = {self.wishes[one] for one in coupled} | set(_bounds((*self.rules, *self.given), coupled))
        if name in ("nodes", "confidence"):
            values.add(LEAST_DIVERSE)
        return tuple(sorted(values, key=lambda value: closeness(value, self.wishes[name])))


def _bounds(rules: Iterable[Rule], names: set[str]) -> Iterable[Number]:
    return (
        demand.value
        for rule in rules
        for demand in rule.then
        if isinstance(demand, Bound) and demand.key in names
    )  # fmt: skip


def is_sound(stack: Stack, question: Question) -> bool:
    """Tell whether a stack is one at all, whatever the rules say.

    1. It is of the kind, at one of the places, with engines of the kind in what they can be run in, each once.
    2. Nodes elsewhere use what they choose; embedded ones at least one engine, and two or more if they are diverse; a
       node that serves others uses one.
    3. Only kinds that reach out have a GPU or a network.
    4. It has the numbers that are wished for; as many nodes agree as there are, at most; diverse nodes are two.
    """
    engines = [part.engine for part in stack.parts]
    chosen = [engine for engine in EngineName if engine in engines]
    fits = all(_fits(part, question) for part in stack.parts) and engines == chosen
    count = len(engines)
    peopled = {
        Place.NODES: count == 0,
        Place.EMBEDDED: count >= 1 and stack.diverse == (count >= 2),
        Place.SERVING: count == 1 and not stack.diverse,
    }[stack.place]
    reaches = stack.gpu in question.flags and stack.networking in question.flags
    nodes = stack.numbers.get("nodes")
    agreeing = nodes is None or (
        stack.numbers.get("confidence", 1) <= nodes and not (stack.diverse and nodes < LEAST_DIVERSE)
    )  # fmt: skip
    counted = set(stack.numbers) == set(question.wishes)
    return (
        stack.kind is question.kind
        and stack.place in question.places
        and fits and peopled and reaches and agreeing and counted
    )  # fmt: skip


def _fits(part: Part, question: Question) -> bool:
    return part.engine in question.engines and part.isolation in ISOLATIONS_OF[part.engine]

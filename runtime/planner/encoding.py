"""A question as clauses: which literals there are, what makes a stack of them, and what each rule says.

The meaning is that of `question.is_sound` and `rules.holds`; tests compare the two over whole universes. A literal is
a positive or negative integer, a clause a list of literals of which one has to hold (DIMACS).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations
from typing import TypeAlias

from runtime.planner.question import LEAST_DIVERSE, Question
from runtime.planner.rules import Bound, Condition, Rule, View, is_open
from runtime.planner.stack import (
    ISOLATIONS_OF,
    TIER_OF,
    EngineName,
    Isolation,
    Machine,
    Number,
    Part,
    Place,
    Stack,
    engine_cost,
)

Clause: TypeAlias = list[int]


class Encoding:
    """The literals of one question."""

    def __init__(self, question: Question) -> None:
        """Number all that may be chosen."""
        self._question = question
        self._count = 0
        self._places = {place: self.new() for place in question.places}
        self._parts = {
            Part(engine=engine, isolation=isolation): self.new()
            for engine in question.engines
            for isolation in ISOLATIONS_OF[engine]
        }
        self._used = {engine: self.new() for engine in question.engines}
        self._machine = {machine: self.new() for machine in Machine}
        self._flags = {name: self.new() for name in ("diverse", "gpu", "networking")}
        self._numbers = {
            name: {value: self.new() for value in question.numbers_of(name)} for name in question.wishes
        }  # fmt: skip

    def new(self) -> int:
        """Return a literal that means nothing yet."""
        self._count += 1
        return self._count

    def laws(self) -> Iterator[Clause]:
        """Yield what makes a stack, as `question.is_sound` counts it."""
        yield from _one_of(self._places.values())
        yield from _one_of(self._machine.values())
        yield from self._parts_fit()
        yield from self._parts_match_place()
        for name in ("gpu", "networking"):
            if True not in self._question.flags:
                yield [-self._flags[name]]
        for values in self._numbers.values():
            yield from _one_of(values.values())
        yield from self._nodes_suffice()

    def _parts_fit(self) -> Iterator[Clause]:
        for engine, used in self._used.items():
            ways = [literal for part, literal in self._parts.items() if part.engine is engine]
            yield from _at_most_one(ways)
            yield [-used, *ways]
            yield from ([-way, used] for way in ways)

    def _parts_match_place(self) -> Iterator[Clause]:
        """Say how many engines are used; places that cannot be chosen ask for nothing."""
        used, diverse = list(self._used.values()), self._flags["diverse"]
        for place, chosen in self._places.items():
            if place is Place.NODES:
                yield from ([-chosen, -one] for one in used)
                continue
            yield [-chosen, *used]
            for one in used:
                others = [other for other in used if other != one]
                yield [-chosen, -diverse, -one, *others]
            yield from ([-chosen, -one, -other, diverse] for one, other in combinations(used, 2))
            if place is Place.SERVING:
                yield [-chosen, -diverse]

    def _nodes_suffice(self) -> Iterator[Clause]:
        for nodes, literal in self._numbers.get("nodes", {}).items():
            if nodes < LEAST_DIVERSE:
                yield [-literal, -self._flags["diverse"]]
            for confidence, other in self._numbers.get("confidence", {}).items():
                if confidence > nodes:
                    yield [-literal, -other]

    def clauses(self, rule: Rule) -> Iterator[Clause]:
        """Yield what a rule says."""
        for place, view in self._spots():
            known = [self._known(condition, place, view) for condition in rule.when]
            if False in known:
                continue
            head = [-self._places[place], *([] if view is None else [-self._parts[view]])]
            for condition, is_met in zip(rule.when, known, strict=True):
                head += [] if is_met else self._literals(condition, is_met=False)
            if rule.never:
                yield head
            for demand in rule.then:
                is_met = self._known_demand(demand, place, view)
                if is_met is None:
                    yield [*head, *self._literals(demand, is_met=True)]
                elif not is_met:
                    yield head

    def _spots(self) -> Iterator[tuple[Place, View]]:
        """Yield all that a rule may have to hold for."""
        for place in self._places:
            views: Iterable[View] = (None,) if place is Place.NODES else self._parts
            yield from ((place, view) for view in views)

    def _known(self, condition: Condition, place: Place, view: View) -> bool | None:
        """Tell whether a condition of `when` holds, None where that is a matter of literals."""
        if is_open(condition.key, view, place):
            return False
        fixed = {"place": place.value, "tier": TIER_OF[self._question.kind].value}
        if view is not None and view.isolation is not None:
            fixed |= {"engine": view.engine.value, "isolation": view.isolation.value}
        return fixed[condition.key] in condition.values if condition.key in fixed else None

    def _known_demand(self, demand: Condition | Bound, place: Place, view: View) -> bool | None:
        if isinstance(demand, Bound):
            return None if demand.key in self._numbers else True
        return True if is_open(demand.key, view, place) else self._known(demand, place, view)

    def _literals(self, demand: Condition | Bound, *, is_met: bool) -> Clause:
        """Return literals of which one holds if the demand is met, or if it is not."""
        if isinstance(demand, Bound):
            return [
                literal
                for value, literal in self._numbers[demand.key].items()
                if (value <= demand.value if demand.at_most else value >= demand.value) is is_met
            ]
        chosen = self._values(demand.key)
        return [literal for value, literal in chosen.items() if (value in demand.values) is is_met]

    def _values(self, key: str) -> Mapping[str, int]:
        if key == "machine":
            return {machine.value: literal for machine, literal in self._machine.items()}
        literal = self._flags[key]
        return {"true": literal, "false": -literal}

    def ranked(self) -> Iterator[list[tuple[int, int]]]:
        """Yield what `stack.simplicity` compares, most significant first: literals with what each adds."""
        yield [(literal, list(Place).index(place)) for place, literal in self._places.items()]
        yield [(literal, engine_cost(engine)) for engine, literal in self._used.items()]
        for engine in EngineName:
            yield [
                (literal, list(Isolation).index(part.isolation) + 1)
                for part, literal in self._parts.items()
                if part.engine is engine and part.isolation is not None
            ]
        yield from ([(literal, 1)] for literal in self._flags.values())
        for values in self._numbers.values():
            yield [(literal, rank) for rank, literal in enumerate(values.values())]

    def stack(self, model: frozenset[int]) -> Stack:
        """Return the stack that the literals of a model make."""
        numbers: dict[str, Number] = {
            name: next(value for value, literal in values.items() if literal in model)
            for name, values in self._numbers.items()
        }
        return Stack(
            kind=self._question.kind,
            place=next(place for place, literal in self._places.items() if literal in model),
            parts=tuple(part for part, literal in self._parts.items() if literal in model),
            numbers=numbers,
            **{name: literal in model for name, literal in self._flags.items()},
        )


def _one_of(literals: Iterable[int]) -> Iterator[Clause]:
    chosen = list(literals)
    yield chosen
    yield from _at_most_one(chosen)


def _at_most_one(literals: Iterable[int]) -> Iterator[Clause]:
    yield from ([-one, -other] for one, other in combinations(literals, 2))

"""From a question to its answer: the cheapest and then simplest stack, or the smallest set of rules that clash."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from runtime.planner.answer import Alternative, Chosen, Clash
from runtime.planner.encoding import Encoding
from runtime.planner.maxsat_solver import cheapest, smallest_core
from runtime.planner.question import Question, is_sound
from runtime.planner.rules import Condition, Origin, Rule, holds
from runtime.planner.stack import ISOLATIONS_OF, Place, Stack


def choose(question: Question) -> Chosen | Clash:
    """Answer a question; the same one always in the same way.

    Of all sound stacks that satisfy every rule without a weight, the answer gives up the least weight of the others; of
    several such, it is the simplest (`stack.simplicity`).
    """
    encoding = Encoding(question)
    hard = [*encoding.laws(), *(clause for rule in question.given for clause in encoding.clauses(rule))]
    needed: list[tuple[int, Rule]] = []
    wanted: list[tuple[int, int]] = []
    for rule in question.every_rule:
        selector = encoding.new()
        hard += ([-selector, *clause] for clause in encoding.clauses(rule))
        if rule.weight is None:
            needed.append((selector, rule))
        else:
            wanted.append((selector, rule.weight))
    selectors = [selector for selector, _ in needed]
    model = cheapest([*hard, *([selector] for selector in selectors)], _weighed(encoding, wanted))
    if model is None:
        core = set(smallest_core(hard, selectors) or ())
        return Clash(rules=tuple(rule for selector, rule in needed if selector in core))
    return _checked(encoding.stack(model), question)


def _weighed(encoding: Encoding, wanted: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield all that is soft: preferences outweigh all of simplicity, each part of which outweighs those after it."""
    unit = 1
    for part in reversed(list(encoding.ranked())):
        yield from ((-literal, rank * unit) for literal, rank in part if rank)
        unit *= 1 + sum(rank for _, rank in part)
    yield from ((selector, weight * unit) for selector, weight in wanted)


def _checked(stack: Stack, question: Question) -> Chosen:
    """Return the stack with what it gives up; rules are judged once more here, without the solver."""
    judged = (*question.given, *question.every_rule)
    broken = tuple(rule for rule in judged if not holds(rule, stack, question.machine))
    if not is_sound(stack, question) or any(rule.weight is None for rule in broken):
        raise AssertionError(f"the solver's stack breaks a rule: {stack}")
    return Chosen(stack=stack, given_up=broken)


def alternatives(question: Question, chosen: Stack) -> Iterator[Alternative]:
    """Yield every other place, engine and isolation, and why it was not chosen."""
    engines = {part.engine for part in chosen.parts}
    for place in question.places:
        if place is not chosen.place:
            yield _alternative(question, "place", place.value, _among("place", place.value))
    for engine in question.engines:
        if chosen.parts and engine not in engines:
            yield _alternative(question, "engine", engine.value, _here, _among("engine", engine.value))
    for part in chosen.parts:
        for isolation in ISOLATIONS_OF[part.engine]:
            if isolation is not part.isolation:
                only = Condition(key="engine", values=frozenset({part.engine.value}))
                stay = _among("engine", *engines)
                change = replace(_among("isolation", isolation.value), when=(only,))
                yield _alternative(question, "isolation", f"{isolation} for {part.engine}", _here, stay, change)


def _alternative(question: Question, key: str, value: str, *demands: Rule) -> Alternative:
    """Ask again with further demands."""
    found = choose(replace(question, given=(*question.given, *demands)))
    if isinstance(found, Clash):
        return Alternative(key=key, value=value, clash=found.rules, cost=0)
    return Alternative(key=key, value=value, clash=(), cost=found.cost)


def _among(key: str, *values: str) -> Rule:
    condition = Condition(key=key, values=frozenset(map(str, values)))
    return Rule(words="the alternative", origin=Origin.REQUEST, where="--explain", then=(condition,))


_here: Final = _among("place", Place.EMBEDDED, Place.SERVING)

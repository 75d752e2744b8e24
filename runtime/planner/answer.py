"""Answers of the planner, as values; `choice` finds them, and loads the solver for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from runtime.planner.rules import Origin, Rule
from runtime.planner.stack import Stack


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A stack that satisfies every rule that cannot be done without."""

    stack: Stack
    given_up: tuple[Rule, ...]
    """Preferences that it does without."""

    @property
    def cost(self) -> int:
        """What they weigh together: no stack has less."""
        return sum(rule.weight or 0 for rule in self.given_up)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clash:
    """No stack satisfies these rules together, and of no smaller set can that be said."""

    rules: tuple[Rule, ...]
    """In the order of the question."""

    @property
    def is_of_request(self) -> bool:
        """Whether the request contradicts itself, whatever the policy and the machine."""
        return all(rule.origin is Origin.REQUEST for rule in self.rules)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """What else could have been chosen, and why it was not."""

    key: str
    value: str
    clash: tuple[Rule, ...]
    """Rules that leave no stack with it; empty if there is one."""
    cost: int
    """Of the best stack with it, in preferences; as much as that of the choice: it only comes later in the order."""


def named(rules: Iterable[Rule]) -> Iterator[str]:
    """Yield rules in words, each with where it comes from."""
    yield from (f"{rule.words} ({rule.where})" for rule in rules)

"""Names against a sharding pattern, one by one on the way down a tree: what is picked, and where a pick can still be.

A state is the set of places in the pattern that the names so far lead to, so each name is looked at once however many
`**` there are, and a directory from which no place leads on is never opened.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from runtime.shard_pattern import ANY_DEPTH, ShardPattern

MAX_STATES: Final = 4096
"""States remembered; there are no more than kinds of directories in a tree, and forgetting one only costs time."""

_Place: TypeAlias = tuple[int, int]
"""An alternative's number, and how many of its segments are done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Where a path stands. Made by a `ShardMatcher`, to be handed back to it."""

    picks_files: bool
    """The path is picked if it is a file or a symlink."""
    picks_directories: bool
    """The path is picked, with all that is below it, if it is a directory."""
    goes_on: bool
    """Something below it can be picked."""
    names: tuple[str, ...] | None
    """The only names below it that can lead to a pick; None: any."""
    exact: dict[str, tuple[_Place, ...]]
    wild: tuple[tuple[re.Pattern[str], _Place], ...]
    stays: frozenset[_Place]
    """Places where a `**` takes any directory."""


class ShardMatcher:
    """Matches paths, name by name, against one pattern. Not for several threads at once."""

    def __init__(self, pattern: ShardPattern) -> None:
        self._alternatives = pattern.alternatives
        self._states: dict[frozenset[_Place], State] = {}
        self.start: Final = self._state((number, 0) for number in range(len(self._alternatives)))
        """Of the base directory itself."""

    def step(self, state: State, name: str) -> State:
        """Return the state of an entry called `name` in a directory of this state."""
        places = set(state.exact.get(name, ()))
        places.update(place for pattern, place in state.wild if pattern.fullmatch(name) is not None)
        return self._state(places | state.stays)

    def _state(self, places: Iterable[_Place]) -> State:
        reached = frozenset(places)
        state = self._states.get(reached)
        if state is None:
            if len(self._states) >= MAX_STATES:
                self._states.clear()
            state = self._states[reached] = self._made(reached)
        return state

    def _made(self, reached: frozenset[_Place]) -> State:
        ends = [self._alternatives[a] for a, done in reached if done == len(self._alternatives[a].segments)]
        exact: dict[str, tuple[_Place, ...]] = {}
        wild: list[tuple[re.Pattern[str], _Place]] = []
        stays: set[_Place] = set()
        for alternative, done in sorted(self._closed(reached)):
            segment, after = self._alternatives[alternative].segments[done], (alternative, done + 1)
            if isinstance(segment, str):
                exact[segment] = (*exact.get(segment, ()), after)
            elif isinstance(segment, re.Pattern):
                wild.append((segment, after))
            else:
                stays.add((alternative, done))
        return State(
            picks_files=any(end.picks_files for end in ends),
            picks_directories=any(end.picks_directories for end in ends),
            goes_on=bool(exact or wild or stays),
            names=None if wild or stays else tuple(sorted(exact, key=str.encode)),
            exact=exact,
            wild=tuple(wild),
            stays=frozenset(stays),
        )

    def _closed(self, reached: frozenset[_Place]) -> set[_Place]:
        """Return the places from which a name leads on; at a `**`, also the one behind it."""
        going = {(a, done) for a, done in reached if done < len(self._alternatives[a].segments)}
        return going | {(a, done + 1) for a, done in going if self._alternatives[a].segments[done] is ANY_DEPTH}

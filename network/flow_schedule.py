"""The books of a flow that runs: which steps can begin, which have ended, which never will.

Decides and remembers; runs nothing, knows neither tasks nor contents. `embedded_flow` tells it what happened.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from enum import StrEnum


class StepState(StrEnum):
    """How a step stands."""

    WAITING = "waiting"
    """For steps that it needs."""
    BEGUN = "begun"
    DONE = "done"
    FAILED = "failed"
    """It was begun, and gave nothing."""
    UNKNOWN = "unknown"
    """What it gives is known only when it runs; of a flow that is only looked at."""
    NOT_RUN = "not-run"
    """It needs one that gave nothing."""


class FlowSchedule:
    """The steps of one flow. Changes nothing but itself."""

    def __init__(self, needs: Mapping[str, Sequence[str]]) -> None:
        """Take the steps in their order, each with the steps that it needs, which come before it and not twice."""
        self._names = tuple(needs)
        self._places = {name: place for place, name in enumerate(self._names)}
        self._needs = needs
        self._takers: dict[str, list[str]] = {name: [] for name in needs}
        for name, needed in needs.items():
            for one in needed:
                self._takers[one].append(name)
        self._waits = {name: len(needed) for name, needed in needs.items()}
        self._states = dict.fromkeys(self._names, StepState.WAITING)
        self._ready = [place for place, name in enumerate(self._names) if not needs[name]]

    def state(self, name: str) -> StepState:
        """Return how a step stands."""
        return self._states[name]

    def begin(self) -> str | None:
        """Return a step that can begin and has not, the first in order, and note that it has; None: there is none."""
        if not self._ready:
            return None
        name = self._names[heapq.heappop(self._ready)]
        self._states[name] = StepState.BEGUN
        return name

    def end(self, name: str, state: StepState) -> tuple[tuple[str, str], ...]:
        """Note how a step ended that was begun: DONE, FAILED or UNKNOWN.

        Returns the steps that will not run for it, in order, each with the step that it needs and that is the reason.
        """
        if self._states[name] is not StepState.BEGUN:
            raise ValueError(f"step {name} is {self._states[name].value}")
        self._states[name] = state
        if state is not StepState.DONE:
            return self._given_up(name)
        for taker in self._takers[name]:
            self._waits[taker] -= 1
            if not self._waits[taker] and self._states[taker] is StepState.WAITING:
                heapq.heappush(self._ready, self._places[taker])
        return ()

    def _given_up(self, name: str) -> tuple[tuple[str, str], ...]:
        fresh: list[str] = []
        todo = [name]
        while todo:
            for taker in self._takers[todo.pop()]:
                if self._states[taker] is StepState.WAITING:
                    self._states[taker] = StepState.NOT_RUN
                    fresh.append(taker)
                    todo.append(taker)
        fresh.sort(key=self._places.__getitem__)
        gone = (StepState.FAILED, StepState.UNKNOWN, StepState.NOT_RUN)
        # Whatever way led there: the first of the steps needed that gives nothing.
        return tuple((one, next(need for need in self._needs[one] if self._states[need] in gone)) for one in fresh)

"""Nodes that take tasks of a job without a bid for each, as they said, and how many of them they have in hand.

What is here is from this life of the requester: after a restart tasks are offered again, until nodes have said it anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from network.bid_choice import Kind
from verifier.model import PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wait:
    done: Mapping[PeerId, int]
    """What each of its nodes had been done with when this was noted."""
    patience: int
    """How often its turn is still waited for."""


class StandingNodes:
    """Of all jobs. Not pure, for its size: everything but `of` changes it."""

    def __init__(self) -> None:
        self._most: dict[str, dict[PeerId, int]] = {}
        """Tasks of a job that a node takes at a time."""
        self._kinds: dict[str, dict[PeerId, Kind]] = {}
        self._in_hand: dict[str, Counter[PeerId]] = {}
        self._done: dict[str, Counter[PeerId]] = {}
        """Tasks of a job that a node has been done with."""
        self._waits: dict[str, _Wait] = {}
        """By session that waits behind others at its nodes."""

    def note(self, job: str, peer: PeerId, kind: Kind | None, most: int) -> None:
        """Note what a node said last. kind: from its bid; without one it does not stand."""
        if most and kind is not None:
            self._most.setdefault(job, {})[peer] = most
            self._kinds.setdefault(job, {})[peer] = kind
        else:
            self.drop(peer, job)

    def drop(self, peer: PeerId, job: str | None = None) -> None:
        """Count on a node no longer, in one job or in all."""
        for name in list(self._most) if job is None else (job,):
            self._most.get(name, {}).pop(peer, None)
            self._kinds.get(name, {}).pop(peer, None)

    def engage(
        self, job: str, before: frozenset[PeerId], after: frozenset[PeerId], late: frozenset[PeerId] = frozenset()
    ) -> None:
        """Count the nodes that one task of a job waits for, before and after a step.

        late: those that it waits for no longer although they are not done: that is no sign that they go on.
        """
        if before == after:
            return
        counts = self._in_hand.setdefault(job, Counter())
        counts.subtract(before - after)
        counts.update(after - before)
        self._done.setdefault(job, Counter()).update(before - after - late)

    def line_up(self, session: str, job: str, nodes: frozenset[PeerId]) -> None:
        """Note that a task waits behind others of its job at its nodes, as many as they may have."""
        most = max((self._in_hand.get(job, Counter())[node] for node in nodes), default=0)
        self._waits[session] = _Wait(done=self._done_by(job, nodes), patience=max(most, 1))

    def is_served(self, session: str, job: str, nodes: frozenset[PeerId]) -> bool:
        """Tell whether one of its nodes was done with another task since this was asked last: then its turn may come.

        As often as there may be tasks before it.
        """
        wait = self._waits.get(session)
        now = self._done_by(job, nodes)
        if wait is None or not wait.patience or all(count <= wait.done.get(node, 0) for node, count in now.items()):
            return False
        self._waits[session] = _Wait(done=now, patience=wait.patience - 1)
        return True

    def leave(self, session: str) -> None:
        """Forget that a task waits."""
        self._waits.pop(session, None)

    def _done_by(self, job: str, nodes: frozenset[PeerId]) -> Mapping[PeerId, int]:
        counts = self._done.get(job, Counter())
        return {node: counts[node] for node in nodes}

    def forget(self, job: str) -> None:
        """Forget a job that has ended."""
        for known in (self._most, self._kinds, self._in_hand, self._done):
            known.pop(job, None)

    def of(self, job: str) -> dict[PeerId, Kind]:
        """Return the nodes that take another task of a job now."""
        counts, kinds = self._in_hand.get(job, Counter()), self._kinds.get(job, {})
        return {peer: kinds[peer] for peer, most in self._most.get(job, {}).items() if counts[peer] < most}

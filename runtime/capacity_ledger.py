"""The books of what a machine has: who holds how much of it, who waits, and who is served next.

Decides and counts; holds no lock, reads no clock, starts nothing. Rules, which tests/property/test_capacity_ledger.py
checks:

1 What is held never exceeds the total, of anything; a GPU is held by one claim at a time. A total may become less than
  what is held: then no more is given of what there is too little of, until that is no longer so.
2 What is larger than the total, or than one job gets, never waits: it is refused at once, or when they become less.
3 First come, first served. An urgent claim goes before those that are not, as far as rule 5 lets it.
4 Behind a head that waits, others are served if head, all that passed it so, and they fit beside each other: the head
  never waits for what was given so, unless the total has become less since.
5 Of what would keep a waiting claim waiting longer, at most `patience` are served while it is the head, or put before
  it; none past an urgent one. So every claim comes to the head and stays there, and is served once what was held then
  and at most so many others have been released, whatever else is asked for meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from runtime.capacity import Room, excess, together

PATIENCE: Final = 0
"""Nobody is passed to their harm, unless whoever counts says otherwise."""


class ClaimState(Enum):
    """Where a claim is."""

    NEW = "new"
    WAITING = "waiting"
    HELD = "held"
    OVER = "over"


@dataclass(slots=True, kw_only=True, eq=False)
class Claim:
    """A part of the machine that somebody wants, holds, or has given back. Changed by the ledger alone."""

    room: Room
    is_urgent: bool = False
    state: ClaimState = ClaimState.NEW
    gpus: tuple[str, ...] = ()
    """Devices that are its own while it is held."""
    passes: int = 0
    """How many were served or put before it to its harm."""
    beside: set[Claim] = field(default_factory=set)
    """Who passed it by rule 4 and may still hold what they got."""


class CapacityLedger:
    """The books. `enter`, `leave` and `resize` change them; after each, `serve` tells who holds something now."""

    def __init__(
        self, total: Room, *, job_most: Room | None = None, gpus: Sequence[str] | None = None, patience: int = PATIENCE
    ) -> None:
        """Make empty books.

        job_most: what one claim gets at most, None for all there is; gpus: names of the devices, as many as `total`
        has, None to name them by their numbers; patience: see rule 5.
        """
        self.total = total
        self.job_most = total if job_most is None else job_most
        self._patience = patience
        self._names = tuple(map(str, range(total.gpus))) if gpus is None else tuple(gpus)
        if len(self._names) != total.gpus or len(set(self._names)) != total.gpus:
            raise ValueError(f"{total.gpus} GPUs are named {', '.join(self._names) or 'nothing'}")
        self._queue: list[Claim] = []
        self._held: dict[Claim, None] = {}
        self._used = Room()

    @property
    def free(self) -> Room:
        """Return what nobody holds; nothing where more is held than there is any more."""
        return self.total.less(self._used)

    @property
    def held(self) -> tuple[Claim, ...]:
        """Return the claims that hold something, in the order in which they were served."""
        return tuple(self._held)

    @property
    def waiting(self) -> tuple[Claim, ...]:
        """Return the claims that wait, in their order."""
        return tuple(self._queue)

    def objection(self, room: Room) -> str:
        """Return why so much is never given, in words; empty if it will be, in time."""
        return excess(room, self.total) or excess(room, self.job_most)

    def enter(self, claim: Claim) -> None:
        """Line up. Of an urgent claim, or of one that is to become urgent, the place is before those that are not.

        Raises:
            ValueError: it can never be served; ask `objection` first. Or it is in the books already, or was.
        """
        if claim.state is not ClaimState.NEW or (problem := self.objection(claim.room)):
            raise ValueError(f"cannot be served: {problem if claim.state is ClaimState.NEW else claim.state.value}")
        at = len(self._queue)
        while claim.is_urgent and at and self._may_be_passed(self._queue[at - 1]):
            at -= 1
        for passed in self._queue[at:]:
            passed.passes += 1
        self._queue.insert(at, claim)
        claim.state = ClaimState.WAITING

    def leave(self, claim: Claim) -> None:
        """Withdraw what waits, give back what is held; without effect on what is over, or never came."""
        if claim.state is ClaimState.WAITING:
            self._queue.remove(claim)
        elif claim.state is ClaimState.HELD:
            del self._held[claim]
            self._used -= claim.room
        claim.state = ClaimState.OVER
        claim.gpus = ()
        claim.beside.clear()

    def resize(self, total: Room, *, job_most: Room | None = None) -> tuple[Claim, ...]:
        """Have another total from now on; return whom that leaves nothing to wait for: they are over.

        What is held stays held, even if it is more than the total. job_most: as at the beginning.

        Raises:
            ValueError: it has another number of GPUs; devices are named once.
        """
        if total.gpus != self.total.gpus:
            raise ValueError(f"{self.total.gpus} GPUs cannot become {total.gpus}")
        self.total = total
        self.job_most = total if job_most is None else job_most
        refused = tuple(claim for claim in self._queue if self.objection(claim.room))
        for claim in refused:
            self.leave(claim)
        return refused

    def serve(self) -> tuple[Claim, ...]:
        """Give to whom it is due, and return them in the order in which they were served."""
        served: list[Claim] = []
        while self._queue and self._queue[0].room.fits(self.free):
            served.append(self._give(self._queue[0]))
        if self._queue:
            served += self._serve_behind(self._queue[0])
        return tuple(served)

    def _serve_behind(self, head: Claim) -> Iterator[Claim]:
        free = self.free
        for waiter in self._queue[1:]:
            if waiter.room.fits(free) and self._may_pass(head, waiter):
                yield self._give(waiter)
                free = self.free

    def _may_pass(self, head: Claim, waiter: Claim) -> bool:
        """Let a waiter past the head, by rule 4 or by rule 5, and remember it."""
        head.beside = {one for one in head.beside if one.state is ClaimState.HELD}
        if together((*(one.room for one in head.beside), head.room, waiter.room)).fits(self.total):
            head.beside.add(waiter)
            return True
        if self._may_be_passed(head):
            head.passes += 1
            return True
        return False

    def _may_be_passed(self, claim: Claim) -> bool:
        return not claim.is_urgent and claim.passes < self._patience

    def _give(self, claim: Claim) -> Claim:
        self._queue.remove(claim)
        self._used += claim.room
        if claim.room.gpus:
            taken = {name for held in self._held for name in held.gpus}
            claim.gpus = tuple(name for name in self._names if name not in taken)[: claim.room.gpus]
        self._held[claim] = None
        claim.state = ClaimState.HELD
        claim.beside.clear()
        return claim

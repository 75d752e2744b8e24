"""Holds the books of a machine's capacity for threads and for a node's loop: nothing begins before there is room.

What is decided is decided in `capacity_ledger`; here are the lock and the bells. Who gives something back serves who
waits. A claim that was left, by whatever way, holds nothing: leaving twice, or before it was entered, is fine.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Final

from runtime.capacity import Room
from runtime.capacity_ledger import CapacityLedger, Claim, ClaimState
from runtime.engine import UndeterminedError
from runtime.stop_signal import StopSignal
from storage.errors import UnavailableError

INTERRUPT_S: Final = 0.5
"""How long an interrupt may go unnoticed."""


class CapacityGate:
    """The gate. Thread-safe."""

    def __init__(self, ledger: CapacityLedger) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        self._bells: dict[Claim, Callable[[], None]] = {}

    @property
    def free(self) -> Room:
        """Return what nobody holds."""
        with self._lock:
            return self._ledger.free

    @contextmanager
    def hold(self, room: Room, stop: StopSignal | None = None) -> Iterator[Claim]:
        """Hold so much for the length of a block; wait for it first, unless `stop` says that nobody waits any more.

        Raises:
            UnavailableError: so much is never given here.
            UndeterminedError: the stop signal was given before there was room.
        """
        claim, bell = Claim(room=room), threading.Event()
        try:
            self.enter(claim, bell.set)
            with nullcontext() if stop is None else stop.ending(bell.set):
                # An interrupt that comes just before the wait begins would be noticed only when it ends.
                while not bell.wait(INTERRUPT_S):
                    pass
            if claim.state is ClaimState.WAITING:
                raise UndeterminedError("the execution was given up")
            self.require(claim)
            yield claim
        finally:
            self.leave(claim)

    def enter(self, claim: Claim, granted: Callable[[], None]) -> None:
        """Line up. granted: called once when the claim holds something, or never will any more (`require` tells which);
        by any thread, and must not block or raise.

        The caller sees to it that the claim is left, whatever happens.

        Raises:
            UnavailableError: so much is never given here.
        """
        with self._lock:
            if problem := self._ledger.objection(claim.room):
                raise _unavailable(problem)
            self._bells[claim] = granted
            self._ledger.enter(claim)
            self._serve()

    def leave(self, claim: Claim) -> None:
        """Withdraw what waits, give back what is held."""
        with self._lock:
            self._bells.pop(claim, None)
            self._ledger.leave(claim)
            self._serve()

    def require(self, claim: Claim) -> None:
        """See that a claim whose bell has rung holds something.

        Raises:
            UnavailableError: it does not: meanwhile there was less here than it needs.
        """
        with self._lock:
            if claim.state is not ClaimState.HELD:
                raise _unavailable(self._ledger.objection(claim.room) or "there was too little for a while")

    def resize(self, total: Room) -> None:
        """Have another total from now on; what is held stays held, and who can never be served any more is told."""
        with self._lock:
            for claim in self._ledger.resize(total):
                self._bells.pop(claim)()
            self._serve()

    def _serve(self) -> None:
        for claim in self._ledger.serve():
            self._bells.pop(claim)()


def _unavailable(problem: str) -> UnavailableError:
    return UnavailableError(problem, where="capacity", fix="ask for less, or use a machine that has more")

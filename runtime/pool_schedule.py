"""The books of a pool of workers: who is served next, with which worker, and which worker ends for it.

Decides and counts; holds no lock, reads no clock, starts and ends nothing. `worker_pool` tells it what happened and
does what it says. Rules, which tests/property/test_pool_schedule.py checks:

1 A worker serves only the key and the size it was started for, one lease at a time.
2 Workers that are starting, leased, idle or ending never exceed the capacity: an ending process still has its memory.
3 First come, first served. Who is at the head takes an idle worker of its key, the one used last; else room for a new
  one; else idle workers of other keys end, the one used longest ago first, as soon as that makes enough room.
4 Behind a head that waits, nobody starts a worker. A waiter may take an idle one of its own key if head, overtakers
  and this waiter fit beside each other: so a head never waits for a lease that was given after it became the head.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable
from typing import Generic

from runtime.pool_capacity import PoolCapacity
from runtime.pool_state import PoolStats, Slot, State, Steps, W, Waiter
from storage.errors import UnavailableError


class PoolSchedule(Generic[W]):
    """The books. Changes nothing but itself; after each change, `serve` tells what to do."""

    def __init__(self, capacity: PoolCapacity) -> None:
        self.is_stopped = False
        self._capacity = capacity
        self._queue: deque[Waiter[W]] = deque()
        self._slots: set[Slot[W]] = set()
        self._idle: list[Slot[W]] = []
        """The one used longest ago first."""
        self._ending: list[Slot[W]] = []
        """Not handed to the pool yet."""
        self._refused: tuple[Waiter[W], ...] = ()
        self._totals = dict.fromkeys(("started", "reused", "expired", "evicted", "discarded"), 0)

    def ask(self, key: Hashable, memory_bytes: int) -> Waiter[W]:
        """Line up for a worker.

        Raises:
            UnavailableError: it is larger than all workers together may be.
        """
        if memory_bytes > self._capacity.memory_bytes:
            wanted, most = (f"{size / (1 << 30):.2f} GiB" for size in (memory_bytes, self._capacity.memory_bytes))
            raise UnavailableError(
                f"needs {wanted} of memory, and all workers here together get {most}",
                where="worker",
                fix="ask for less with --memory, or use a machine that has more",
            )
        waiter: Waiter[W] = Waiter(key=key, memory_bytes=memory_bytes)
        self._queue.append(waiter)
        return waiter

    def withdraw(self, waiter: Waiter[W]) -> None:
        """Take back a request that came to nothing: it waited in vain, or could not start, or not use, what it got."""
        slot = waiter.slot
        if slot is None:
            if waiter in self._queue:
                self._queue.remove(waiter)
        elif slot.state is State.STARTING:
            self._slots.discard(slot)
        else:
            self.give_back(slot, now_s=0.0, pristine=False)

    def install(self, slot: Slot[W], worker: W) -> None:
        """Note that a worker was started; it ends at once if the pool was stopped meanwhile."""
        slot.worker, slot.state = worker, State.LEASED
        self._totals["started"] += 1
        if self.is_stopped:
            self._end(slot, "discarded")

    def give_back(self, slot: Slot[W], *, now_s: float, pristine: bool) -> None:
        """Note the end of a lease; without effect if the worker was ended with the pool."""
        if slot.state is not State.LEASED:
            return
        if not pristine:
            self._end(slot, "discarded")
            return
        slot.state, slot.idle_since_s = State.IDLE, now_s
        self._idle.append(slot)

    def expire(self, *, now_s: float, idle_timeout_s: float) -> None:
        """End the workers that were idle for the timeout or longer."""
        while self._idle and self._idle[0].idle_since_s + idle_timeout_s <= now_s:
            self._end(self._idle[0], "expired")

    def gone(self, slot: Slot[W]) -> None:
        """Note that the process of an ending worker is no more."""
        self._slots.discard(slot)

    def stop(self) -> None:
        """End all workers, refuse who waits, and keep nothing from now on."""
        self.is_stopped = True
        self._refused += tuple(self._queue)
        self._queue.clear()
        for slot in [slot for slot in self._slots if slot.state in (State.IDLE, State.LEASED)]:
            self._end(slot, "discarded")

    def idle_since_s(self) -> float | None:
        """Return since when a worker is idle that is idle longest; None if none is."""
        return self._idle[0].idle_since_s if self._idle else None

    def stats(self) -> PoolStats:
        """Return the numbers."""
        now = {state.value: 0 for state in State}
        for slot in self._slots:
            now[slot.state.value] += 1
        return PoolStats(**now, waiting=len(self._queue), **self._totals)

    def serve(self) -> Steps[W]:
        """Serve whom can be served, and tell what the pool has to do now."""
        woken, self._refused = [*self._refused], ()
        while self._queue and (slot := self._reuse(self._queue[0]) or self._open(self._queue[0])):
            woken.append(self._give(slot, self._queue[0]))
        if self._queue:
            self._make_room(self._queue[0])
            woken += self._serve_behind(self._queue[0])
        ending, self._ending = tuple(self._ending), []
        return Steps(woken=tuple(woken), ending=ending)

    def _reuse(self, waiter: Waiter[W]) -> Slot[W] | None:
        """Take the worker of this kind that was used last; those that died meanwhile end."""
        kind = (waiter.key, waiter.memory_bytes)
        for slot in [slot for slot in reversed(self._idle) if (slot.key, slot.memory_bytes) == kind]:
            if slot.worker is not None and slot.worker.is_alive:
                self._idle.remove(slot)
                slot.state = State.LEASED
                self._totals["reused"] += 1
                return slot
            self._end(slot, "discarded")
        return None

    def _open(self, waiter: Waiter[W]) -> Slot[W] | None:
        """Take room for a new worker."""
        if not self._fits([*self._slots, waiter]):
            return None
        slot: Slot[W] = Slot(key=waiter.key, memory_bytes=waiter.memory_bytes, state=State.STARTING)
        self._slots.add(slot)
        return slot

    def _make_room(self, head: Waiter[W]) -> None:
        """End idle workers if that is enough: where it is not, they can still be of use until a lease ends."""
        staying = [slot for slot in self._slots if slot.state in (State.STARTING, State.LEASED)]
        if not self._fits([*staying, head]):
            return
        while not self._fits([*staying, *self._idle, head]):
            self._end(self._idle[0], "evicted")

    def _serve_behind(self, head: Waiter[W]) -> list[Waiter[W]]:
        """Let waiters past the head as far as rule 4 goes."""
        woken = []
        for waiter in list(self._queue)[1:] if self._idle else ():
            ahead = [slot for slot in head.overtakers if slot.state is State.LEASED]
            if self._fits([*ahead, waiter, head]) and (slot := self._reuse(waiter)):
                head.overtakers.add(slot)
                woken.append(self._give(slot, waiter))
        return woken

    def _give(self, slot: Slot[W], waiter: Waiter[W]) -> Waiter[W]:
        waiter.slot = slot
        self._queue.remove(waiter)
        return waiter

    def _end(self, slot: Slot[W], why: str) -> None:
        if slot in self._idle:
            self._idle.remove(slot)
        slot.state = State.ENDING
        self._ending.append(slot)
        self._totals[why] += 1

    def _fits(self, shares: Iterable[Slot[W] | Waiter[W]]) -> bool:
        """Say whether all of these can be there at once."""
        sizes = [share.memory_bytes for share in shares]
        return len(sizes) <= self._capacity.workers and sum(sizes) <= self._capacity.memory_bytes

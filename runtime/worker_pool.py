"""A pool of warm workers: leases them by key, starts and ends them within a capacity. Thread-safe.

What is decided is decided in `pool_schedule`; here are the lock, the clock and the calls to workers, none of which is
started or closed with the lock held. A lease is handed from thread to thread: whoever ends one serves who waits.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event
from types import TracebackType
from typing import Generic, Self

from runtime.engine import UndeterminedError
from runtime.pool_capacity import PoolCapacity
from runtime.pool_schedule import PoolSchedule
from runtime.pool_state import PoolStats, Slot, W, Waiter


@dataclass(slots=True, kw_only=True)
class Lease(Generic[W]):
    """A worker for the length of a `with` block."""

    worker: W
    is_pristine: bool = field(default=False, init=False)

    def keep(self) -> None:
        """Promise that the worker is as it was when it was new, and is not touched any more: it may serve again.

        A block that ends with an exception ends the worker all the same.
        """
        self.is_pristine = True


class WorkerPool(Generic[W]):
    """Warm workers, each for one key. Use as a context manager, or `close` it."""

    def __init__(
        self, *, capacity: PoolCapacity, idle_timeout_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Make an empty pool.

        idle_timeout_s: how long a worker may be idle before it is ended; clock: seconds that never go back.
        """
        self.capacity = capacity
        """What all of them may take together."""
        self._idle_timeout_s = idle_timeout_s
        self._clock = clock
        self._changed = threading.Condition()
        """Holds the lock of all that follows; only the thread that expires workers waits for it."""
        self._schedule: PoolSchedule[W] = PoolSchedule(capacity)
        self._bells: dict[Waiter[W], Event] = {}
        self._expirer: threading.Thread | None = None
        self._ends: list[Callable[[], None]] = []

    @contextmanager
    def lease(self, key: Hashable, memory_bytes: int, start: Callable[[], W]) -> Iterator[Lease[W]]:
        """Lend a worker that was started for this key and size, a warm one if there is one; wait for room.

        key: all that must be equal for a worker to serve again; start: starts a worker of at most `memory_bytes`,
        and is called at most once, by this thread. The worker is closed when the block ends, unless `keep` was called.

        Raises:
            UnavailableError: the worker is larger than all workers together may be.
            UndeterminedError: the pool was closed.
            Exception: whatever `start` raises.
        """
        slot, worker = self._obtain(key, memory_bytes, start)
        lease = Lease(worker=worker)
        is_pristine = False
        try:
            yield lease
            is_pristine = lease.is_pristine and worker.is_alive
        finally:
            with self._change() as schedule:
                schedule.give_back(slot, now_s=self._clock(), pristine=is_pristine)

    def expire_idle(self, now_s: float) -> None:
        """End the workers that are idle for the timeout or longer; `now_s` is a time of the pool's clock."""
        with self._change() as schedule:
            schedule.expire(now_s=now_s, idle_timeout_s=self._idle_timeout_s)

    def stats(self) -> PoolStats:
        """Return the numbers of this moment."""
        with self._changed:
            return self._schedule.stats()

    def close(self) -> None:
        """End all workers, leased ones too, and refuse later leases; may be called from any thread, and twice.

        A worker that is just being started, or closed by another thread, is ended by that thread; see `ending`.
        """
        with self._change() as schedule:
            schedule.stop()
            for end in self._ends:
                end()
            expirer = self._expirer
            self._changed.notify_all()
        if expirer is not None and expirer is not threading.current_thread():
            expirer.join()

    @contextmanager
    def ending(self, end: Callable[[], None]) -> Iterator[None]:
        """Have `end` called if the pool is closed meanwhile: for processes that `start` starts and waits for.

        end: ends one at once, without waiting for it; may be called by another thread.

        Raises:
            UndeterminedError: the pool was closed.
        """
        with self._changed:
            if self._schedule.is_stopped:
                raise _stopped()
            self._ends.append(end)
        try:
            yield
        finally:
            with self._changed:
                self._ends.remove(end)

    def __enter__(self) -> Self:
        """Return the pool."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def _obtain(self, key: Hashable, memory_bytes: int, start: Callable[[], W]) -> tuple[Slot[W], W]:
        bell = Event()
        with self._change() as schedule:
            if schedule.is_stopped:
                raise _stopped()
            waiter = schedule.ask(key, memory_bytes)
            self._bells[waiter] = bell
        try:
            bell.wait()
            return self._take(waiter, start)
        except BaseException:
            with self._change() as schedule:
                schedule.withdraw(waiter)
                self._bells.pop(waiter, None)
            raise

    def _take(self, waiter: Waiter[W], start: Callable[[], W]) -> tuple[Slot[W], W]:
        """Return what a waiter was given, with a worker in it."""
        slot = waiter.slot
        if slot is None or self._schedule.is_stopped:
            raise _stopped()
        if slot.worker is not None:
            return slot, slot.worker
        worker = start()
        with self._change() as schedule:
            schedule.install(slot, worker)
            is_stopped = schedule.is_stopped
        if is_stopped:
            raise _stopped()
        if worker.memory_bytes > slot.memory_bytes:
            raise ValueError(f"a worker of {worker.memory_bytes} bytes was started in place of {slot.memory_bytes}")
        return slot, worker

    @contextmanager
    def _change(self) -> Iterator[PoolSchedule[W]]:
        """Lend the books with the lock held; then, without it, do what follows from the change."""
        with self._changed:
            yield self._schedule
            steps = self._schedule.serve()
            for waiter in steps.woken:
                self._bells.pop(waiter).set()
            self._watch_idle()
        self._end(steps.ending)

    def _end(self, slots: Sequence[Slot[W]]) -> None:
        """Close workers in this order, all of them even if one raises."""
        with ExitStack() as stack:
            for slot in reversed(slots):
                stack.callback(self._end_one, slot)

    def _end_one(self, slot: Slot[W]) -> None:
        try:
            if slot.worker is not None:
                slot.worker.close()
        finally:
            with self._change() as schedule:
                schedule.gone(slot)

    def _watch_idle(self) -> None:
        """See to it that idle workers expire; called with the lock held.

        A worker that becomes idle later expires later, so a thread that waits need not be told of it.
        """
        if self._schedule.idle_since_s() is None or (self._expirer is not None and self._expirer.is_alive()):
            return
        expirer = threading.Thread(target=self._expire, name="worker-pool-expiry", daemon=True)
        with suppress(RuntimeError):  # no thread to be had: the next change tries again
            expirer.start()
            self._expirer = expirer

    def _expire(self) -> None:
        """End idle workers as their time comes, until the pool is closed or none is idle when a time has come."""
        while True:
            with self._changed:
                since_s = self._schedule.idle_since_s()
                if since_s is None:
                    self._expirer = None
                    return
                now_s = self._clock()
                rest_s = since_s + self._idle_timeout_s - now_s
                if rest_s > 0:
                    self._changed.wait(min(rest_s, threading.TIMEOUT_MAX))
                    continue
            self.expire_idle(now_s)


def _stopped() -> UndeterminedError:
    return UndeterminedError("the engine was stopped")

"""The virtual clock and the random bytes of a run, by the rules of pyodide-1 (js_host/clock.mjs, entropy.mjs)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from runtime.wasi_abi import MONOTONIC, PROCESS_CPU, REALTIME, THREAD_CPU, Errno, WasiError

TICK_NS: Final = 1000
"""A guest that reads the clock twice sees it move, as on a fast machine."""
_MOST_NS: Final = (1 << 64) - 1
_DRAWN_BYTES: Final = 4096
"""Asked of the parent at a time."""


class Clock:
    """Starts at the task's epoch; moves by a tick when it is read, and by its length when the guest sleeps."""

    def __init__(self, epoch_s: int) -> None:
        self._epoch_ns = epoch_s * 1_000_000_000
        self._elapsed_ns = 0

    def read(self, clock: int) -> int:
        """Return what a clock shows, nanoseconds, after one tick.

        Raises:
            WasiError: INVAL, there is no such clock.
        """
        base = self._base(clock)
        self._elapsed_ns = min(self._elapsed_ns + TICK_NS, _MOST_NS)
        return min(base + self._elapsed_ns, _MOST_NS)

    def peek(self, clock: int = REALTIME) -> int:
        """Return what a clock shows without moving it: for the times of files."""
        return min(self._base(clock) + self._elapsed_ns, _MOST_NS)

    def sleep_until(self, clock: int, time_ns: int) -> None:
        """Move to a time of a clock, unless it is over."""
        self._elapsed_ns = min(max(self._elapsed_ns, time_ns - self._base(clock)), _MOST_NS)

    def _base(self, clock: int) -> int:
        if clock == REALTIME:
            return self._epoch_ns
        if clock in (MONOTONIC, PROCESS_CPU, THREAD_CPU):
            return 0
        raise WasiError(Errno.INVAL)


class Entropy:
    """The task's stream of random bytes, which the parent makes: taken in the order in which the guest asks."""

    def __init__(self, draw: Callable[[int], bytes]) -> None:
        """Make a stream. draw: returns the next bytes of it."""
        self._draw = draw
        self._rest = b""

    def fill(self, target: memoryview) -> None:
        """Overwrite `target` with the next bytes."""
        at = 0
        while at < len(target):
            if not self._rest:
                self._rest = self._draw(max(_DRAWN_BYTES, min(len(target) - at, 1 << 20)))
            taken = self._rest[: len(target) - at]
            target[at : at + len(taken)] = taken
            self._rest = self._rest[len(taken) :]
            at += len(taken)

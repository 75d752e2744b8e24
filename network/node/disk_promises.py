"""What executions may still write on this node's disk, against what is free there now.

The books count what jobs demand, and that includes inputs which may be here already; what was free when the node
started may be blocks today. So before something is written, all that was promised and is not written yet has to fit
into what is free.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

from runtime.engine import UndeterminedError


class DiskPromises:
    """Promises by whoever they were made to. Thread-safe."""

    def __init__(self, free: Callable[[], int]) -> None:
        """Make an empty book. free: bytes that are free, now."""
        self._free = free
        self._lock = Lock()
        self._unwritten: dict[object, Callable[[], int]] = {}

    def make(self, to: object, unwritten: Callable[[], int]) -> None:
        """Promise room on the disk, in place of what was promised to the same one before.

        unwritten: bytes of it that are still to be written.

        Raises:
            UndeterminedError: it does not fit beside the other promises. Nothing is promised to this one then.
        """
        with self._lock:
            self._unwritten.pop(to, None)
            others = sum(left() for left in self._unwritten.values())
            free, wanted = self._free(), unwritten()
            if others + wanted > free:
                promised = f", and {others} are promised" if others else ""
                raise UndeterminedError(f"{wanted} bytes of disk are needed: {free} are free{promised}")
            self._unwritten[to] = unwritten

    def end(self, to: object) -> None:
        """Forget a promise, if there is one."""
        with self._lock:
            self._unwritten.pop(to, None)

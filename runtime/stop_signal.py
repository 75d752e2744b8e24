"""Ends one execution that nobody waits for any more; `Engine.stop` ends all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

from runtime.engine import UndeterminedError


class StopSignal:
    """Said once, by any thread; whoever works for the execution registers how its work is ended."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._ends: list[Callable[[], None]] = []
        self._is_set = False

    def set(self) -> None:
        """End what is registered, and refuse what comes later. Saying it twice is fine."""
        with self._lock:
            self._is_set = True
            ends, self._ends = self._ends, []
        for end in ends:
            end()

    def refuse(self) -> None:
        """Go on unless it was given.

        Raises:
            UndeterminedError: it was.
        """
        with self._lock:
            if self._is_set:
                raise UndeterminedError("the execution was given up")

    @contextmanager
    def ending(self, end: Callable[[], None]) -> Iterator[None]:
        """Have `end` called if the signal is given meanwhile.

        end: ends the work at once, without waiting for it; may be called by another thread.

        Raises:
            UndeterminedError: it was given already.
        """
        with self._lock:
            if self._is_set:
                raise UndeterminedError("the execution was given up")
            self._ends.append(end)
        try:
            yield
        finally:
            with self._lock:
                if end in self._ends:
                    self._ends.remove(end)

"""A wall-clock guard that is set again and again: one thread for as long as what it guards lives."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Deadline:
    """Calls `expire` when what is done `within` takes too long. For one caller at a time."""

    def __init__(self, expire: Callable[[float], None]) -> None:
        """Make a guard that guards nothing yet. expire: called with the seconds that have passed, by another thread."""
        self._expire = expire
        self._changed = threading.Condition()
        self._until: tuple[float, float] | None = None
        """Time of the monotonic clock, and the seconds that led to it."""
        self._looks_at: float | None = None
        """When the thread looks next; None: when it is told to."""
        self._is_closed = False
        self._thread: threading.Thread | None = None

    @contextmanager
    def within(self, wall_clock_s: float) -> Iterator[None]:
        """Guard what is done inside."""
        until = time.monotonic() + wall_clock_s
        with self._changed:
            self._until = (until, wall_clock_s)
            if self._thread is None and not self._is_closed:
                self._thread = threading.Thread(target=self._watch, name="deadline", daemon=True)
                self._thread.start()
            # A thread that looks earlier finds out by itself: most often nobody needs to be woken.
            elif self._looks_at is None or self._looks_at > until:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._until = None

    def close(self) -> None:
        """End the thread; what is done later is not guarded."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _watch(self) -> None:
        while True:
            with self._changed:
                if self._is_closed:
                    return
                rest_s = None if self._until is None else self._until[0] - time.monotonic()
                if rest_s is None or rest_s > 0:
                    self._looks_at = None if self._until is None else self._until[0]
                    self._changed.wait(None if rest_s is None else min(rest_s, threading.TIMEOUT_MAX))
                    continue
                passed_s = self._until[1] if self._until else 0.0
                self._until = None
            self._expire(passed_s)

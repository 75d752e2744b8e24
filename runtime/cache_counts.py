"""Counts what an engine found on this disk and what it had to make: images and wheels. Thread-safe."""

from __future__ import annotations

from collections import Counter
from threading import Lock
from typing import Final, Protocol, runtime_checkable

IMAGE: Final = "image"
WHEEL: Final = "wheel"
HIT: Final = "hit"
MISS: Final = "miss"


class CacheCounts:
    """Hits and misses since the engine was made."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: Counter[tuple[str, str]] = Counter()

    def add(self, cache: str, *, found: bool) -> None:
        """Count one look. cache: IMAGE or WHEEL."""
        with self._lock:
            self._counts[cache, HIT if found else MISS] += 1

    def of(self, cache: str, result: str) -> int:
        """Return how many there were. result: HIT or MISS."""
        with self._lock:
            return self._counts[cache, result]


@runtime_checkable
class KeepsCaches(Protocol):
    """An engine that keeps images and wheels on this disk."""

    @property
    def caches(self) -> CacheCounts:
        """What it found there."""
        ...

"""Finds the smallest set of factors that makes a difference together. Source: Zeller, "Simplifying and Isolating
Failure-Inducing Input", 2002: delta debugging (ddmin), over complements first at the finest grain.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def smallest(parts: tuple[T, ...], differs: Callable[[tuple[T, ...]], bool]) -> tuple[T, ...]:
    """Return a subset that differs and of which no part can be left out alone; `parts` itself must differ.

    differs is asked at most len(parts)**2 + 3 * len(parts) times.
    """
    grain = 2
    while len(parts) > 1:
        size = max(1, len(parts) // grain)
        pieces = [parts[start : start + size] for start in range(0, len(parts), size)]
        rests = [tuple(one for other in pieces if other is not piece for one in other) for piece in pieces]
        found = next((one for one in (*pieces, *rests) if 0 < len(one) < len(parts) and differs(one)), None)
        if found is not None:
            grain = 2 if found in pieces else max(2, grain - 1)
            parts = found
        elif size == 1:
            return parts
        else:
            grain = min(len(parts), grain * 2)
    return parts

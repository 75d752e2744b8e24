"""The first place where two runs differ, by comparing them at a few."""

from __future__ import annotations

from collections.abc import Callable


def first_difference(low: int, high: int, same: Callable[[int], bool]) -> int:
    """Return a number n in (low, high] where they differ and at n - 1 do not.

    They are the same at `low` and differ at `high`, which is not asked again. Where they differ once and for all from
    some place on, that is n; where they meet again, it is one of the places at which they part. Asks log2(high - low)
    times, rounded up.
    """
    while high - low > 1:
        middle = (low + high) // 2
        if same(middle):
            low = middle
        else:
            high = middle
    return high

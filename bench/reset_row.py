"""The reset of a warm worker against a memcpy of the same bytes."""

from __future__ import annotations

from bench.comparison import Row
from bench.workplace import Workplace


def reset(_workplace: Workplace) -> Row | None:
    """Not measured yet: the engine does not tell its resets.

    Once it does: `Row(name="reset", unit=Unit.SECONDS, sides=(ours, memcpy))`, the second named `goals.MEMCPY`.
    """
    return None

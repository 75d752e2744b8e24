"""How much is measured: all of it, or in `--quick` small sizes that only show that everything works."""

from __future__ import annotations

from dataclasses import dataclass

MB = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Sizes and counts of a run."""

    rounds: int
    rate_window_s: float
    """Least time for which executions are counted, in each turn."""
    file_bytes: int
    """Of the file that is imported and exported."""
    small_files: int
    shards: tuple[int, ...]
    tiny_shards: int
    """Of one job on a devstack."""
    stream_bytes: tuple[int, ...]
    is_reduced: bool


def full(rounds: int) -> Scale:
    """Return the sizes that the goals are about."""
    return Scale(
        rounds=rounds,
        rate_window_s=5.0,
        file_bytes=1 << 30,
        small_files=10_000,
        shards=(1, 10, 100, 1_000, 10_000),
        tiny_shards=2_000,
        stream_bytes=(1 * MB, 10 * MB, 100 * MB, 1_000 * MB, 4_000 * MB),
        is_reduced=False,
    )


def quick() -> Scale:
    """Return sizes for one short round."""
    return Scale(
        rounds=1,
        rate_window_s=1.0,
        file_bytes=64 << 20,
        small_files=500,
        shards=(1, 10, 100),
        tiny_shards=300,
        stream_bytes=(1 * MB, 64 * MB),
        is_reduced=True,
    )

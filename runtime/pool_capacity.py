"""What the workers of a pool may take together: how many processes, and how much memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from runtime.capacity import Room
from runtime.machine_client import usable_cores, usable_memory_bytes
from storage.counting import counted

MEMORY_SHARE: Final = (3, 4)
"""Of the memory that is free when asked: the rest is for blocks, wheels and the page cache beside the workers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolCapacity:
    """The ceiling of a pool; counts workers that are starting, leased, idle or ending."""

    workers: int
    """Processes at a time, at least 1."""
    memory_bytes: int
    """Sum of what they may take, at least 1; a sum of ceilings, not of what is in use."""

    def __post_init__(self) -> None:
        if self.workers < 1 or self.memory_bytes < 1:
            raise ValueError(f"a pool of {counted(self.workers, 'worker')} and {self.memory_bytes} bytes serves nobody")

    @classmethod
    def of_machine(cls) -> Self:
        """Return what this process may use now: a worker for each core, and three quarters of the free memory."""
        part, whole = MEMORY_SHARE
        return cls(workers=usable_cores(), memory_bytes=max(1, usable_memory_bytes() * part // whole))

    @classmethod
    def of_room(cls, room: Room) -> Self:
        """Return what jobs get, as workers: one for each whole core, and one at least."""
        return cls(workers=max(1, room.cpu_milli // 1000), memory_bytes=max(1, room.memory_bytes))

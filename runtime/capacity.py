"""Amounts of what a machine has: cores, memory, disk, GPUs. What a task takes, what a job may take, what there is.

Values and arithmetic alone; who counts with them is `capacity_ledger`, who reads a machine is `machine_room`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from runtime.quantity import bytes_text, cores_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """An amount of everything that is counted, none of it negative."""

    cpu_milli: int = 0
    """Thousandths of a core."""
    memory_bytes: int = 0
    disk_bytes: int = 0
    gpus: int = 0
    """Whole devices."""

    def __post_init__(self) -> None:
        if self.cpu_milli < 0 or self.memory_bytes < 0 or self.disk_bytes < 0 or self.gpus < 0:
            raise ValueError(f"{self} is less than nothing")

    def __add__(self, other: Self) -> Self:
        """Return both together."""
        return type(self)(
            cpu_milli=self.cpu_milli + other.cpu_milli,
            memory_bytes=self.memory_bytes + other.memory_bytes,
            disk_bytes=self.disk_bytes + other.disk_bytes,
            gpus=self.gpus + other.gpus,
        )

    def __sub__(self, other: Self) -> Self:
        """Return what is left.

        Raises:
            ValueError: it would be less than nothing.
        """
        return type(self)(
            cpu_milli=self.cpu_milli - other.cpu_milli,
            memory_bytes=self.memory_bytes - other.memory_bytes,
            disk_bytes=self.disk_bytes - other.disk_bytes,
            gpus=self.gpus - other.gpus,
        )

    def less(self, other: Self) -> Self:
        """Return what is left, and nothing of what would be less than that."""
        return type(self)(
            cpu_milli=max(0, self.cpu_milli - other.cpu_milli),
            memory_bytes=max(0, self.memory_bytes - other.memory_bytes),
            disk_bytes=max(0, self.disk_bytes - other.disk_bytes),
            gpus=max(0, self.gpus - other.gpus),
        )

    def fits(self, room: Room) -> bool:
        """Tell whether there is at least as much of everything in `room`."""
        return (
            self.cpu_milli <= room.cpu_milli
            and self.memory_bytes <= room.memory_bytes
            and self.disk_bytes <= room.disk_bytes
            and self.gpus <= room.gpus
        )


def together(rooms: Iterable[Room]) -> Room:
    """Return the sum."""
    return sum(rooms, Room())


def excess(demand: Room, most: Room) -> str:
    """Return of what `demand` has more than `most`, in words for whoever demanded it; empty if it fits."""
    found = []
    if demand.cpu_milli > most.cpu_milli:
        found.append(("cores", cores_text(demand.cpu_milli), cores_text(most.cpu_milli)))
    if demand.memory_bytes > most.memory_bytes:
        found.append(("of memory", bytes_text(demand.memory_bytes), bytes_text(most.memory_bytes)))
    if demand.disk_bytes > most.disk_bytes:
        found.append(("of disk", bytes_text(demand.disk_bytes), bytes_text(most.disk_bytes)))
    if demand.gpus > most.gpus:
        found.append(("GPU" if demand.gpus == 1 else "GPUs", str(demand.gpus), str(most.gpus)))
    return "; ".join(f"needs {wanted} {unit}, and gets at most {has}" for unit, wanted, has in found)

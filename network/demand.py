"""Between what messages say of room (`Demand`) and what is counted with (`runtime.capacity.Room`)."""

from __future__ import annotations

from network.messages import Demand
from runtime.capacity import Room


def room_of(demand: Demand) -> Room:
    """Return the room that a message names."""
    return Room(cpu_milli=demand.cpu_milli, memory_bytes=demand.memory, disk_bytes=demand.disk, gpus=demand.gpus)


def demand_of(room: Room) -> Demand:
    """Return what a message says of it.

    Raises:
        ModelError: it is more than messages can say.
    """
    return Demand(cpu_milli=room.cpu_milli, memory=room.memory_bytes, disk=room.disk_bytes, gpus=room.gpus)

"""How much of this machine its node may give to jobs: what the operator says, else what is there. Reads the machine.

What the operator says is taken as said, even if it is more than the machine has: a node beside others on one machine
is given its share, and a tester's more than that. What is left unsaid is read from the machine when the node starts.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from network.messages import Demand
from runtime.pool_capacity import PoolCapacity
from runtime.quantity import parse_bytes, parse_cores
from storage.errors import UnavailableError, UserError
from verifier.bounds import MAX_INTEGER

CPU: Final = "--limit-total-cpu"
MEMORY: Final = "--limit-total-memory"
DISK: Final = "--limit-total-disk"
DISK_SHARE: Final = (1, 2)
"""Of what is free where the node keeps its blocks: the rest is for what is there already to grow."""


class ChangingRoom(Protocol):
    """Room that is elsewhere, and becomes more and less (`network.node.cluster_total`). Thread-safe."""

    def total(self) -> Demand:
        """Return what there is now."""
        ...

    def largest_memory(self) -> int:
        """Return the most memory that a task can ask for now, in bytes."""
        ...

    def watch(self, tell: Callable[[], None]) -> None:
        """Have `tell` called, by any thread, when something has changed; it must not block or raise."""
        ...


def slots_of(total: Demand) -> int:
    """Return how many executions a node has at a time: one for each whole core, at least one."""
    return max(1, total.cpu_milli // 1000)


def total_room(
    directory: Path, *, cpu: str | None = None, memory: str | None = None, disk: str | None = None
) -> Demand:
    """Return what the node has.

    directory: where it keeps its blocks; it or one around it exists. cpu: cores, `2` or `500m`; memory and disk:
    bytes, `4Gb`. None: a core for each that this process may use, three quarters of the memory that is free or that its
    control group allows, half of the free disk.

    Raises:
        UserError: not a quantity, or cores or memory that nothing could run with.
        UnavailableError: the disk cannot be looked at.
    """
    machine = PoolCapacity.of_machine()
    return Demand(
        cpu_milli=machine.workers * 1000 if cpu is None else _some(parse_cores(cpu, where=CPU), cpu, CPU),
        memory=machine.memory_bytes if memory is None else _some(parse_bytes(memory, where=MEMORY), memory, MEMORY),
        disk=_free_disk(directory) if disk is None else _bounded(parse_bytes(disk, where=DISK), disk, DISK),
        gpus=0,
    )


def _some(amount: int, text: str, where: str) -> int:
    if amount == 0:
        fix = "give more, or leave the role compute out"
        raise UserError(f"{text!r} is nothing, and no job runs with that", where=where, fix=fix)
    return _bounded(amount, text, where)


def _bounded(amount: int, text: str, where: str) -> int:
    if amount > MAX_INTEGER:
        raise UserError(f"{text!r} is more than any machine has", where=where, fix="give a smaller number")
    return amount


def _free_disk(directory: Path) -> int:
    existing = next(place for place in (directory, *directory.parents) if place.exists())
    part, whole = DISK_SHARE
    try:
        return shutil.disk_usage(existing).free * part // whole
    except OSError as error:
        fix = f"give {DISK}"
        raise UnavailableError(f"cannot be looked at: {error.strerror}", where=str(existing), fix=fix) from error

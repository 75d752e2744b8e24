"""What the execution of a task takes of a machine, known before anything of its data is fetched.

A requester demands it of nodes, and a node checks what it can check: that no less is demanded than the task's own nodes
tell. How large the data is, its links claim (`storage.dag_size`); a node lets no more come than was demanded.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from runtime.any_plan import AnyPlan
from runtime.capacity import Room
from runtime.container_plan import ContainerPlan
from runtime.worker_transport import worker_memory
from storage.blocks import BlockStore
from storage.dag_size import MAX_BYTES, claimed_bytes

WORKER_CPU_MILLI: Final = 1000
"""A worker is one process that computes on one core. With less, one requester could fill a node for nothing."""


def task_room(plan: AnyPlan, store: BlockStore) -> Room:
    """Return what a task takes whose function and input are here, at least their roots.

    Memory: of the function and of the engine around it. Disk: everything below the task, as its links claim, and all
    that the function may write. Images and checkpoints are not in it: a node keeps them within bounds of
    their own.

    Raises:
        UnavailableError: a root is not here.
        VerificationError: a root is malformed.
    """
    least = least_room(plan)
    disk = min(least.disk_bytes + claimed_bytes(store, plan.task), MAX_BYTES)
    return replace(least, disk_bytes=disk)


def least_room(plan: AnyPlan) -> Room:
    """Return what a task takes by its own nodes alone: without anything that it reads."""
    limits = plan.input.limits
    if isinstance(plan, ContainerPlan):
        room = plan.room
        return replace(room, memory_bytes=min(room.memory_bytes, MAX_BYTES), disk_bytes=min(room.disk_bytes, MAX_BYTES))
    memory = min(worker_memory(limits.memory), MAX_BYTES)  # a stranger's task may ask for anything
    return Room(cpu_milli=WORKER_CPU_MILLI, memory_bytes=memory, disk_bytes=min(limits.output, MAX_BYTES))

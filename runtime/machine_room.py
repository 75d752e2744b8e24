"""What jobs get of this machine, all together and one by one: what the operator says, else what is there.

Reads the machine, through `machine_client` and `nvidia_client`, when a node starts. Cores, memory and disk are taken as
the operator says them, even if it is more than there is: a node beside others on one machine is given its share, and a
tester's more than that. GPUs are devices, so there cannot be more than are found.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from runtime.capacity import Room
from runtime.machine_client import Reading, read_cpu_milli, read_disk_bytes, read_memory_bytes
from runtime.nvidia_client import Gpu, GpuReading, find_gpus
from runtime.pool_capacity import MEMORY_SHARE
from runtime.quantity import bytes_text, cores_text, parse_bytes, parse_cores
from storage.errors import UnavailableError, UserError

MAX_AMOUNT: Final = (1 << 63) - 1
"""What messages between nodes can say."""
_MEBIBYTE: Final = 1 << 20
DISK_SHARE: Final = (1, 2)
"""Of what is free where blocks are kept: the rest is for images and for everything else that grows there. What blocks
take already is added: a job demands room for its inputs also where they are here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomFlags:
    """What an operator says, as texts: for each flag `--limit-total-*` and `--limit-job-*` its value."""

    total_cpu: str | None = None
    total_memory: str | None = None
    total_disk: str | None = None
    total_gpu: str | None = None
    job_cpu: str | None = None
    job_memory: str | None = None
    job_disk: str | None = None
    job_gpu: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineRoom:
    """What jobs get here."""

    total: Room
    """All together."""
    job_most: Room
    """Each of them, at most; nowhere more than `total`."""
    gpus: tuple[Gpu, ...] = ()
    """The devices, as many as `total` says."""
    origins: Mapping[str, str] = field(default_factory=dict)
    """Where each number of `total` is from, by `cpu`, `memory`, `disk` and `gpu`: machine, cgroup or flag."""
    gpu_note: str = ""
    """Why there are no GPUs, or not all; empty if there is nothing to say."""

    def to_json(self) -> list[dict[str, Any]]:
        """Return one entry for each kind of thing: what there is, what a job gets, where the number is from."""
        amounts = (
            ("cpu", cores_text(self.total.cpu_milli), cores_text(self.job_most.cpu_milli)),
            ("memory", bytes_text(self.total.memory_bytes), bytes_text(self.job_most.memory_bytes)),
            ("disk", bytes_text(self.total.disk_bytes), bytes_text(self.job_most.disk_bytes)),
            ("gpu", str(self.total.gpus), str(self.job_most.gpus)),
        )
        origins = self.origins
        return [{"of": of, "total": total, "job": job, "origin": origins.get(of, "")} for of, total, job in amounts]


def machine_room(
    blocks: Path, flags: RoomFlags | None = None, find: Callable[[], GpuReading] = find_gpus
) -> MachineRoom:
    """Return what jobs get here.

    blocks: the file in which blocks are kept, or will be. What the flags leave out is: the cores of this process, or
    the quota of its control group if that is less, and one at least; three quarters of the memory that is free or that
    its group allows; half of the free disk, and what blocks take already; all GPUs; for one job, as much as for all.

    Raises:
        UserError: not a quantity; cores or memory that nothing could run with; more GPUs than there are; more for one
            job than for all together.
        UnavailableError: the disk cannot be looked at.
    """
    return _room(blocks, flags or RoomFlags(), find(), _cpu_here, _memory_here)


def cluster_limit(blocks: Path, flags: RoomFlags) -> MachineRoom:
    """Return what jobs get at most where they are executed by other machines, which may have less.

    Cores and memory that the flags leave out have no bound; the disk is this machine's, where blocks are kept; there
    are no GPUs.

    Raises:
        UserError, UnavailableError: as `machine_room`.
    """
    found = GpuReading(gpus=(), note="the GPUs of a cluster are not used")
    return _room(blocks, flags, found, _unbounded, _unbounded)


def _room(
    blocks: Path,
    flags: RoomFlags,
    found: GpuReading,
    find_cpu: Callable[[], Reading],
    find_memory: Callable[[], Reading],
) -> MachineRoom:
    cpu = _said(flags.total_cpu, "total-cpu", _cores) or find_cpu()
    memory = _said(flags.total_memory, "total-memory", _memory) or find_memory()
    disk = _said(flags.total_disk, "total-disk", _disk) or _disk_here(blocks)
    gpu = _said(flags.total_gpu, "total-gpu", _gpus) or _gpus_here(found)
    if gpu.amount > len(found.gpus):
        problem = f"{gpu.amount} are more than the {len(found.gpus)} that are here"
        raise UserError(problem, where="--limit-total-gpu", fix=found.note or "give fewer")
    total = Room(cpu_milli=cpu.amount, memory_bytes=memory.amount, disk_bytes=disk.amount, gpus=gpu.amount)
    return MachineRoom(
        total=total,
        job_most=_job_most(flags, total),
        gpus=found.gpus[: gpu.amount],
        origins={"cpu": cpu.origin, "memory": memory.origin, "disk": disk.origin, "gpu": gpu.origin},
        gpu_note=found.note,
    )


def _job_most(flags: RoomFlags, total: Room) -> Room:
    cpu = _said(flags.job_cpu, "job-cpu", _cores)
    memory = _said(flags.job_memory, "job-memory", _memory)
    disk = _said(flags.job_disk, "job-disk", _disk)
    gpu = _said(flags.job_gpu, "job-gpu", _gpus)
    return Room(
        cpu_milli=_within(cpu, total.cpu_milli, "cpu", cores_text),
        memory_bytes=_within(memory, total.memory_bytes, "memory", bytes_text),
        disk_bytes=_within(disk, total.disk_bytes, "disk", bytes_text),
        gpus=_within(gpu, total.gpus, "gpu", str),
    )


def _within(said: Reading | None, total: int, of: str, text: Callable[[int], str]) -> int:
    if said is None:
        return total
    if said.amount > total:
        problem = f"{text(said.amount)} for one job is more than all jobs together get, {text(total)}"
        raise UserError(problem, where=f"--limit-job-{of}", fix=f"give less, or raise --limit-total-{of}")
    return said.amount


def _said(text: str | None, flag: str, parse: Callable[[str, str], int]) -> Reading | None:
    """Read a flag; None if it is not there."""
    if text is None:
        return None
    where = f"--limit-{flag}"
    amount = parse(text, where)
    if amount > MAX_AMOUNT:
        raise UserError(f"{text!r} is more than any machine has", where=where, fix="give a smaller number")
    return Reading(amount=amount, origin=f"flag: {where}")


def _cores(text: str, where: str) -> int:
    return _some(parse_cores(text, where=where), text, where)


def _memory(text: str, where: str) -> int:
    return _some(parse_bytes(text, where=where), text, where)


def _disk(text: str, where: str) -> int:
    return parse_bytes(text, where=where)


def _gpus(text: str, where: str) -> int:
    if not re.fullmatch("[0-9]{1,4}", text.strip()):
        raise UserError(f"{text!r} is not a number of GPUs", where=where, fix="write a whole number, such as 1")
    return int(text)


def _some(amount: int, text: str, where: str) -> int:
    if amount == 0:
        fix = "give more, or leave the role compute out"
        raise UserError(f"{text!r} is nothing, and no job runs with that", where=where, fix=fix)
    return amount


def _unbounded() -> Reading:
    return Reading(amount=MAX_AMOUNT, origin="the workers of the cluster")


def _cpu_here() -> Reading:
    cpu = read_cpu_milli()
    return cpu if cpu.amount >= 1000 else Reading(amount=1000, origin=f"{cpu.origin}, and one at least")


def _memory_here() -> Reading:
    memory, (part, whole) = read_memory_bytes(), MEMORY_SHARE
    amount = max(_MEBIBYTE, _rounded(memory.amount * part // whole))
    return Reading(amount=amount, origin=f"{memory.origin}, three quarters of it")


def _disk_here(blocks: Path) -> Reading:
    part, whole = DISK_SHARE
    try:
        disk = read_disk_bytes(blocks.parent)
        held = blocks.stat().st_size if blocks.exists() else 0
    except OSError as error:
        fix = "give --limit-total-disk"
        problem = f"the free disk cannot be looked at: {error.strerror}"
        raise UnavailableError(problem, where=str(blocks.parent), fix=fix) from error
    origin = f"{disk.origin}, half of it" + (", and what its blocks take" if held else "")
    return Reading(amount=_rounded(disk.amount * part // whole + held), origin=origin)


def _rounded(size: int) -> int:
    return size - size % _MEBIBYTE  # to be read, and it changes while one reads it


def _gpus_here(found: GpuReading) -> Reading:
    origin = "machine: nvidia-smi" if found.gpus else f"machine: {found.note}"
    return Reading(amount=len(found.gpus), origin=origin)

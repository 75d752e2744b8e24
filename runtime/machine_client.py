"""How many cores, how much memory and how much disk this process may use, as the operating system tells.

Control groups count in version 2 only, as in `cgroup_client`. What cannot be read bounds nothing: without /proc, as on
macOS, the machine's own numbers are taken.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runtime.cgroup_client import mount_point, own_group
from storage.errors import UnavailableError

PROC: Final = Path("/proc")
UNKNOWN_MEMORY_BYTES: Final = 4 << 30
"""Where nothing tells the memory of the machine: one worker of the default size, with its engine, fits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """An amount, and what it was read from."""

    amount: int
    origin: str
    """`machine`, or the file of a control group; after a colon, what of it."""


def usable_cores(proc: Path = PROC) -> int:
    """Return how many cores this process may keep busy, whole ones, at least 1."""
    return max(1, read_cpu_milli(proc).amount // 1000)


def usable_memory_bytes(proc: Path = PROC) -> int:
    """Return the memory that can be had; see `read_memory_bytes`."""
    return read_memory_bytes(proc).amount


def read_cpu_milli(proc: Path = PROC) -> Reading:
    """Return what this process may keep busy, thousandths of a core: its affinity, or the least quota of its groups.

    A quota of two and a half cores is 2500.
    """
    affine = Reading(amount=1000 * _affine_cores(), origin="machine: cores that this process may run on")
    return min([affine, *_quotas(proc)], key=lambda reading: reading.amount)


def read_memory_bytes(proc: Path = PROC) -> Reading:
    """Return the memory that can be had without swapping, or the limit of this process's groups if that is less.

    The limit counts whole: what a group has in use is mostly page cache, which gives way.
    """
    return min([_free_memory(proc), *_limits(proc)], key=lambda reading: reading.amount)


def read_disk_bytes(directory: Path) -> Reading:
    """Return what is free on the disk of a directory, or of the first one around it that exists.

    Raises:
        OSError: it cannot be looked at.
    """
    existing = next(place for place in (directory, *directory.parents) if place.exists())
    return Reading(amount=shutil.disk_usage(existing).free, origin=f"machine: free on the disk of {existing}")


def _affine_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _free_memory(proc: Path) -> Reading:
    for line in _text(proc / "meminfo").splitlines():
        name, _, amount = line.partition(":")
        if name == "MemAvailable" and (words := amount.split()) and words[0].isdigit():
            return Reading(amount=int(words[0]) << 10, origin="machine: memory available")  # "kB" there are KiB
    try:
        installed = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return Reading(amount=installed, origin="machine: all of its memory")
    except (ValueError, OSError):
        return Reading(amount=UNKNOWN_MEMORY_BYTES, origin="machine: does not tell, so this is taken")


def _quotas(proc: Path) -> Iterator[Reading]:
    for group in _groups(proc):
        words = _text(group / "cpu.max").split()  # microseconds, or "max", in each period of microseconds
        if len(words) == 2 and all(word.isdigit() for word in words) and words[1].strip("0"):
            yield Reading(amount=1000 * int(words[0]) // int(words[1]), origin=f"cgroup: {group / 'cpu.max'}")


def _limits(proc: Path) -> Iterator[Reading]:
    for group in _groups(proc):
        text = _text(group / "memory.max").strip()
        if text.isdigit():
            yield Reading(amount=int(text), origin=f"cgroup: {group / 'memory.max'}")


def _groups(proc: Path) -> Iterator[Path]:
    """Yield this process's group and those around it: each bounds what is inside."""
    try:
        mounted = mount_point(_text(proc / "self" / "mounts"))
        group = own_group(_text(proc / "self" / "cgroup"), mounted)
    except UnavailableError:
        return
    for place in (group, *group.parents):
        yield place
        if place == mounted:
            return


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8", "replace")
    except OSError:
        return ""

"""How many cores and how much memory this process may use, as the operating system tells.

Control groups count in version 2 only, as in `cgroup_client`. What cannot be read bounds nothing: without /proc, as on
macOS, the machine's own numbers are taken.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from runtime.cgroup_client import mount_point, own_group
from storage.errors import UnavailableError

PROC: Final = Path("/proc")
UNKNOWN_MEMORY_BYTES: Final = 4 << 30
"""Where nothing tells the memory of the machine: one worker of the default size, with its engine, fits."""


def usable_cores(proc: Path = PROC) -> int:
    """Return how many cores this process may keep busy, at least 1: its affinity, and the quotas of its groups.

    A quota of two and a half cores is two.
    """
    return max(1, min([_affine_cores(), *_quotas(proc)]))


def usable_memory_bytes(proc: Path = PROC) -> int:
    """Return the memory that can be had without swapping, or the limit of this process's groups if that is less.

    The limit counts whole: what a group has in use is mostly page cache, which gives way.
    """
    return min([_free_bytes(proc), *_limits(proc)])


def _affine_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _free_bytes(proc: Path) -> int:
    for line in _text(proc / "meminfo").splitlines():
        name, _, amount = line.partition(":")
        if name == "MemAvailable" and (words := amount.split()) and words[0].isdigit():
            return int(words[0]) << 10  # "kB" there are KiB
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return UNKNOWN_MEMORY_BYTES


def _quotas(proc: Path) -> Iterator[int]:
    for group in _groups(proc):
        words = _text(group / "cpu.max").split()  # microseconds, or "max", in each period of microseconds
        if len(words) == 2 and all(word.isdigit() for word in words) and words[1].strip("0"):
            yield int(words[0]) // int(words[1])


def _limits(proc: Path) -> Iterator[int]:
    for group in _groups(proc):
        text = _text(group / "memory.max").strip()
        if text.isdigit():
            yield int(text)


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

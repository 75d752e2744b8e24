"""How much disk some directories take, as far as this process may look: strangers write there while it looks.

A file that is open has its bytes when it has no name any more: no walk of directories sees it. `open_bytes` finds those
that processes hold by a descriptor; who passes one through a socket, or maps a file and closes it, is not found.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

MAX_ENTRIES: Final = 200_000
"""More than an output may have; a walk of so many takes about a second."""
_BLOCK_BYTES: Final = 512
"""What `st_blocks` counts, on every file system."""
_PROCESSES: Final = "/proc"


class TooManyEntriesError(Exception):
    """There are more than MAX_ENTRIES."""


def allocated_bytes(places: Iterable[str]) -> int | None:
    """Return what is allocated below directories; None if one cannot be read.

    No link is followed, and what vanishes meanwhile is not counted.

    Raises:
        TooManyEntriesError: as it says.
    """
    total, count, todo = 0, 0, list(places)
    if not all(os.access(place, os.R_OK | os.X_OK) for place in todo):
        return None
    while todo:
        try:
            with os.scandir(todo.pop()) as entries:
                for entry in entries:
                    count += 1
                    if count > MAX_ENTRIES:
                        raise TooManyEntriesError
                    total += _size(entry, todo)
        except OSError:
            continue  # gone, or closed by who owns it: the engine counts what is collected again
    return total


def _size(entry: os.DirEntry[str], todo: list[str]) -> int:
    try:
        said = entry.stat(follow_symlinks=False)
    except OSError:
        return 0
    if stat.S_ISDIR(said.st_mode):
        todo.append(entry.path)
    return said.st_blocks * _BLOCK_BYTES


def disks_of(places: Iterable[str]) -> tuple[str, ...]:
    """Return the topmost directories of the file systems that directories are on; of those that can be looked at.

    To be asked what is free: a directory with a project quota tells what is left of that.
    """
    found: dict[str, None] = {}
    for place in places:
        with suppress(OSError):
            top = Path(place)
            device = top.stat().st_dev
            while top != top.parent and top.parent.stat().st_dev == device:
                top = top.parent
            found[str(top)] = None
    return tuple(found)


def free_bytes(disks: Iterable[str]) -> dict[int, int]:
    """Return how much may still be written to the file systems of directories, by device; those that can be asked.

    Of several directories of one the most is taken: a quota only ever lowers what is told.
    """
    free: dict[int, int] = {}
    for place in disks:
        with suppress(OSError):
            said, device = os.statvfs(place), os.stat(place).st_dev  # noqa: PTH116  a text, like the others
            free[device] = max(free.get(device, 0), said.f_bavail * said.f_frsize)
    return free


def open_bytes(pid: int, devices: Collection[int]) -> int:
    """Return what files without a name take that the processes in the pid namespace of `pid` have open.

    devices: where they count; so they do in the root of `pid`, which may be a file system of its own over one of them.
    0 where this process may not look, or there is no such process.

    Raises:
        TooManyEntriesError: more than MAX_ENTRIES are open.
    """
    found: dict[tuple[int, int], int] = {}
    counted = {*devices, *free_bytes([f"{_PROCESSES}/{pid}/root"])}
    for count, path in enumerate(_descriptors(pid)):
        if count >= MAX_ENTRIES:
            raise TooManyEntriesError
        with suppress(OSError):
            said = os.stat(path)  # noqa: PTH116  of what it is open on
            if said.st_nlink == 0 and said.st_dev in counted and stat.S_ISREG(said.st_mode):
                found[said.st_dev, said.st_ino] = said.st_blocks * _BLOCK_BYTES
    return sum(found.values())


def _descriptors(pid: int) -> Iterator[str]:
    own = _namespace(str(pid))
    if own is None or own == _namespace("self"):
        return  # a container that shares ours is none of our making
    for process in Path(_PROCESSES).iterdir():
        if process.name.isdigit() and _namespace(process.name) == own:
            with suppress(OSError):
                yield from map(str, (process / "fd").iterdir())


def _namespace(process: str) -> int | None:
    try:
        return Path(_PROCESSES, process, "ns", "pid").stat().st_ino
    except OSError:
        return None

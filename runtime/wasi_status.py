"""What a guest is told of files: `stat`, times, and the entries of a directory as they lie in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from runtime.wasi_abi import DIRENT, FILESTAT, Errno, FileType, TimeFlag, WasiError
from runtime.wasi_clock import Clock
from runtime.wasi_nodes import Directory, File, Node

DEVICE: Final = 1
"""Of everything that has a name."""


def filestat(node: Node | None) -> bytes:
    """Return the structure `filestat`; None is a stream."""
    if node is None:
        return FILESTAT.pack(0, 0, FileType.UNKNOWN, 1, 0, 0, 0, 0)
    times = (node.accessed_ns, node.changed_ns, node.altered_ns)
    return FILESTAT.pack(DEVICE, node.inode, node.kind, node.links, node.size, *times)


def set_times(node: Node, clock: Clock, accessed: int, changed: int, flags: int) -> None:
    """Set times, nanoseconds since 1970, as flags say.

    Raises:
        WasiError: INVAL, the flags contradict each other; ROFS.
    """
    if not 0 <= flags <= 15 or flags & 3 == 3 or flags & 12 == 12:
        raise WasiError(Errno.INVAL)
    if isinstance(node, File | Directory) and not node.is_writable:
        raise WasiError(Errno.ROFS)
    wanted, now = TimeFlag(flags), clock.peek()
    if wanted & (TimeFlag.ACCESS | TimeFlag.ACCESS_NOW):
        node.accessed_ns = now if TimeFlag.ACCESS_NOW in wanted else accessed & 0xFFFFFFFFFFFFFFFF
    if wanted & (TimeFlag.CHANGE | TimeFlag.CHANGE_NOW):
        node.changed_ns = now if TimeFlag.CHANGE_NOW in wanted else changed & 0xFFFFFFFFFFFFFFFF
    node.altered_ns = now


def write_listing(target: memoryview, directory: Directory, names: Sequence[str], first: int) -> int:
    """Write entries of a directory from the one numbered `first` on; return the bytes that were used.

    The last one may be cut: a guest that has less than the buffer's bytes has all.
    """
    at = 0
    for number in range(first, len(names)):
        if at == len(target):
            break
        entry = _entry(directory, names[number], number + 1)[: len(target) - at]
        target[at : at + len(entry)] = entry
        at += len(entry)
    return at


def _entry(directory: Directory, name: str, cookie: int) -> bytes:
    node: Node | None
    if name == ".":
        node = directory
    elif name == "..":
        node = directory.parent or directory
    else:
        node = directory.get(name)
    written = name.encode()
    inode, kind = (0, FileType.UNKNOWN) if node is None else (node.inode, node.kind)  # None: it was removed meanwhile
    return DIRENT.pack(cookie, inode, len(written), kind) + written

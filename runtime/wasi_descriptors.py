"""What a guest has open: descriptors by number, with their rights, and the streams among them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Final

from runtime.wasi_abi import (
    ALL_RIGHTS,
    DIRECTORY_RIGHTS,
    NO_FLAGS,
    NO_RIGHTS,
    READ_RIGHTS,
    STREAM_RIGHTS,
    Errno,
    FdFlag,
    FileType,
    Right,
    WasiError,
)
from runtime.wasi_nodes import Directory, File, Node

MAX_DESCRIPTORS: Final = 4096
ROOT_FD: Final = 3
"""The first after the streams."""


@dataclass(slots=True, kw_only=True)
class Descriptor:
    """One open file, directory or stream."""

    node: Node | None
    """None of a stream."""
    rights: Right
    inherited: Right = NO_RIGHTS
    """What descriptors may have that are opened below it."""
    flags: FdFlag = NO_FLAGS
    position: int = 0
    write_stream: Callable[[memoryview], None] | None = None
    """Of a stream: takes what is written."""
    name: str | None = None
    """Of a directory that was open when the guest began."""
    listing: list[str] = field(default_factory=list)
    """Of a directory that is being listed: the names when it began."""

    @property
    def kind(self) -> FileType:
        """What it is."""
        return FileType.UNKNOWN if self.node is None else self.node.kind

    def need(self, right: Right) -> None:
        """Go on if it has a right.

        Raises:
            WasiError: NOTCAPABLE; of a kind that never has it: SPIPE, NOTDIR, ISDIR, BADF.
        """
        if right in self.rights:
            return
        if self.node is None:
            raise WasiError(Errno.SPIPE if right & (Right.SEEK | Right.TELL) else Errno.BADF)
        raise WasiError(Errno.NOTCAPABLE)

    def file(self, right: Right) -> File:
        """Return the file that is open, if it has a right.

        Raises:
            WasiError: ISDIR, SPIPE, BADF, NOTCAPABLE.
        """
        if isinstance(self.node, Directory):
            raise WasiError(Errno.ISDIR)
        self.need(right)
        if not isinstance(self.node, File):
            raise WasiError(Errno.BADF)
        return self.node

    def directory(self, right: Right) -> Directory:
        """Return the directory that is open, if it has a right.

        Raises:
            WasiError: NOTDIR, NOTCAPABLE.
        """
        if not isinstance(self.node, Directory):
            raise WasiError(Errno.NOTDIR)
        self.need(right)
        return self.node


class Descriptors:
    """All that is open, by number."""

    def __init__(self, stdin: File, out: Callable[[memoryview], None], err: Callable[[memoryview], None]) -> None:
        self._open: dict[int, Descriptor] = {}
        self._free: list[int] = []
        """A heap: numbers below the largest that are not in use."""
        self.add(Descriptor(node=stdin, rights=READ_RIGHTS))
        self.add(Descriptor(node=None, rights=STREAM_RIGHTS, write_stream=out))
        self.add(Descriptor(node=None, rights=STREAM_RIGHTS, write_stream=err))

    def add_root(self, root: Directory) -> None:
        """Open the root, at number 3."""
        self.add(Descriptor(node=root, rights=DIRECTORY_RIGHTS, inherited=ALL_RIGHTS, name="/"))

    def add(self, descriptor: Descriptor) -> int:
        """Open a descriptor at the lowest free number.

        Raises:
            WasiError: MFILE, too many are open.
        """
        self.check_room()
        number = heappop(self._free) if self._free else len(self._open)
        self._open[number] = descriptor
        if descriptor.node is not None:
            descriptor.node.opens += 1
        return number

    def check_room(self) -> None:
        """Go on if one more can be opened.

        Raises:
            WasiError: MFILE, too many are open.
        """
        if len(self._open) >= MAX_DESCRIPTORS:
            raise WasiError(Errno.MFILE)

    def find(self, number: int) -> Descriptor:
        """Return what is open under a number.

        Raises:
            WasiError: BADF.
        """
        found = self._open.get(number & 0xFFFFFFFF)
        if found is None:
            raise WasiError(Errno.BADF)
        return found

    def close(self, number: int) -> None:
        """Close a descriptor; raises as `find`."""
        descriptor = self.find(number)
        self._remove(number & 0xFFFFFFFF)
        _release(descriptor)

    def renumber(self, number: int, to: int) -> None:
        """Move a descriptor to the number of another one, which is closed; raises as `find`."""
        moved, closed = self.find(number), self.find(to)
        if moved is closed:
            return
        self._open[to & 0xFFFFFFFF] = moved
        self._remove(number & 0xFFFFFFFF)
        _release(closed)

    def _remove(self, number: int) -> None:
        del self._open[number]
        heappush(self._free, number)


def _release(descriptor: Descriptor) -> None:
    if descriptor.node is not None:
        descriptor.node.opens -= 1
        descriptor.node.release()

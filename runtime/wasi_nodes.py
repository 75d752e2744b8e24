"""Files, directories and links of a guest's file system, in the host's memory, and how many of them there may be.

Inode numbers count up in the order in which nodes come to be or are first seen: by the guest's doing alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final

from runtime.wasi_abi import Errno, FileType, WasiError

MAX_NAME_BYTES: Final = 255
SORTING: Final = 2000
"""Work of a name that is put in order."""
MAX_DEPTH: Final = 1000
"""Directories in one another, when one is made or moved."""
NODE_BYTES: Final = 1024
"""What a node of the guest's own counts for beside its content: it takes as much of the host."""


_ZEROS_BYTES: Final = 16 << 20


class Space:
    """Bytes that all of the guest's own files and links may have together."""

    def __init__(self, limit_bytes: int) -> None:
        self.left_bytes = limit_bytes
        self.work = 0
        """What the host had to do for the guest's file system: bytes that came and went, and more; the guest pays."""

    def take(self, count: int) -> None:
        """Take some; a negative count gives some back.

        Raises:
            WasiError: NOSPC.
        """
        if count > self.left_bytes:
            raise WasiError(Errno.NOSPC)
        self.left_bytes -= count
        self.work += abs(count)


class Inodes:
    """Numbers for nodes."""

    def __init__(self) -> None:
        self._last = 0

    def next(self) -> int:
        """Return the next number."""
        self._last += 1
        return self._last


class Node:
    """What a path leads to."""

    kind: ClassVar[FileType]

    def __init__(self, inode: int, time_ns: int) -> None:
        self.inode = inode
        self.accessed_ns = self.changed_ns = self.altered_ns = time_ns
        self.links = 1
        """Names that lead here."""
        self.opens = 0
        """Descriptors that are open here."""
        self.is_fixed = False
        """A mount, or on the way to one: it cannot be moved or removed."""

    @property
    def size(self) -> int:
        """Bytes."""
        return 0

    def release(self) -> None:
        """Give back what it takes, if nothing leads here any more."""


class File(Node):
    """A regular file."""

    kind = FileType.REGULAR
    is_writable: ClassVar[bool]

    def read_into(self, position: int, target: memoryview) -> int:
        """Fill `target` from a position on; return how many bytes there were."""
        raise NotImplementedError


class OwnFile(File):
    """A file that the guest made."""

    is_writable = True

    def __init__(self, inode: int, time_ns: int, space: Space) -> None:
        space.take(NODE_BYTES)
        super().__init__(inode, time_ns)
        self.content = bytearray()
        self._space = space

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.content)

    def read_into(self, position: int, target: memoryview) -> int:
        """Fill `target` from a position on; return how many bytes there were."""
        if position >= len(self.content):
            return 0
        with memoryview(self.content) as whole:
            data = whole[position : position + len(target)]
            target[: len(data)] = data
            count = len(data)
            data.release()
        return count

    def write(self, position: int, data: memoryview) -> None:
        """Write bytes; a gap before them is zeros.

        Raises:
            WasiError: NOSPC, FBIG.
        """
        if len(data) == 0:
            return
        if position + len(data) > len(self.content):
            self.resize(position + len(data))
        self.content[position : position + len(data)] = data

    def resize(self, size: int) -> None:
        """Cut the file, or add zeros; raises as `write`."""
        if size >= 1 << 63:
            raise WasiError(Errno.FBIG)
        self._space.take(size - len(self.content))
        if size < len(self.content):
            del self.content[size:]
        else:
            while len(self.content) < size:  # without as much again beside it
                self.content.extend(bytes(min(size - len(self.content), _ZEROS_BYTES)))

    def release(self) -> None:
        """Give back what it takes, if nothing leads here any more."""
        if self.links == 0 and self.opens == 0:
            self._space.take(-NODE_BYTES - len(self.content))
            self.content = bytearray()


class Symlink(Node):
    """A symbolic link."""

    kind = FileType.SYMLINK

    def __init__(self, inode: int, time_ns: int, target: bytes, space: Space | None = None) -> None:
        if space is not None:
            space.take(NODE_BYTES + len(target))
        super().__init__(inode, time_ns)
        self.target = target
        """What it points to, UTF-8."""
        self._space = space

    @property
    def size(self) -> int:
        """Bytes of the target."""
        return len(self.target)

    def release(self) -> None:
        """Give back what it takes, if nothing leads here any more."""
        if self.links == 0 and self._space is not None:
            self._space.take(-NODE_BYTES - len(self.target))


class Directory(Node):
    """A directory."""

    kind = FileType.DIRECTORY
    is_writable: bool
    parent: Directory | None = None
    """The directory that has a name for it; None of the root."""

    def get(self, name: str) -> Node | None:
        """Return what is there under a name, None if nothing is."""
        raise NotImplementedError

    def names(self) -> list[str]:
        """Return the names, by their UTF-8 bytes."""
        raise NotImplementedError

    def put(self, name: str, node: Node) -> None:
        """Enter a node under a name that is not taken.

        Raises:
            WasiError: ROFS.
        """
        raise NotImplementedError

    def remove(self, name: str) -> Node:
        """Take a node out, by a name that is there; raises as `put`."""
        raise NotImplementedError


class OwnDirectory(Directory):
    """A directory of the guest's, or one on the way to mounts, which cannot be written to."""

    def __init__(self, inode: int, time_ns: int, *, space: Space, is_writable: bool) -> None:
        space.take(NODE_BYTES)
        super().__init__(inode, time_ns)
        self.is_writable = is_writable
        self._space = space
        self._nodes: dict[str, Node] = {}
        self._names: list[str] | None = None
        """In order, until something changes."""

    def get(self, name: str) -> Node | None:
        """Return what is there under a name, None if nothing is."""
        return self._nodes.get(name)

    def names(self) -> list[str]:
        """Return the names, by their UTF-8 bytes."""
        if self._names is None:
            self._space.work += SORTING * len(self._nodes)
            self._names = sorted(self._nodes, key=str.encode)
        return self._names

    def put(self, name: str, node: Node) -> None:
        """Enter a node under a name that is not taken."""
        if not self.is_writable:
            raise WasiError(Errno.ROFS)
        if self.links == 0:  # it was removed, and is only open still
            raise WasiError(Errno.NOENT)
        self.mount(name, node)

    def mount(self, name: str, node: Node) -> None:
        """Enter a node though the guest could not."""
        self._nodes[name] = node
        self._names = None
        if isinstance(node, Directory):
            node.parent = self

    def remove(self, name: str) -> Node:
        """Take a node out, by a name that is there."""
        if not self.is_writable:
            raise WasiError(Errno.ROFS)
        self._names = None
        return self._nodes.pop(name)

    def ancestors(self) -> Iterator[Directory]:
        """Yield this directory and those that hold it.

        Raises:
            WasiError: NAMETOOLONG, there are more than `MAX_DEPTH`.
        """
        directory: Directory | None = self
        for _ in range(MAX_DEPTH):
            if directory is None:
                return
            yield directory
            directory = directory.parent
        raise WasiError(Errno.NAMETOOLONG)

    def release(self) -> None:
        """Give back what it takes, if nothing leads here any more."""
        if self.links == 0:
            self._space.take(-NODE_BYTES)

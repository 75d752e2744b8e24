"""The tree that a guest sees: where what is mounted, and how paths are followed.

/                    read-only; the one directory that is open when the guest begins
/inputs, volumes     read-only, what was handed over
/outputs, -o paths   writable, collected when the run has ended
/tmp                 writable, thrown away
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from runtime.wasi_abi import Errno, WasiError
from runtime.wasi_clock import Clock
from runtime.wasi_inputs import INPUT_TIME_NS
from runtime.wasi_nodes import MAX_NAME_BYTES, Directory, Inodes, Node, OwnDirectory, OwnFile, Space, Symlink

MAX_LINKS: Final = 40
"""Followed on the way of one path, as on Linux."""
STEP: Final = 2000
"""Work of one name on a path."""
TMP: Final = "tmp"


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a path ends: a name in a directory, and what is there."""

    way: tuple[Directory, ...]
    """Directories from where the path began to the one that holds the name."""
    name: str
    """Empty if the path ends where it began, or goes up from there."""
    node: Node | None

    @property
    def directory(self) -> Directory:
        """The directory that holds the name."""
        return self.way[-1]


class Tree:
    """A guest's file system."""

    def __init__(self, clock: Clock, space: Space, inodes: Inodes) -> None:
        self.clock = clock
        self.space = space
        self.inodes = inodes
        self.root = OwnDirectory(inodes.next(), INPUT_TIME_NS, space=space, is_writable=False)
        self.root.is_fixed = True
        self.mount(f"/{TMP}", self.make_directory())

    def make_directory(self) -> OwnDirectory:
        """Return a new directory of the guest's, which has no name yet.

        Raises:
            WasiError: NOSPC.
        """
        return OwnDirectory(self.inodes.next(), self.clock.peek(), space=self.space, is_writable=True)

    def make_file(self) -> OwnFile:
        """Return a new file that has no name yet; raises as `make_directory`."""
        return OwnFile(self.inodes.next(), self.clock.peek(), self.space)

    def make_link(self, target: str) -> Symlink:
        """Return a new link that has no name yet; raises as `make_directory`."""
        return Symlink(self.inodes.next(), self.clock.peek(), target.encode(), self.space)

    def mount(self, path: str, node: Node) -> None:
        """Put a node at an absolute path at which nothing is, with the directories on the way.

        Raises:
            ValueError: something is there, or what is on the way is a mount.
        """
        *way, name = path.strip("/").split("/")
        directory = self.root
        for part in way:
            found = directory.get(part)
            if found is None:
                found = OwnDirectory(self.inodes.next(), INPUT_TIME_NS, space=self.space, is_writable=False)
                found.is_fixed = True
                directory.mount(part, found)
            if not isinstance(found, OwnDirectory) or found.is_writable:
                raise ValueError(f"{path} lies in another mount")
            directory = found
        if not name or directory.get(name) is not None:
            raise ValueError(f"{path} is mounted twice")
        node.is_fixed = True
        directory.mount(name, node)

    def touch(self, *nodes: Node) -> None:
        """Note that the content of nodes was changed now."""
        for node in nodes:
            node.changed_ns = node.altered_ns = self.clock.peek()

    def follow(self, start: Directory, path: str, *, follows_last: bool) -> Spot:
        """Return where a path ends that begins at a directory, above which it may not go.

        Raises:
            WasiError: NOENT, NOTDIR, LOOP, NAMETOOLONG; PERM, it leads out of the directory.
        """
        if not path:
            raise WasiError(Errno.NOENT)
        way, links = [start], 0
        left = self._parts(way, path)
        must_be_directory = path.endswith(("/", "/.", "/..")) or path in (".", "..")
        while True:
            name = left.pop()
            self.space.work += STEP
            if name == "..":
                if len(way) > 1:
                    way.pop()
                elif start is not self.root:
                    raise WasiError(Errno.PERM)
                node: Node | None = way[-1]
            elif name == ".":
                node = way[-1]
            else:
                _check_name(name)
                node = way[-1].get(name)
            if isinstance(node, Symlink) and (left or follows_last or must_be_directory):
                links += 1
                if links > MAX_LINKS:
                    raise WasiError(Errno.LOOP)
                target = node.target.decode()
                if not target:
                    raise WasiError(Errno.NOENT)
                left += self._parts(way, target)
                continue
            if not left:
                if must_be_directory and not isinstance(node, Directory):
                    raise WasiError(Errno.NOENT if node is None else Errno.NOTDIR)
                return Spot(tuple(way), "" if name in (".", "..") else name, node)
            if node is None:
                raise WasiError(Errno.NOENT)
            if not isinstance(node, Directory):
                raise WasiError(Errno.NOTDIR)
            if node is not way[-1]:
                way.append(node)

    def _parts(self, way: list[Directory], path: str) -> list[str]:
        """Return the names of a path, the last one first; one that begins at the root begins there if that is open."""
        if path.startswith("/"):
            if way[0] is not self.root:
                raise WasiError(Errno.PERM)
            del way[1:]
        parts = [part for part in path.split("/") if part] or ["."]
        return parts[::-1]


def _check_name(name: str) -> None:
    if len(name.encode()) > MAX_NAME_BYTES:
        raise WasiError(Errno.NAMETOOLONG)

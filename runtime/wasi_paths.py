"""The calls of WASI preview 1 that begin with `path_`: what is done with names. One method for each."""

from __future__ import annotations

from typing import Final

from runtime.wasi_abi import (
    ALL_RIGHTS,
    DIRECTORY_RIGHTS,
    FILE_RIGHTS,
    FOLLOW,
    Errno,
    FdFlag,
    OpenFlag,
    Right,
    WasiError,
)
from runtime.wasi_descriptors import Descriptor, Descriptors
from runtime.wasi_memory import GuestMemory
from runtime.wasi_nodes import Directory, File, Node, OwnDirectory, OwnFile, Symlink
from runtime.wasi_status import filestat, set_times
from runtime.wasi_tree import Spot, Tree

_WRITING: Final = Right.WRITE | Right.ALLOCATE | Right.SET_SIZE


class PathCalls:
    """Numbers come as the guest's integers, signed; what goes wrong is a `WasiError`."""

    def __init__(self, memory: GuestMemory, descriptors: Descriptors, tree: Tree) -> None:
        self._memory = memory
        self._open = descriptors
        self._tree = tree

    def _spot(self, fd: int, address: int, length: int, right: Right, *, follows: bool, strips: bool = False) -> Spot:
        """Return where a path ends. strips: slashes at its end mean nothing."""
        directory = self._open.find(fd).directory(right)
        path = self._memory.text(address, length)
        if strips and not path.endswith(("/./", "/../")):
            path = path.rstrip("/") or path[:1]
        return self._tree.follow(directory, path, follows_last=follows)

    def path_create_directory(self, fd: int, address: int, length: int) -> None:
        """Make a directory."""
        spot = self._spot(fd, address, length, Right.CREATE_DIRECTORY, follows=False, strips=True)
        self._check_free(spot)
        if isinstance(spot.directory, OwnDirectory):
            for _ in spot.directory.ancestors():
                self._tree.space.work += 1
        self._enter(spot, self._tree.make_directory())

    def path_filestat_get(self, fd: int, flags: int, address: int, length: int, status: int) -> None:
        """Tell what `stat` tells."""
        spot = self._spot(fd, address, length, Right.PATH_STAT, follows=bool(flags & FOLLOW))
        self._memory.write(status, filestat(_there(spot)))

    def path_filestat_set_times(
        self, fd: int, flags: int, address: int, length: int, accessed: int, changed: int, which: int
    ) -> None:
        """Set the times of a file."""
        spot = self._spot(fd, address, length, Right.PATH_SET_TIMES, follows=bool(flags & FOLLOW))
        node = _there(spot)
        if isinstance(node, Symlink) and not spot.directory.is_writable:
            raise WasiError(Errno.ROFS)
        set_times(node, self._tree.clock, accessed, changed, which)

    def path_link(
        self, fd: int, flags: int, address: int, length: int, to_fd: int, to_address: int, to_length: int
    ) -> None:
        """Give a file or link another name."""
        if flags & FOLLOW:
            raise WasiError(Errno.INVAL)
        node = _there(self._spot(fd, address, length, Right.LINK_SOURCE, follows=False))
        spot = self._spot(to_fd, to_address, to_length, Right.LINK_TARGET, follows=False)
        if isinstance(node, Directory):
            raise WasiError(Errno.PERM)
        self._check_free(spot)
        if not spot.directory.is_writable or (isinstance(node, File) and not node.is_writable) or node.is_fixed:
            raise WasiError(Errno.ROFS)
        self._enter(spot, node)
        node.links += 1

    def path_open(
        self,
        fd: int,
        look: int,
        address: int,
        length: int,
        opening: int,
        rights: int,
        inherited: int,
        flags: int,
        opened: int,
    ) -> None:
        """Open or make a file, or open a directory."""
        if not 0 <= opening <= 15 or not 0 <= flags <= 31:
            raise WasiError(Errno.INVAL)
        how, base = OpenFlag(opening), self._open.find(fd)
        if OpenFlag.DIRECTORY in how and how & (OpenFlag.CREATE | OpenFlag.EXCLUSIVE | OpenFlag.TRUNCATE):
            raise WasiError(Errno.INVAL)
        may = Right(rights & base.inherited)
        follows = bool(look & FOLLOW) and not (OpenFlag.CREATE in how and OpenFlag.EXCLUSIVE in how)
        self._memory.part(opened, 4)
        spot = self._spot(fd, address, length, Right.OPEN, follows=follows)
        node = self._opened_node(spot, how, base, writes=bool(may & _WRITING))
        kept = may & (DIRECTORY_RIGHTS if isinstance(node, Directory) else FILE_RIGHTS)
        below = Right(inherited & base.inherited & ALL_RIGHTS)
        number = self._open.add(Descriptor(node=node, rights=kept, inherited=below, flags=FdFlag(flags)))
        self._memory.write_u32(opened, number)

    def _opened_node(self, spot: Spot, how: OpenFlag, base: Descriptor, *, writes: bool) -> Node:
        if spot.node is None:
            if OpenFlag.CREATE not in how:
                raise WasiError(Errno.NOENT)
            base.need(Right.CREATE_FILE)
            self._open.check_room()
            self._check_free(spot)
            made = self._tree.make_file()
            self._enter(spot, made)
            return made
        if OpenFlag.CREATE in how and OpenFlag.EXCLUSIVE in how:
            raise WasiError(Errno.EXIST)
        node = spot.node
        if isinstance(node, Symlink):
            raise WasiError(Errno.LOOP)
        if isinstance(node, Directory):
            if OpenFlag.TRUNCATE in how or (writes and OpenFlag.DIRECTORY not in how):
                raise WasiError(Errno.ISDIR)
            return node
        if OpenFlag.DIRECTORY in how:
            raise WasiError(Errno.NOTDIR)
        if isinstance(node, File) and not node.is_writable and (writes or OpenFlag.TRUNCATE in how):
            raise WasiError(Errno.ROFS)
        if OpenFlag.TRUNCATE in how and isinstance(node, OwnFile):
            base.need(Right.PATH_SET_SIZE)
            self._open.check_room()
            node.resize(0)
            self._tree.touch(node)
        return node

    def path_readlink(self, fd: int, address: int, length: int, buffer: int, room: int, used: int) -> None:
        """Tell where a link leads, as much as there is room for."""
        node = _there(self._spot(fd, address, length, Right.READLINK, follows=False))
        if not isinstance(node, Symlink):
            raise WasiError(Errno.INVAL)
        target = node.target[: room & 0xFFFFFFFF]
        self._memory.write(buffer, target)
        self._memory.write_u32(used, len(target))

    def path_remove_directory(self, fd: int, address: int, length: int) -> None:
        """Remove an empty directory."""
        spot = self._spot(fd, address, length, Right.REMOVE_DIRECTORY, follows=False, strips=True)
        if not isinstance(_there(spot), Directory):
            raise WasiError(Errno.NOTDIR)
        self._remove(spot)

    def path_unlink_file(self, fd: int, address: int, length: int) -> None:
        """Remove a file or link."""
        spot = self._spot(fd, address, length, Right.UNLINK_FILE, follows=False)
        if isinstance(_there(spot), Directory):
            raise WasiError(Errno.ISDIR)
        self._remove(spot)

    def path_symlink(self, target: int, target_length: int, fd: int, address: int, length: int) -> None:
        """Make a link; one that would lead to the root of the file system by its name is refused, as everywhere."""
        to = self._memory.text(target, target_length)
        spot = self._spot(fd, address, length, Right.SYMLINK, follows=False)
        if not to:
            raise WasiError(Errno.NOENT)
        if to.startswith("/"):
            raise WasiError(Errno.NOTCAPABLE)
        self._check_free(spot)
        self._enter(spot, self._tree.make_link(to))

    def path_rename(self, fd: int, address: int, length: int, to_fd: int, to_address: int, to_length: int) -> None:
        """Give a file, link or directory another name, in place of what has it."""
        old = self._spot(fd, address, length, Right.RENAME_SOURCE, follows=False, strips=True)
        new = self._spot(to_fd, to_address, to_length, Right.RENAME_TARGET, follows=False, strips=True)
        node = _there(old)
        if node.is_fixed or not (old.name and new.name):
            raise WasiError(Errno.BUSY)
        if not (old.directory.is_writable and new.directory.is_writable):
            raise WasiError(Errno.ROFS)
        if new.node is node:
            return
        if isinstance(node, Directory) and isinstance(new.directory, OwnDirectory):
            if any(directory is node for directory in new.directory.ancestors()):
                raise WasiError(Errno.INVAL)
            if new.node is not None and not isinstance(new.node, Directory):
                raise WasiError(Errno.NOTDIR)
        elif isinstance(new.node, Directory):
            raise WasiError(Errno.ISDIR)
        if new.directory.links == 0:
            raise WasiError(Errno.NOENT)
        if new.node is not None:
            self._remove(new)
        old.directory.remove(old.name)
        new.directory.put(new.name, node)
        self._tree.touch(old.directory, new.directory)

    def _check_free(self, spot: Spot) -> None:
        """Go on if a node may be entered where a path ends.

        Raises:
            WasiError: EXIST, ROFS.
        """
        if spot.node is not None:
            raise WasiError(Errno.EXIST)
        if not spot.directory.is_writable:
            raise WasiError(Errno.ROFS)
        if spot.directory.links == 0:
            raise WasiError(Errno.NOENT)

    def _enter(self, spot: Spot, node: Node) -> None:
        spot.directory.put(spot.name, node)
        self._tree.touch(spot.directory)

    def _remove(self, spot: Spot) -> None:
        """Remove what a path leads to; a directory only if it is empty.

        Raises:
            WasiError: BUSY, ROFS, NOTEMPTY.
        """
        node = _there(spot)
        if node.is_fixed or not spot.name:
            raise WasiError(Errno.BUSY)
        if not spot.directory.is_writable:
            raise WasiError(Errno.ROFS)
        if isinstance(node, Directory) and node.names():
            raise WasiError(Errno.NOTEMPTY)
        spot.directory.remove(spot.name)
        node.links -= 1
        self._tree.touch(spot.directory)
        node.release()


def _there(spot: Spot) -> Node:
    if spot.node is None:
        raise WasiError(Errno.NOENT)
    return spot.node

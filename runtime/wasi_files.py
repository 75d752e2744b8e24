"""The calls of WASI preview 1 that begin with `fd_`: what is done with what is open. One method for each."""

from __future__ import annotations

from typing import Final

from runtime.wasi_abi import FDSTAT, PRESTAT, SEEK_CUR, SEEK_END, SEEK_SET, Errno, FdFlag, Right, WasiError
from runtime.wasi_descriptors import Descriptor, Descriptors
from runtime.wasi_memory import GuestMemory
from runtime.wasi_nodes import File, OwnFile
from runtime.wasi_status import filestat, set_times, write_listing
from runtime.wasi_tree import Tree

_MOST: Final = (1 << 63) - 1
"""Largest position in a file."""


class FdCalls:
    """Numbers come as the guest's integers, signed; what goes wrong is a `WasiError`."""

    def __init__(self, memory: GuestMemory, descriptors: Descriptors, tree: Tree) -> None:
        self._memory = memory
        self._open = descriptors
        self._tree = tree

    def fd_advise(self, fd: int, _offset: int, _length: int, advice: int) -> None:
        """Take advice, and do nothing about it."""
        self._open.find(fd).file(Right.ADVISE)
        if not 0 <= advice <= 5:
            raise WasiError(Errno.INVAL)

    def fd_allocate(self, fd: int, offset: int, length: int) -> None:
        """Make a file at least that long."""
        file = _own(self._open.find(fd).file(Right.ALLOCATE))
        if not 0 <= offset <= _MOST or not 0 < length <= _MOST - offset:
            raise WasiError(Errno.INVAL)
        if offset + length > file.size:
            file.resize(offset + length)
            self._tree.touch(file)

    def fd_close(self, fd: int) -> None:
        """Close."""
        self._open.close(fd)

    def fd_datasync(self, fd: int) -> None:
        """Succeed: nothing is on a disk."""
        self._open.find(fd).need(Right.DATASYNC)

    def fd_sync(self, fd: int) -> None:
        """Succeed: nothing is on a disk."""
        self._open.find(fd).need(Right.SYNC)

    def fd_fdstat_get(self, fd: int, address: int) -> None:
        """Tell kind, flags and rights."""
        found = self._open.find(fd)
        self._memory.write(address, FDSTAT.pack(found.kind, found.flags, found.rights, found.inherited))

    def fd_fdstat_set_flags(self, fd: int, flags: int) -> None:
        """Set flags, of which only APPEND means something."""
        found = self._open.find(fd)
        found.need(Right.SET_FLAGS)
        if not 0 <= flags <= 31:
            raise WasiError(Errno.INVAL)
        found.flags = FdFlag(flags)

    def fd_fdstat_set_rights(self, fd: int, rights: int, inherited: int) -> None:
        """Give rights up."""
        found = self._open.find(fd)
        kept, below = rights & 0xFFFFFFFFFFFFFFFF, inherited & 0xFFFFFFFFFFFFFFFF
        if kept != kept & int(found.rights) or below != below & int(found.inherited):
            raise WasiError(Errno.NOTCAPABLE)
        found.rights, found.inherited = Right(kept), Right(below)

    def fd_filestat_get(self, fd: int, address: int) -> None:
        """Tell what `stat` tells."""
        found = self._open.find(fd)
        found.need(Right.STAT)
        self._memory.write(address, filestat(found.node))

    def fd_filestat_set_size(self, fd: int, size: int) -> None:
        """Cut a file, or add zeros."""
        file = _own(self._open.find(fd).file(Right.SET_SIZE))
        if size < 0:
            raise WasiError(Errno.INVAL)
        file.resize(size)
        self._tree.touch(file)

    def fd_filestat_set_times(self, fd: int, accessed: int, changed: int, flags: int) -> None:
        """Set the times of a file."""
        found = self._open.find(fd)
        found.need(Right.SET_TIMES)
        if found.node is None:
            raise WasiError(Errno.BADF)
        set_times(found.node, self._tree.clock, accessed, changed, flags)

    def fd_prestat_get(self, fd: int, address: int) -> None:
        """Tell that a descriptor was open when the guest began."""
        self._memory.write(address, PRESTAT.pack(0, len(self._preopened(fd))))

    def fd_prestat_dir_name(self, fd: int, address: int, length: int) -> None:
        """Tell where it is."""
        name = self._preopened(fd)
        if length & 0xFFFFFFFF < len(name):
            raise WasiError(Errno.NAMETOOLONG)
        self._memory.write(address, name)

    def _preopened(self, fd: int) -> bytes:
        name = self._open.find(fd).name
        if name is None:
            raise WasiError(Errno.BADF)
        return name.encode()

    def fd_read(self, fd: int, pieces: int, count: int, read: int) -> None:
        """Read from the present position."""
        found = self._open.find(fd)
        got = self._read(found, pieces, count, found.position)
        found.position += got
        self._memory.write_u32(read, got)

    def fd_pread(self, fd: int, pieces: int, count: int, offset: int, read: int) -> None:
        """Read from a position."""
        found = self._open.find(fd)
        found.need(Right.SEEK)
        if offset < 0:
            raise WasiError(Errno.INVAL)
        self._memory.write_u32(read, self._read(found, pieces, count, offset))

    def _read(self, found: Descriptor, pieces: int, count: int, position: int) -> int:
        file = found.file(Right.READ)
        got = 0
        for target in self._memory.pieces(pieces, count):
            came = file.read_into(position + got, target)
            got += came
            if came < len(target):
                break
        return got & 0xFFFFFFFF

    def fd_write(self, fd: int, pieces: int, count: int, written: int) -> None:
        """Write at the present position, or at the end."""
        found = self._open.find(fd)
        if found.write_stream is not None:
            found.need(Right.WRITE)
            self._memory.part(written, 4)
            done = 0
            for data in self._memory.pieces(pieces, count):
                found.write_stream(data)
                done += len(data)
            self._memory.write_u32(written, done & 0xFFFFFFFF)
            return
        file = found.file(Right.WRITE)
        start = file.size if FdFlag.APPEND in found.flags else found.position
        done = self._write(found, pieces, count, start)
        found.position = start + done
        self._memory.write_u32(written, done & 0xFFFFFFFF)

    def fd_pwrite(self, fd: int, pieces: int, count: int, offset: int, written: int) -> None:
        """Write at a position."""
        found = self._open.find(fd)
        found.need(Right.SEEK)
        if offset < 0:
            raise WasiError(Errno.INVAL)
        self._memory.write_u32(written, self._write(found, pieces, count, offset) & 0xFFFFFFFF)

    def _write(self, found: Descriptor, pieces: int, count: int, start: int) -> int:
        file = _own(found.file(Right.WRITE))
        done = 0
        for data in self._memory.pieces(pieces, count):
            if start + done + len(data) > _MOST:
                raise WasiError(Errno.FBIG)
            try:
                file.write(start + done, data)
            except WasiError:
                if not done:
                    raise
                break
            done += len(data)
        self._tree.touch(file)
        return done

    def fd_seek(self, fd: int, offset: int, whence: int, address: int) -> None:
        """Move the position."""
        found = self._open.find(fd)
        file = found.file(Right.TELL if offset == 0 and whence == SEEK_CUR else Right.SEEK)
        bases = {SEEK_SET: 0, SEEK_CUR: found.position, SEEK_END: file.size}
        if whence not in bases or not 0 <= bases[whence] + offset <= _MOST:
            raise WasiError(Errno.INVAL)
        self._memory.write_u64(address, bases[whence] + offset)
        found.position = bases[whence] + offset

    def fd_tell(self, fd: int, address: int) -> None:
        """Tell the position."""
        found = self._open.find(fd)
        found.file(Right.TELL)
        self._memory.write_u64(address, found.position)

    def fd_renumber(self, fd: int, to: int) -> None:
        """Move a descriptor to another number."""
        self._open.renumber(fd, to)

    def fd_readdir(self, fd: int, buffer: int, length: int, cookie: int, used: int) -> None:
        """List a directory from a cookie on: names in the order of their UTF-8 bytes.

        What was there when it was listed from the beginning is what is told, whatever is made and removed meanwhile.
        """
        found = self._open.find(fd)
        directory = found.directory(Right.READDIR)
        if cookie == 0 or not found.listing:
            found.listing = [".", "..", *directory.names()]
        target = self._memory.part(buffer, length)
        self._memory.write_u32(used, write_listing(target, directory, found.listing, cookie & 0xFFFFFFFFFFFFFFFF))


def _own(file: File) -> OwnFile:
    """Return a file that can be written.

    Raises:
        WasiError: ROFS.
    """
    if not isinstance(file, OwnFile):
        raise WasiError(Errno.ROFS)
    return file

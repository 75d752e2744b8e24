"""A directory as a tar stream that is a pure function of its CID, seekable, made on the fly.

Layout: members depth first, parents before children, names by their UTF-8 bytes; no member for the root; directories
end in '/'; owner, group and time 0; mode 0755 for directories and executable files, 0777 for symlinks, 0644 for the
rest; content padded to 512; two zero blocks at the end, no more. This layout is part of the function contract: a change
would change results, so it would need a new name.
"""

from __future__ import annotations

import io
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, BinaryIO, Final

from storage.cid import CID, cid_text
from storage.errors import VerificationError
from storage.tar_header import BLOCK_BYTES, DIRECTORY, FILE, SYMLINK, padding, tar_header
from storage.unixfs_file import sought
from storage.unixfs_members import Member, members
from storage.unixfs_read import UnixfsReader

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAX_PATH_BYTES: Final = 256 << 20
"""Of all members together: a hostile tree could repeat a name of 2 MiB in front of a million others."""

_END: Final = 2 * BLOCK_BYTES


class DagTar(io.RawIOBase):
    """Reads the directory `cid` as a tar. Keeps a table of members (about 0.5 kB each) and one leaf.

    Raises:
        UserError: not a directory.
        UnavailableError: a directory node or the root of a file is not here.
        VerificationError: malformed or hostile (`unixfs_members.members`), a symlink that no tar can hold, or paths of
            more than 256 MiB.
    """

    def __init__(self, reader: UnixfsReader, cid: CID) -> None:
        super().__init__()
        self._reader = reader
        self._members = list(_bounded(members(reader, cid), cid))
        self._starts = array("Q")
        self.size = self._lay_out(cid)
        """Bytes of the whole stream."""
        self._position = 0
        self._open_index = -1
        self._open_file: BinaryIO | None = None

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that it can seek."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move, also behind the end, where there is nothing to read."""
        self._position = sought(offset, whence, self._position, self.size)
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read up to the end of the current header, file or padding.

        Raises:
            UnavailableError: a block is not here.
            VerificationError: a file is not as long as the link to it claims, or a block is not what it should be.
        """
        view = memoryview(buffer).cast("B")
        wanted = min(len(view), self.size - self._position)
        if wanted <= 0:
            return 0
        part = self._read_part(wanted)
        view[: len(part)] = part
        self._position += len(part)
        return len(part)

    def close(self) -> None:
        """Close the member that is open."""
        if self._open_file is not None:
            self._open_file.close()
        super().close()

    def _lay_out(self, cid: CID) -> int:
        """Fill the table of starts and return the size of the stream."""
        at = 0
        for member in self._members:
            self._starts.append(at)
            at += len(self._header(member)) + member.size + -member.size % BLOCK_BYTES
            if at >= 1 << 62:
                raise VerificationError("directory is larger than any file can be", where=cid_text(cid))
        return at + _END

    def _header(self, member: Member) -> bytes:
        if member.kind == "directory":
            return tar_header(member.path + "/", DIRECTORY, mode=0o755)
        if member.kind == "symlink":
            return tar_header(member.path, SYMLINK, mode=0o777, target=self._target(member))
        return tar_header(member.path, FILE, size=member.size, mode=0o755 if member.executable else 0o644)

    def _target(self, member: Member) -> str:
        target = self._reader.read_link(member.cid)
        if "\0" in target:  # a tar ends the text there: another link than the tree has
            raise VerificationError("symlink target holds a NUL byte", where=repr(member.path))
        return target

    def _read_part(self, wanted: int) -> bytes:
        """Return 1 to `wanted` bytes from the position on."""
        index = bisect_right(self._starts, self._position) - 1
        if self._position >= self.size - _END:
            return bytes(wanted)
        member, offset = self._members[index], self._position - self._starts[index]
        header = self._header(member)
        if offset < len(header):
            return header[offset : offset + wanted]
        offset -= len(header)
        if offset < member.size:
            return self._read_file(index, offset, min(wanted, member.size - offset))
        return padding(member.size)[offset - member.size :][:wanted]

    def _read_file(self, index: int, offset: int, wanted: int) -> bytes:
        if self._open_file is None or self._open_index != index:
            if self._open_file is not None:
                self._open_file.close()
            self._open_file = self._open_checked(self._members[index])
            self._open_index = index
        self._open_file.seek(offset)
        return self._open_file.read(wanted)

    def _open_checked(self, member: Member) -> BinaryIO:
        stream = self._reader.open(member.cid)
        if stream.seek(0, io.SEEK_END) != member.size:
            raise VerificationError("file is not as long as the link to it claims", where=repr(member.path))
        return stream


def _bounded(found: Iterable[Member], cid: CID) -> Iterator[Member]:
    """Pass members on while their paths fit in memory."""
    room = MAX_PATH_BYTES
    for member in found:
        room -= len(member.path)
        if room < 0:
            raise VerificationError("paths in the directory have more than 256 MiB", where=cid_text(cid))
        yield member

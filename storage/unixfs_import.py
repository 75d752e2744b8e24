"""Import bytes, streams and paths as UnixFS.

The CID depends on the content and the profile alone: not on the order of reading, times, owners or modes. Nothing of
the input is kept in memory but a batch of blocks. Not for several threads at once.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Protocol

from storage.blocks import BlockStore
from storage.errors import UserError
from storage.unixfs_names import MAX_DEPTH
from storage.unixfs_profile import V1_2025, Profile
from storage.unixfs_write import BlockBatch, Entry, NodeWriter

_SHORT_READ_BYTES: Final = 1 << 16
"""Asked for at once where the last read was short: what a pipe holds."""

__all__ = ["Entry", "Importer", "Readable"]


class Readable(Protocol):
    """What can be imported as a file: anything with `read`."""

    def read(self, size: int, /) -> bytes | None:
        """Return at most `size` bytes, fewer if it likes, none at the end."""
        ...


class Importer:
    """Puts content into `store`; when a method returns, all blocks are in it."""

    def __init__(self, store: BlockStore, profile: Profile = V1_2025) -> None:
        self._profile = profile
        self._batch = BlockBatch(store)
        self._writer = NodeWriter(self._batch, profile)

    def bytes(self, data: bytes) -> Entry:
        """Import bytes as a file."""
        return self.file(io.BytesIO(data))

    def file(self, stream: Readable, *, about_bytes: int | None = None) -> Entry:
        """Import a binary stream, to its end, as a file.

        about_bytes: how long it probably is; saves time for small files, and changes nothing if it is wrong.
        """
        size = self._profile.chunk_bytes
        with self._batch.open():
            # One byte more than there should be: a read that comes back shorter has met the end.
            first = _read_fully(stream, size, size if about_bytes is None else min(size, about_bytes + 1))
            if len(first) < size:
                return self._writer.leaf(first)  # as most files are: no tree
            return _balanced(self._writer, _chunks(first, stream, size), self._profile.links_per_node)

    def symlink(self, target: str) -> Entry:
        """Import a symlink; the target is kept as it is, wherever it leads."""
        with self._batch.open():
            return self._writer.symlink(target)

    def directory(self, entries: Mapping[str, Entry]) -> Entry:
        """Import a directory of entries that are imported already.

        Raises:
            VerificationError: an unsafe name (empty, '.', '..', with '/' or NUL, not UTF-8).
        """
        with self._batch.open():
            return self._writer.directory(entries)

    def path(self, path: Path) -> Entry:
        """Import a file, a symlink (itself, not what it points to) or a directory with everything in it.

        Hidden files and empty directories are included; modes, owners and times are not.

        Raises:
            UserError: not there, not readable, too deep, a special file, or a name that is not UTF-8.
        """
        text = str(path)
        with self._batch.open():
            return self._at(text, None, 0)

    def _at(self, path: str, kind: int | None, depth: int) -> Entry:
        """Import what is at a path; kind: the format bits of its mode, 0 for what is not imported, None if unknown."""
        # Texts and `os` rather than Path, and nothing asked for twice: of many small files that is most of the time.
        try:
            if kind is None:
                kind = stat.S_IFMT(os.lstat(path).st_mode)
            if kind == stat.S_IFREG:
                return self._file_at(path)
            if kind == stat.S_IFDIR:
                return self._directory_at(path, depth)
            if kind == stat.S_IFLNK:
                return self.symlink(_utf8(os.readlink(path), path))  # noqa: PTH115
        except OSError as error:
            problem = (error.strerror or "cannot be read").lower()
            raise UserError(problem, where=_shown(path), fix="check the path and its permissions") from error
        raise _special(path)

    def _file_at(self, path: str) -> Entry:
        # What takes a file's place meanwhile is not waited for (a pipe) or followed (a symlink).
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
        try:
            size = _end_of(descriptor)
            if 0 < size < self._profile.chunk_bytes:
                data = os.pread(descriptor, size + 1, 0)
                if len(data) == size:  # asked for more, and got what the file is said to have: its end
                    return self._writer.leaf(data)
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise _special(path)
            os.lseek(descriptor, 0, os.SEEK_SET)
            with io.FileIO(descriptor, closefd=False) as stream:
                return self.file(stream, about_bytes=found.st_size)
        finally:
            os.close(descriptor)

    def _directory_at(self, path: str, depth: int) -> Entry:
        if depth >= MAX_DEPTH:
            raise UserError(f"is more than {MAX_DEPTH} directories deep", where=_shown(path), fix="flatten the tree")
        with os.scandir(path) as found:
            kinds = sorted((_utf8(entry.name, entry), _kind_of(entry)) for entry in found)
        return self.directory({name: self._at(f"{path}/{name}", kind, depth + 1) for name, kind in kinds})


def _end_of(descriptor: int) -> int:
    """Return where a file ends, for a quarter of the time of `fstat`; 0 also for what has no end, as a pipe."""
    try:
        return os.lseek(descriptor, 0, os.SEEK_END)
    except OSError:
        return 0


def _special(path: str) -> UserError:
    return UserError("is neither a file, a directory nor a symlink", where=_shown(path), fix="leave it out")


def _kind_of(entry: os.DirEntry[str]) -> int:
    """Return the format bits of an entry's mode, 0 for what is not imported; a listing knows them mostly."""
    if entry.is_file(follow_symlinks=False):
        return stat.S_IFREG
    if entry.is_dir(follow_symlinks=False):
        return stat.S_IFDIR
    return stat.S_IFLNK if entry.is_symlink() else 0


def _chunks(first: bytes, stream: Readable, size: int) -> Iterator[bytes]:
    """Yield chunks of exactly `size` bytes, the last one shorter; `first` is the first of them."""
    chunk = first
    while chunk:
        yield chunk
        chunk = _read_fully(stream, size, size) if len(chunk) == size else b""


def _read_fully(stream: Readable, size: int, first_size: int) -> bytes:
    """Read `size` bytes or to the end; first_size: asked for at first, so that few bytes need no large buffer."""
    first = stream.read(first_size) or b""
    if len(first) == size or not first:
        return first
    parts, missing = [first], size - len(first)
    while missing and (part := stream.read(min(missing, _SHORT_READ_BYTES))):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts) if len(parts) > 1 else first


def _balanced(writer: NodeWriter, chunks: Iterator[bytes], width: int) -> Entry:
    """Build the balanced tree bottom-up as chunks arrive; every leaf ends up at the same depth."""
    levels: list[list[Entry]] = [[]]
    for chunk in chunks:
        _push(writer, levels, 0, writer.leaf(chunk), width)
    level = 0
    while level + 1 < len(levels):
        _push(writer, levels, level + 1, writer.parent(levels[level]), width)
        level += 1
    top = levels[level]
    return top[0] if len(levels) == 1 and len(top) == 1 else writer.parent(top)


def _push(writer: NodeWriter, levels: list[list[Entry]], level: int, entry: Entry, width: int) -> None:
    """Add an entry to a level; a full node is closed only when a sibling comes, so no level has just one node."""
    if level == len(levels):
        levels.append([])
    if len(levels[level]) == width:
        full, levels[level] = levels[level], []
        _push(writer, levels, level + 1, writer.parent(full), width)
    levels[level].append(entry)


def _utf8(text: str, at: os.PathLike[str] | str) -> str:
    """Return text of the file system if it is UTF-8 there (Python marks other bytes as surrogates)."""
    if text.isascii():  # at once, and mostly
        return text
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UserError("name or symlink target is not UTF-8", where=_shown(os.fspath(at)), fix="rename it") from error
    return text


def _shown(path: str) -> str:
    return path if path.isprintable() else repr(path)

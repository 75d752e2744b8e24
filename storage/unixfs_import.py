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
from typing import Protocol

from storage.blocks import BlockStore
from storage.errors import UserError
from storage.unixfs_names import MAX_DEPTH
from storage.unixfs_profile import V1_2025, Profile
from storage.unixfs_write import BlockBatch, Entry, NodeWriter

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

    def file(self, stream: Readable) -> Entry:
        """Import a binary stream, to its end, as a file."""
        with self._batch.open():
            return _balanced(self._writer, _chunks(stream, self._profile.chunk_bytes), self._profile.links_per_node)

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
        with self._batch.open():
            return self._path(Path(path), 0)

    def _path(self, path: Path, depth: int) -> Entry:
        try:
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                # Path.readlink would normalise the target ("./a" to "a").
                return self.symlink(_utf8(os.readlink(path), path))  # noqa: PTH115
            if stat.S_ISDIR(mode):
                return self._directory_at(path, depth)
            if stat.S_ISREG(mode):
                with path.open("rb", buffering=0) as stream:
                    return self.file(stream)
        except OSError as error:
            raise UserError(
                (error.strerror or "cannot be read").lower(),
                where=_shown(path),
                fix="check the path and its permissions",
            ) from error
        raise UserError("is neither a file, a directory nor a symlink", where=_shown(path), fix="leave it out")

    def _directory_at(self, path: Path, depth: int) -> Entry:
        if depth >= MAX_DEPTH:
            raise UserError(f"is more than {MAX_DEPTH} directories deep", where=_shown(path), fix="flatten the tree")
        names = sorted(_utf8(child.name, child) for child in path.iterdir())
        return self.directory({name: self._path(path / name, depth + 1) for name in names})


def _chunks(stream: Readable, size: int) -> Iterator[bytes]:
    """Yield chunks of exactly `size` bytes, the last one shorter; one empty chunk for an empty stream."""
    chunk = _read_fully(stream, size)
    yield chunk
    while len(chunk) == size and (chunk := _read_fully(stream, size)):
        yield chunk


def _read_fully(stream: Readable, size: int) -> bytes:
    first = stream.read(size) or b""
    if len(first) == size or not first:
        return first
    parts, missing = [first], size - len(first)
    while missing and (part := stream.read(missing)):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


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


def _utf8(text: str, path: Path) -> str:
    """Return text of the file system if it is UTF-8 there (Python marks other bytes as surrogates)."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UserError("name or symlink target is not UTF-8", where=_shown(path), fix="rename it") from error
    return text


def _shown(path: Path) -> str:
    text = str(path)
    return text if text.isprintable() else repr(text)

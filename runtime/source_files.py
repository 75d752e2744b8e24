"""A function's own files, for a worker to keep: it serves one function, and need not ask for them with every task."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from storage.cid import CID
from storage.unixfs_read import Stat, UnixfsReader

MOST_BYTES: Final = 256 << 10
MOST_ENTRIES: Final = 1_100
"""Larger directories stay here, and are asked for like inputs."""

Entry = tuple[str, str, str]
"""Path in the directory; `file`, `directory` or `symlink`; content in hex, or the link's target."""


def small_source(reader: UnixfsReader, source: CID) -> list[Entry] | None:
    """Return all entries of a function's directory, parents first; None if it is large.

    Raises:
        UnavailableError: a block is not here.
        VerificationError: a block is not what its CID says.
    """
    entries: list[Entry] = []
    size = 0
    for path, cid, stat in _walk(reader, source, ""):
        size += stat.size if stat.kind == "file" else len(path)
        if size > MOST_BYTES or len(entries) >= MOST_ENTRIES:
            return None
        content = ""
        if stat.kind == "file":
            content = reader.read_bytes(cid, MOST_BYTES).hex()
        elif stat.kind == "symlink":
            content = reader.read_link(cid)
        entries.append((path, stat.kind, content))
    return entries


def _walk(reader: UnixfsReader, directory: CID, prefix: str) -> Iterator[tuple[str, CID, Stat]]:
    for name, link in reader.entries(directory):
        stat = reader.stat(link.cid)
        yield prefix + name, link.cid, stat
        if stat.kind == "directory":
            yield from _walk(reader, link.cid, f"{prefix}{name}/")

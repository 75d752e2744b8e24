"""Walk a directory tree in the one order that archives and exports use."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from storage.cid import CID, cid_text
from storage.dag_pb import Link
from storage.errors import VerificationError
from storage.unixfs_load import is_raw
from storage.unixfs_names import MAX_DEPTH
from storage.unixfs_read import Kind, Stat, UnixfsReader

MAX_MEMBERS: Final = 1 << 20
"""Files, directories and symlinks of one tree; a few blocks linked many times could stand for 2**100 of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One file, directory or symlink of a tree."""

    path: str
    """From the root, names joined by '/'."""
    kind: Kind
    cid: CID
    size: int
    """Bytes of a file; for a raw leaf its link's claim, to be compared with what is read. 0 for the others."""
    executable: bool


def members(reader: UnixfsReader, root: CID) -> Iterator[Member]:
    """Yield everything below a directory: depth first, parents before children, names by their UTF-8 bytes.

    Raises:
        UserError: `root` is not a directory.
        VerificationError: malformed, more than 128 directories deep, or more than 1,048,576 members.
    """
    listing = list(reader.entries(root))
    listed = len(listing)
    stack = [("", iter(listing))]
    while stack:
        prefix, entries = stack[-1]
        name, link = next(entries, (None, None))
        if name is None or link is None:
            stack.pop()
            continue
        member = _member(reader, prefix + name, link)
        yield member
        if member.kind == "directory":
            listing = list(reader.entries(link.cid))
            # What is listed is counted, not what is yielded: all levels of the stack are in memory.
            listed += len(listing)
            _check_bounds(root, listed, len(stack))
            stack.append((member.path + "/", iter(listing)))


def _check_bounds(root: CID, listed: int, depth: int) -> None:
    if listed > MAX_MEMBERS:
        raise VerificationError(f"tree has more than {MAX_MEMBERS} members", where=cid_text(root))
    if depth >= MAX_DEPTH:
        raise VerificationError(f"tree is more than {MAX_DEPTH} directories deep", where=cid_text(root))


def _member(reader: UnixfsReader, path: str, link: Link) -> Member:
    stat = _stat(reader, link)
    size = stat.size if stat.kind == "file" else 0
    return Member(path=path, kind=stat.kind, cid=link.cid, size=size, executable=stat.executable)


def _stat(reader: UnixfsReader, link: Link) -> Stat:
    """Tell what a link leads to, without fetching raw leaves: their size is the link's claim.

    A claim of 0 would never be compared with anything, so that leaf is fetched.
    """
    if is_raw(link.cid) and link.tsize:
        return Stat(kind="file", size=link.tsize)
    return reader.stat(link.cid)

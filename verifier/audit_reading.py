"""Bounded reading for the audit: what few hostile blocks stand for can be larger than any disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from storage.cid import CID, cid_text
from storage.errors import BacalhauError, UnavailableError, VerificationError
from storage.unixfs_load import is_raw
from storage.unixfs_names import MAX_DEPTH
from storage.unixfs_read import UnixfsReader

CHUNK_BYTES: Final = 1 << 20
MAX_READ_BYTES: Final = 16 << 30
"""What one check reads, a minute's work: one block, linked over and over, can claim to be an exabyte of files."""


class FileReading:
    """Reads files to their ends, all of them together up to `MAX_READ_BYTES`."""

    def __init__(self, reader: UnixfsReader) -> None:
        self._reader = reader
        self._room = MAX_READ_BYTES

    def chunks(self, cid: CID) -> Iterator[bytes]:
        """Yield a file's bytes.

        Raises:
            UnavailableError: a block is not here, or this file and those before are too much to read.
            VerificationError, UserError: as `UnixfsReader.open`.
        """
        self._room -= self._reader.stat(cid).size
        if self._room < 0:
            problem = f"was not read: it and the files before have more than {MAX_READ_BYTES} bytes"
            raise UnavailableError(problem, where=cid_text(cid))
        with self._reader.open(cid) as stream:
            while chunk := stream.read(CHUNK_BYTES):
                yield chunk

    def count(self, cid: CID) -> int:
        """Return the number of bytes that a file really has; raises as `chunks`."""
        return sum(len(chunk) for chunk in self.chunks(cid))


class TreeSearch:
    """Looks for CIDs in directory trees; lists each directory once, however many trees share it."""

    def __init__(self, reader: UnixfsReader, wanted: set[CID]) -> None:
        self._reader = reader
        self._wanted = wanted
        self._known: dict[CID, bool | BacalhauError] = {}

    def finds_in(self, root: CID) -> bool:
        """Tell whether something below `root` is wanted.

        Raises:
            UnavailableError: nothing was found, and a block is not here.
            VerificationError: nothing was found, and a block is malformed, or more than 128 directories deep.
        """
        return self._below(root, 0)

    def _below(self, cid: CID, depth: int) -> bool:
        if cid not in self._known:
            self._known[cid] = self._search(cid, depth)
        found = self._known[cid]
        if isinstance(found, BacalhauError):
            raise found
        return found

    def _search(self, cid: CID, depth: int) -> bool | BacalhauError:
        try:
            if is_raw(cid) or self._reader.stat(cid).kind != "directory":
                return False
            if depth >= MAX_DEPTH:
                raise VerificationError(f"tree is more than {MAX_DEPTH} directories deep", where=cid_text(cid))
            below = [link.cid for _, link in self._reader.entries(cid)]
        except BacalhauError as error:
            return error
        return not self._wanted.isdisjoint(below) or self._search_each(below, depth + 1)

    def _search_each(self, cids: Iterable[CID], depth: int) -> bool | BacalhauError:
        """Look below each: what is missing of one does not hide what is in the next."""
        problem: BacalhauError | None = None
        for cid in cids:
            try:
                if self._below(cid, depth):
                    return True
            except BacalhauError as error:
                problem = problem or error
        return problem or False


def entries_below(reader: UnixfsReader, roots: Iterable[CID]) -> set[CID]:
    """Return what the directories among `roots` have in them, at any depth; each directory is listed once.

    Raises:
        UnavailableError: a block is not here.
        VerificationError: malformed, or more than 128 directories deep.
    """
    found: set[CID] = set()
    todo = [(root, 0) for root in roots]
    while todo:
        cid, depth = todo.pop()
        if is_raw(cid) or reader.stat(cid).kind != "directory":
            continue
        if depth >= MAX_DEPTH:
            raise VerificationError(f"tree is more than {MAX_DEPTH} directories deep", where=cid_text(cid))
        fresh = {link.cid for _, link in reader.entries(cid)} - found
        found |= fresh
        todo += [(child, depth + 1) for child in fresh]
    return found

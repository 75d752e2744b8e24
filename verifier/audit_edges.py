"""Whether a task's input has something of a parent's output: what check 13 looks for.

An edge is content in common: a CID. It says that the parent gave this content, not that there is no other way to come
by it. An empty file is in nearly every output (`stderr`), so an edge that rests on emptiness alone is counted and told.
It stays an edge: a step that found nothing hands on an empty file, and its record is a parent all the same.
"""

from __future__ import annotations

from functools import cached_property
from typing import Final

from storage.cid import CID, DAG_PB, RAW, make_cid
from storage.errors import BacalhauError
from storage.unixfs_read import UnixfsReader
from verifier.audit_reading import TreeSearch, entries_below

_EMPTY_NODES: Final = (bytes.fromhex("0a020801"), bytes.fromhex("0a0408021800"))
"""DAG-PB of an empty directory, and of an empty file as old profiles write it."""
EMPTY: Final = frozenset(
    {make_cid(RAW, b"")}
    | {make_cid(DAG_PB, node) for node in _EMPTY_NODES}
    | {CID(make_cid(DAG_PB, node)[2:]) for node in _EMPTY_NODES}
)
"""What an empty file or directory is called; CIDv0 is the multihash alone."""


class EdgeSearch:
    """Looks for the outputs of parents in one input; what is in it is listed once for all of them."""

    def __init__(self, reader: UnixfsReader, roots: set[CID]) -> None:
        """Begin. roots: the input's data and volumes."""
        self._reader = reader
        self._roots = roots
        self._whole = TreeSearch(reader, roots - EMPTY)
        self.weak = 0
        """Outputs that had nothing in common but what is empty."""

    def leads_from(self, output: CID) -> bool:
        """Tell whether the output, or something in it, is an input, or in one.

        Raises:
            UnavailableError: nothing was found, and a block is not here.
            VerificationError: nothing was found, and a block is malformed, or more than 128 directories deep.
        """
        problem: BacalhauError | None = None
        for is_in in (self._is_whole, self._is_part, self._is_nothing):
            try:
                if is_in(output):
                    return True
            except BacalhauError as error:
                problem = problem or error
        if problem is not None:
            raise problem
        return False

    def _is_whole(self, output: CID) -> bool:
        return output in self._roots - EMPTY or self._whole.finds_in(output)

    def _is_part(self, output: CID) -> bool:
        """Asked for only where an input is not itself of a parent, but put together of some."""
        return output in self._below - EMPTY or self._parts.finds_in(output)

    def _is_nothing(self, output: CID) -> bool:
        found = output in self._nothing or self._nothings.finds_in(output)
        self.weak += found
        return found

    @cached_property
    def _below(self) -> set[CID]:
        return entries_below(self._reader, self._roots)

    @cached_property
    def _parts(self) -> TreeSearch:
        return TreeSearch(self._reader, self._below - EMPTY)

    @cached_property
    def _nothing(self) -> frozenset[CID]:
        return EMPTY & (self._roots | self._below)

    @cached_property
    def _nothings(self) -> TreeSearch:
        return TreeSearch(self._reader, set(self._nothing))

"""Small blocks of many executions on their way to the disk: one transaction for all of them, before anybody hears.

What is put is read at once, by this process, and is in the store below after `flush`, which comes before every word
that promises it. A process that is killed before that has promised nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from threading import Lock
from typing import Final

from storage.blocks import BlockStore
from storage.cid import CID, verify_block

MAX_BYTES: Final = 4 << 20
"""Held back; above it whoever puts a block writes all of them."""


class PendingBlocks:
    """A `BlockStore` in front of another. Thread-safe if that one is."""

    def __init__(self, below: BlockStore) -> None:
        """Make one that holds nothing back."""
        self._below = below
        self._lock = Lock()
        self._flushing = Lock()
        self._held: dict[CID, bytes] = {}
        self._bytes = 0
        self._is_stuck = False
        """The last attempt to write failed: whoever puts something is told at once that it cannot be kept."""

    def put(self, cid: CID, data: bytes) -> None:
        """Keep one block, soon."""
        self.put_many([(cid, data)])

    def put_many(self, blocks: Iterable[tuple[CID, bytes]]) -> None:
        """Keep many blocks, soon; at once where the last attempt to write failed.

        Raises:
            UnavailableError: they cannot be written.
        """
        rows = list(blocks)
        if self._is_stuck:
            self._below.put_many(rows)
            self._is_stuck = False
            return
        with self._lock:
            for cid, data in rows:
                if cid not in self._held:
                    self._bytes += len(data)
                self._held[cid] = data
            is_much = self._bytes > MAX_BYTES
        if is_much:
            self.flush()

    def get(self, cid: CID) -> bytes:
        """Return the block, checked."""
        data = self._held.get(cid)
        if data is None:
            return self._below.get(cid)
        verify_block(cid, data)
        return data

    def has(self, cid: CID) -> bool:
        """Tell whether the block is held back or below."""
        return cid in self._held or self._below.has(cid)

    def holds(self, cid: CID) -> bool:
        """Tell whether the block is held back: a collection cannot take it, now and when it has been written."""
        return cid in self._held

    def flush(self) -> None:
        """Have all that was put so far in the store below.

        Raises:
            UnavailableError: it cannot be written. It is held back still.
        """
        with self._flushing:
            with self._lock:
                todo = dict(self._held)
            try:
                if todo:
                    self._below.put_many(todo.items())
            except BaseException:
                self._is_stuck = True
                raise
            self._is_stuck = False
            with self._lock:
                for cid, data in todo.items():
                    if self._held.get(cid) is data:
                        del self._held[cid]
                        self._bytes -= len(data)

    def drop(self) -> None:
        """Forget what is held back: nobody was promised any of it."""
        with self._lock:
            self._held.clear()
            self._bytes = 0

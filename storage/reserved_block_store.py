"""A block store that takes no more than was reserved for it, however often one begins anew."""

from __future__ import annotations

from collections.abc import Iterable
from threading import Lock

from storage.blocks import BlockStore
from storage.cid import CID
from storage.errors import UserError


class ReservedBlockStore:
    """Reads through to another store, and writes until the reserved bytes are used. Thread-safe if that one is."""

    def __init__(self, below: BlockStore, reserved_bytes: int) -> None:
        self._below = below
        self._reserved = reserved_bytes
        self._lock = Lock()
        self.left_bytes = reserved_bytes
        """What may still be written."""

    def put(self, cid: CID, data: bytes) -> None:
        """Keep one block."""
        self.put_many([(cid, data)])

    def put_many(self, blocks: Iterable[tuple[CID, bytes]]) -> None:
        """Keep many blocks, all or none.

        Raises:
            UserError: they are more than is left of what was reserved.
        """
        rows = list(blocks)
        self.take(sum(len(data) for _, data in rows))
        self._below.put_many(rows)

    def take(self, size: int) -> None:
        """Count bytes that are written another way.

        Raises:
            UserError: they are more than is left of what was reserved.
        """
        with self._lock:
            if size > self.left_bytes:
                fix = "submit the job with content whose links tell the truth"
                raise UserError(f"there is more than the {self._reserved} bytes that were reserved", fix=fix)
            self.left_bytes -= size

    def get(self, cid: CID) -> bytes:
        """Return the block, checked."""
        return self._below.get(cid)

    def has(self, cid: CID) -> bool:
        """Tell whether the block is here."""
        return self._below.has(cid)

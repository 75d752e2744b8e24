"""Where blocks are kept: the seam between content addressing and disks.

A `BlockStore` is keyed by CID; `get` gives verified bytes or an error, never wrong bytes. Implementations:
`sqlite_block_store.SqliteBlockStore` (durable) and `MemoryBlockStore` below (tests, CAR files of an auditor).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from storage.cid import CID, cid_text, split_cid, verify_block
from storage.errors import UnavailableError


class BlockStore(Protocol):
    """Blocks by CID."""

    def put(self, cid: CID, data: bytes) -> None:
        """Keep one block. The caller vouches that `cid` names `data`; `get` checks anyway."""
        ...

    def put_many(self, blocks: Iterable[tuple[CID, bytes]]) -> None:
        """Keep many blocks in one transaction: all of them or none."""
        ...

    def get(self, cid: CID) -> bytes:
        """Return the block, checked against its CID.

        Raises:
            UnavailableError: it is not here.
            VerificationError: the stored bytes do not match.
        """
        ...

    def has(self, cid: CID) -> bool:
        """Tell whether the block is here, without reading it."""
        ...


class MemoryBlockStore:
    """Blocks in a dict, keyed by multihash digest like the durable store."""

    def __init__(self) -> None:
        self._blocks: dict[bytes, bytes] = {}

    def put(self, cid: CID, data: bytes) -> None:
        """Keep one block."""
        self._blocks[split_cid(cid).digest] = bytes(data)

    def put_many(self, blocks: Iterable[tuple[CID, bytes]]) -> None:
        """Keep many blocks."""
        for cid, data in blocks:
            self.put(cid, data)

    def get(self, cid: CID) -> bytes:
        """Return the block, checked."""
        data = self._blocks.get(split_cid(cid).digest)
        if data is None:
            raise block_missing(cid)
        verify_block(cid, data)
        return data

    def has(self, cid: CID) -> bool:
        """Tell whether the block is here."""
        return split_cid(cid).digest in self._blocks


def block_missing(cid: CID) -> UnavailableError:
    """Return the error for a block that is not here."""
    return UnavailableError(
        "block is not in this store", where=cid_text(cid), fix="add it with `bacalhau add` or import a CAR that holds it"
    )

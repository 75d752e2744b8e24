"""Where blocks are kept: the seam between content addressing and disks.

A `BlockStore` is keyed by CID; `get` gives verified bytes or an error, never wrong bytes. Identity CIDs hold
their block themselves: they are always here and never stored. Implementations:
`sqlite_block_store.SqliteBlockStore` (durable) and `MemoryBlockStore` below (tests, CAR files of an auditor).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from storage.cid import CID, SHA2_256, cid_text, inline_data, split_cid, verify_block
from storage.errors import UnavailableError, VerificationError


class BlockStore(Protocol):
    """Blocks by CID."""

    def put(self, cid: CID, data: bytes) -> None:
        """Keep one block. The caller vouches that `cid` names `data`; `get` checks anyway."""
        ...

    def put_many(self, blocks: Iterable[tuple[CID, bytes]]) -> None:
        """Keep many blocks in one transaction: all of them or none. May be called by a thread of an importer's own."""
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
        self.put_many([(cid, data)])

    def put_many(self, blocks: Iterable[tuple[CID, bytes]]) -> None:
        """Keep many blocks, all or none."""
        rows = [(block_key(cid), bytes(data)) for cid, data in blocks if inline_data(cid) is None]
        self._blocks.update(rows)

    def get(self, cid: CID) -> bytes:
        """Return the block, checked."""
        inline = inline_data(cid)
        if inline is not None:
            return inline
        data = self._blocks.get(block_key(cid))
        if data is None:
            raise block_missing(cid)
        verify_block(cid, data)
        return data

    def has(self, cid: CID) -> bool:
        """Tell whether the block is here."""
        return inline_data(cid) is not None or block_key(cid) in self._blocks


def block_key(cid: CID) -> bytes:
    """Return the sha2-256 digest under which a block is kept, the same for CIDv0, CIDv1 and every codec.

    Raises:
        VerificationError: another hash function. Its digest must not occupy the place of a sha2-256 digest.
    """
    parts = split_cid(cid)
    if parts.hash_code != SHA2_256 or len(parts.digest) != 32:
        raise VerificationError(f"hash function 0x{parts.hash_code:x} is not supported", where=cid_text(cid))
    return parts.digest


class ForgetfulBlockStore(MemoryBlockStore):
    """Keeps nothing: for computing CIDs without keeping blocks."""

    def put_many(self, blocks: Iterable[tuple[CID, bytes]]) -> None:
        """Drop the blocks."""


class OverlayBlockStore:
    """Reads through to another store, keeps what is put in memory only: for trials that must leave nothing behind."""

    def __init__(self, below: BlockStore) -> None:
        self._below = below
        self._own = MemoryBlockStore()

    def put(self, cid: CID, data: bytes) -> None:
        """Keep one block in memory."""
        self._own.put(cid, data)

    def put_many(self, blocks: Iterable[tuple[CID, bytes]]) -> None:
        """Keep many blocks in memory."""
        self._own.put_many(blocks)

    def get(self, cid: CID) -> bytes:
        """Return the block, checked."""
        return self._own.get(cid) if self._own.has(cid) else self._below.get(cid)

    def has(self, cid: CID) -> bool:
        """Tell whether the block is here or below."""
        return self._own.has(cid) or self._below.has(cid)


class BatchingBlockStore:
    """Holds what is put back until there is a lot of it, or until `flush`: one transaction instead of many."""

    def __init__(self, below: BlockStore, max_bytes: int = 4 << 20) -> None:
        """Make an empty batch. max_bytes: of blocks held back, about."""
        self._below = below
        self._max_bytes = max_bytes
        self._held: dict[CID, bytes] = {}
        self._held_bytes = 0

    def put(self, cid: CID, data: bytes) -> None:
        """Keep one block, soon."""
        self.put_many([(cid, data)])

    def put_many(self, blocks: Iterable[tuple[CID, bytes]]) -> None:
        """Keep many blocks, soon."""
        for cid, data in blocks:
            self._held[cid] = data
            self._held_bytes += len(data)
        if self._held_bytes > self._max_bytes:
            self.flush()

    def get(self, cid: CID) -> bytes:
        """Return the block, checked."""
        data = self._held.get(cid)
        if data is None:
            return self._below.get(cid)
        verify_block(cid, data)
        return data

    def has(self, cid: CID) -> bool:
        """Tell whether the block is held or below."""
        return cid in self._held or self._below.has(cid)

    def flush(self) -> None:
        """Put everything into the store below."""
        if self._held:
            self._below.put_many(self._held.items())
        self._held, self._held_bytes = {}, 0


class BlockMissingError(UnavailableError):
    """A block is not in the store, which can be read: asking again gives the same until somebody puts it."""


def block_missing(cid: CID) -> BlockMissingError:
    """Return the error for a block that is not here."""
    return BlockMissingError(
        "block is not in this store",
        where=cid_text(cid),
        fix="bring it here: `bacalhau fetch CID --from gateway:URL`, kubo:URL or car:FILE",
    )

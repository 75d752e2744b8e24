"""The blocks of one CAR file and no others: what an auditor reads from.

The file is read once, from its first byte to its last, and every bit of it is accounted for: the header and the lengths
by their strict forms, each block by its CID, and each CID by a link from another block of the file, or by a root. So a
bit that changed anywhere shows: as damage, as a stray block, or as a block that is not here.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from threading import Lock
from typing import BinaryIO, Final

from storage.blocks import block_key, block_missing
from storage.car import read_car
from storage.cid import CID, cid_text, inline_data, verify_block
from storage.dag_walk import VisitKey, links_of, visit_key
from storage.errors import UnavailableError, VerificationError

MAX_BLOCKS: Final = 1 << 22
"""Blocks of one file; about 300 bytes of memory each."""
MAX_OPEN_LINKS: Final = 1 << 22
"""Links to blocks that have not passed yet. In a file whose parents come before their children there are thousands."""
MAX_STRAYS: Final = 1000
"""Stray blocks that are kept to be named."""
_BEGINNING_BYTES: Final = 16
_BEGINNING_WORDS: Final = (b"\x65roots", b"\x67version")
"""One of them is at the beginning of every CAR, behind a length and the head of a map: its first key."""


class CarBlockStore:
    """A `BlockStore` over a CAR, read only. Keyed by codec and hash: bytes under another codec are another block."""

    def __init__(self, stream: BinaryIO) -> None:
        """Read the file to its end, or to where it is damaged; stream: seekable, open as long as this is used."""
        self._stream = stream
        self._lock = Lock()
        self._places: dict[VisitKey, tuple[int, int]] = {}
        self.roots: tuple[CID, ...] = ()
        """What the header names; empty if it cannot be read."""
        self.damage = ""
        """What is wrong with the file, from where on nothing of it was read; empty if nothing is."""
        self.excess = ""
        """Which bound kept the rest of the file from being read; empty if none did."""
        self.strays: tuple[CID, ...] = ()
        """Blocks that are no root and that no block of the file links to, MAX_STRAYS at most."""
        self.size = 0
        """Bytes of all blocks."""
        try:
            self._read(stream)
        except VerificationError as error:
            self.damage = str(error)
        except UnavailableError as error:
            self.excess = str(error)

    def __len__(self) -> int:
        """Count the blocks."""
        return len(self._places)

    def get(self, cid: CID) -> bytes:
        """Return the block, checked again: the file may have been changed since.

        Raises:
            UnavailableError: it is not in the file.
            VerificationError: it is no longer what its CID says, or named by another hash function than sha2-256.
        """
        inline = inline_data(cid)
        if inline is not None:
            return inline
        place = self._places.get(visit_key(cid))
        if place is None:
            block_key(cid)  # what no store could have is wrong, and not missing
            raise block_missing(cid)
        with self._lock:
            self._stream.seek(place[0])
            data = self._stream.read(place[1])
        verify_block(cid, data)
        return data

    def has(self, cid: CID) -> bool:
        """Tell whether the block is in the file."""
        return inline_data(cid) is not None or visit_key(cid) in self._places

    def put(self, cid: CID, data: bytes) -> None:  # noqa: ARG002
        """Refuse: whoever has something to keep uses an `OverlayBlockStore`."""
        raise io.UnsupportedOperation("a CAR is only read")

    def put_many(self, blocks: Iterable[tuple[CID, bytes]]) -> None:  # noqa: ARG002
        """Refuse, as `put`."""
        raise io.UnsupportedOperation("a CAR is only read")

    def _read(self, stream: BinaryIO) -> None:
        try:
            car = read_car(stream)
        except VerificationError as error:
            stream.seek(0)
            if any(word in stream.read(_BEGINNING_BYTES) for word in _BEGINNING_WORDS):
                raise
            raise VerificationError("is no CAR file: it does not begin as one") from error
        if car.version != 1:
            raise VerificationError(
                "is a CAR of version 2, whose offsets and index nothing vouches for", where="byte 0"
            )
        self.roots = car.roots
        leads = _Leads(car.roots)
        for cid, data in car.blocks:
            key = visit_key(cid)
            if key in self._places:
                raise VerificationError("block is in the file twice", where=cid_text(cid))
            if len(self._places) == MAX_BLOCKS:
                raise UnavailableError(f"has more than {MAX_BLOCKS} blocks", where=cid_text(cid))
            # Exactly one section was read, so its block ends here.
            self._places[key] = (stream.tell() - len(data), len(data))
            self.size += len(data)
            leads.add(cid, data, self._places)
        self.strays = leads.strays()


class _Leads:
    """Which blocks are led to, while they pass; holds what is still open, not all of them."""

    def __init__(self, roots: Iterable[CID]) -> None:
        self._awaited = {visit_key(root) for root in roots}
        """Linked, and not passed yet."""
        self._unlinked: dict[VisitKey, CID] = {}
        """Passed, and not linked yet."""

    def add(self, cid: CID, data: bytes, passed: dict[VisitKey, tuple[int, int]]) -> None:
        """Take note of a block that passes; passed: it and all before it."""
        key = visit_key(cid)
        if key in self._awaited:
            self._awaited.discard(key)
        else:
            self._unlinked[key] = cid
        for link in _links(cid, data):
            child = visit_key(link)
            if child not in passed:
                self._awaited.add(child)
            elif child != key:
                self._unlinked.pop(child, None)
        if len(self._awaited) > MAX_OPEN_LINKS:
            raise UnavailableError(f"has more than {MAX_OPEN_LINKS} links to what has not come", where=cid_text(cid))

    def strays(self) -> tuple[CID, ...]:
        """Return the blocks that nothing led to, in their order."""
        return tuple(self._unlinked.values())[:MAX_STRAYS]


def _links(cid: CID, data: bytes) -> tuple[CID, ...]:
    """Return the links of a block; of one that is malformed none: what needs it says what is wrong with it."""
    try:
        return links_of(cid, data)
    except VerificationError:
        return ()

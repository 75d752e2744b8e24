"""The block protocol `/bacalhau/blocks/1`: what travels, and the rules both sides keep. Nothing of streams.

The asking side opens a stream and writes a want: a count (1 byte, 1 to 64), then each CID after its length (1 byte).
The other side answers for each of them in order with a head of 5 bytes, status (1) and size (4, big-endian); after
FOUND the block follows, written in pieces of at most 64 kB. Then the next want may come on the same stream.
Only blocks that were wanted can be answered, and a block is taken for nothing until it matches its CID.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from network.transport import MAX_BLOCK_BYTES, MAX_CIDS, MAX_FETCH_BYTES
from storage.cid import CID, SHA2_256, cid_text, split_cid
from storage.errors import VerificationError

PROTOCOL: Final = "/bacalhau/blocks/1"
PIECE_BYTES: Final = 64 << 10
"""Written at once: other streams of the connection take turns with it."""
ANSWER_HEAD_BYTES: Final = 5

_ANSWER_HEAD: Final = struct.Struct(">BI")


class Status(IntEnum):
    """What becomes of a wanted block."""

    FOUND = 0
    ABSENT = 1
    LATER = 2
    """The answer is long enough; to be asked for again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerHead:
    """What precedes a block, or stands in its place."""

    status: Status
    size: int
    """Bytes of the block; 0 unless FOUND."""


def encode_want(cids: Sequence[CID]) -> bytes:
    """Return a want.

    Raises:
        ValueError: no CIDs, or more than MAX_CIDS.
        VerificationError: one of them cannot be checked, as it is not of sha2-256.
    """
    if not 1 <= len(cids) <= MAX_CIDS:
        raise ValueError(f"{len(cids)} CIDs; 1 to {MAX_CIDS} can be asked for at once")
    for cid in cids:
        _check_wanted(cid)
    return bytes([len(cids)]) + b"".join(bytes([len(cid)]) + cid for cid in cids)


def decode_count(byte: bytes) -> int:
    """Read the first byte of a want.

    Raises:
        VerificationError: 0, or more than MAX_CIDS.
    """
    if not 1 <= byte[0] <= MAX_CIDS:
        raise VerificationError(f"want of {byte[0]} CIDs; 1 to {MAX_CIDS} are allowed")
    return byte[0]


def decode_wanted(data: bytes) -> CID:
    """Read one CID of a want.

    Raises:
        VerificationError: it is none, or not of sha2-256.
    """
    cid = CID(data)
    _check_wanted(cid)
    return cid


def encode_answer(status: Status, size: int = 0) -> bytes:
    """Return the head of an answer."""
    return _ANSWER_HEAD.pack(status, size)


def decode_answer(data: bytes) -> AnswerHead:
    """Read the head of an answer, ANSWER_HEAD_BYTES bytes.

    Raises:
        VerificationError: an unknown status, a block above MAX_BLOCK_BYTES, or a size where no block follows.
    """
    code, size = _ANSWER_HEAD.unpack(data)
    if code not in list(Status):
        raise VerificationError(f"answer has the unknown status {code}")
    head = AnswerHead(status=Status(code), size=size)
    if size > (MAX_BLOCK_BYTES if head.status is Status.FOUND else 0):
        raise VerificationError(f"answer announces a block of {size} bytes")
    return head


@dataclass(slots=True)
class AnswerBudget:
    """How much of a want is answered: the same rule for the side that gives and for the one that takes."""

    given: int = 0

    def is_spent(self) -> bool:
        """Tell whether the rest of the want is to be asked for again."""
        return self.given >= MAX_FETCH_BYTES

    def spend(self, size: int) -> None:
        """Count a block.

        Raises:
            VerificationError: it should have been LATER.
        """
        if self.is_spent():
            raise VerificationError(f"answer goes on after {self.given} bytes")
        self.given += size

    def check_later(self) -> None:
        """Check that an answer may put off the rest, so that asking again comes to an end.

        Raises:
            VerificationError: not enough was given yet.
        """
        if not self.is_spent():
            raise VerificationError(f"answer puts blocks off after {self.given} bytes")


def _check_wanted(cid: CID) -> None:
    parts = split_cid(cid)
    if parts.end != len(cid):
        raise VerificationError("bytes follow the CID")
    if parts.hash_code != SHA2_256 or len(parts.digest) != 32:
        raise VerificationError("only blocks named by sha2-256 travel", where=cid_text(cid))

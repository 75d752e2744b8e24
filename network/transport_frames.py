"""Frames of the request protocol `/bacalhau/request/1`, and nothing of streams.

A frame is a head of 9 bytes, big-endian: length of the payload (4 bytes), kind (1), id (4); then the payload. Whoever
opens the stream asks (REQUEST, SEND), the other side answers under the same id, in any order, each id once.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from network.transport import MAX_PAYLOAD_BYTES
from storage.errors import VerificationError

PROTOCOL: Final = "/bacalhau/request/1"
HEAD_BYTES: Final = 9
MAX_REASON_BYTES: Final = 256
"""Of the text that says why a peer cannot answer."""

_HEAD: Final = struct.Struct(">IBI")


class Kind(IntEnum):
    """What a frame is."""

    REQUEST = 1
    """Answered by ANSWER, FAILED or BUSY."""
    SEND = 2
    """Answered by ACCEPTED or BUSY, before anything is done with it."""
    ANSWER = 16
    ACCEPTED = 17
    FAILED = 18
    """Payload: why, as text."""
    BUSY = 19


QUESTIONS: Final = frozenset({Kind.REQUEST, Kind.SEND})
ANSWERS: Final = frozenset({Kind.ANSWER, Kind.ACCEPTED, Kind.FAILED, Kind.BUSY})
_MAX_BYTES: Final = {Kind.ACCEPTED: 0, Kind.BUSY: 0, Kind.FAILED: MAX_REASON_BYTES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What precedes a payload."""

    kind: Kind
    id: int
    length: int


def encode_frame(kind: Kind, number: int, payload: bytes = b"") -> bytes:
    """Return a frame.

    Raises:
        ValueError: the payload is larger than the kind allows.
    """
    if len(payload) > _limit(kind):
        raise ValueError(f"payload of {len(payload)} bytes is larger than {_limit(kind)}")
    return _HEAD.pack(len(payload), kind, number) + payload


def decode_head(data: bytes, allowed: frozenset[Kind]) -> Head:
    """Read a head of HEAD_BYTES bytes.

    Raises:
        VerificationError: a kind that this side does not take, or a payload larger than its kind allows.
    """
    length, code, number = _HEAD.unpack(data)
    kind = next((kind for kind in allowed if kind == code), None)
    if kind is None:
        raise VerificationError(f"frame is of the kind {code}, which is not expected here")
    if length > _limit(kind):
        raise VerificationError(f"frame announces {length} bytes, more than {_limit(kind)}")
    return Head(kind=kind, id=number, length=length)


def reason_bytes(text: str) -> bytes:
    """Return a text as the payload of FAILED, cut at its bound."""
    return text.encode(errors="replace")[:MAX_REASON_BYTES]


def reason_text(payload: bytes) -> str:
    """Return what a peer says: one printable line, whatever it sent."""
    text = payload.decode(errors="replace")
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


def _limit(kind: Kind) -> int:
    return _MAX_BYTES.get(kind, MAX_PAYLOAD_BYTES)

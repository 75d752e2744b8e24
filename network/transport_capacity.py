"""Signed capacity records: one small message per node, of which only the newest counts.

A record is `VERSION` (1 byte), the node's public key (32), a sequence number (8, big-endian), the payload, a signature
(64). The signature covers `DOMAIN` and all that precedes it. Who passes a record on cannot change it, and an old one
replaces nothing.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from network.transport import MAX_CAPACITY_BYTES
from storage.errors import VerificationError
from verifier.identity import Identity
from verifier.peer_id import PeerId, peer_id_of, public_key_of

TOPIC: Final = "/bacalhau/capacity/1"
VERSION: Final = 1
DOMAIN: Final = b"bacalhau-capacity/1\0"
MAX_NODES: Final = 4096
"""Remembered; of more, those not heard of for longest are forgotten. About 6 MB."""
MIN_INTERVAL_S: Final = 1.0
"""A node's records that come faster are dropped and not passed on: at most one in 5 to 10 s is due."""

_HEAD: Final = struct.Struct(">B32sQ")
_SIGNATURE_BYTES: Final = 64
MAX_RECORD_BYTES: Final = _HEAD.size + MAX_CAPACITY_BYTES + _SIGNATURE_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityRecord:
    """What a node said of itself."""

    node: PeerId
    sequence: int
    payload: bytes


class Reception(Enum):
    """What to do with a record that came."""

    NEW = auto()
    """Keep it and pass it on."""
    STALE = auto()
    """Drop it; honest peers send such records, too."""
    FORGED = auto()
    """Drop it; who passed it on did not check it."""


def sign_record(identity: Identity, sequence: int, payload: bytes) -> bytes:
    """Return a record.

    Raises:
        ValueError: the payload is too large.
    """
    if len(payload) > MAX_CAPACITY_BYTES:
        raise ValueError(f"capacity payload of {len(payload)} bytes is larger than {MAX_CAPACITY_BYTES}")
    body = _HEAD.pack(VERSION, public_key_of(identity.peer), sequence) + payload
    return body + identity.key.sign(DOMAIN + body)


def read_record(data: bytes) -> CapacityRecord:
    """Read a record and check its signature.

    Raises:
        VerificationError: malformed, too large, of another version, or not signed by its node.
    """
    if not _HEAD.size + _SIGNATURE_BYTES <= len(data) <= MAX_RECORD_BYTES:
        raise VerificationError(f"capacity record has {len(data)} bytes")
    body, signature = data[:-_SIGNATURE_BYTES], data[-_SIGNATURE_BYTES:]
    version, public_key, sequence = _HEAD.unpack(body[: _HEAD.size])
    if version != VERSION:
        raise VerificationError(f"capacity record has the version {version}")
    node = peer_id_of(public_key)
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, DOMAIN + body)
    except InvalidSignature:
        raise VerificationError("capacity record is not signed by its node", where=node) from None
    return CapacityRecord(node=node, sequence=sequence, payload=body[_HEAD.size :])


@dataclass(slots=True)
class _Heard:
    sequence: int
    payload: bytes
    at: float


class CapacityTable:
    """The newest record of each node."""

    def __init__(self) -> None:
        self._heard: OrderedDict[PeerId, _Heard] = OrderedDict()

    def take(self, record: CapacityRecord, now: float) -> Reception:
        """Keep a record if it is newer than the node's last, and not too soon after it. now: seconds."""
        last = self._heard.get(record.node)
        if last is not None and (record.sequence <= last.sequence or now - last.at < MIN_INTERVAL_S):
            return Reception.STALE
        self._heard[record.node] = _Heard(record.sequence, record.payload, now)
        self._heard.move_to_end(record.node)
        if len(self._heard) > MAX_NODES:
            self._heard.popitem(last=False)
        return Reception.NEW

    def payloads(self) -> Mapping[PeerId, bytes]:
        """Return the newest payload of each node."""
        return {node: heard.payload for node, heard in self._heard.items()}

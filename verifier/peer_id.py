"""Peer ids: the name of a node is its ed25519 public key, in the form that libp2p uses.

A peer id is the base58btc text of an identity multihash of the protobuf `PublicKey {type = Ed25519, data = 32 bytes}`;
all of them begin with `12D3Koo`. Source: libp2p/specs, peer-ids.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NewType

import libipld

from storage.errors import VerificationError

PeerId = NewType("PeerId", str)
"""Text of a peer id. Always a usable key when it came from this module or is in a type of the model."""

_PREFIX: Final = bytes.fromhex("002408011220")
"""Identity multihash of 36 bytes; field 1, varint 1 (Ed25519); field 2, 32 bytes."""
_P: Final = 2**255 - 19
_D: Final = -121665 * pow(121666, -1, _P) % _P


def _small_order_heights() -> frozenset[int]:
    """Return the y coordinates of the eight points whose order divides 8.

    Those of order 8 satisfy d*y^4 + 2*y^2 - 1 = 0 (doubling such a point gives y = 0): y^2 = (-1 ± sqrt(1 + d)) / d.
    """
    root = _square_root((1 + _D) % _P)
    squares = [(sign * root - 1) * pow(_D, -1, _P) % _P for sign in (1, -1)]
    heights = {y for square in squares if pow(square, (_P - 1) // 2, _P) == 1 for y in _both_roots(square)}
    return frozenset({0, 1, _P - 1} | heights)


def _square_root(square: int) -> int:
    root = pow(square, (_P + 3) // 8, _P)
    return root if root * root % _P == square else root * pow(2, (_P - 1) // 4, _P) % _P


def _both_roots(square: int) -> tuple[int, int]:
    return _square_root(square), -_square_root(square) % _P


_SMALL_ORDER: Final = _small_order_heights()


def peer_id_of(public_key: bytes) -> PeerId:
    """Return the peer id of a raw 32-byte ed25519 public key.

    Raises:
        VerificationError: not 32 bytes, not canonical, or a point of small order.
    """
    check_public_key(public_key)
    return PeerId(libipld.encode_multibase("z", _PREFIX + public_key)[1:])


@lru_cache(maxsize=8192)
def public_key_of(peer: str) -> bytes:
    """Return the raw 32-byte public key that a peer id holds. Remembered: each message names the same few peers.

    Raises:
        VerificationError: not the peer id of an ed25519 key, or a key that `check_public_key` refuses.
    """
    if not peer.isascii() or len(peer) != 52:
        raise VerificationError("must be a peer id of an ed25519 key (12D3Koo…)")
    try:
        raw = bytes(libipld.decode_multibase("z" + peer)[1])
    except ValueError as error:
        raise VerificationError("must be base58") from error
    if len(raw) != 38 or not raw.startswith(_PREFIX) or libipld.encode_multibase("z", raw) != "z" + peer:
        raise VerificationError("must be a peer id of an ed25519 key (12D3Koo…)")
    check_public_key(raw[6:])
    return raw[6:]


def check_public_key(public_key: bytes) -> None:
    """Refuse keys under which one signature fits many messages, so that a signature is always evidence.

    Raises:
        VerificationError: not 32 bytes, y not below the field prime, or one of the eight points of small order.
    """
    if len(public_key) != 32:
        raise VerificationError("ed25519 public key must have 32 bytes")
    height = int.from_bytes(public_key, "little") & (1 << 255) - 1
    if height >= _P or height in _SMALL_ORDER:
        raise VerificationError("ed25519 public key is weak or not canonical")

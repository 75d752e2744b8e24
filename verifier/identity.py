"""Who signs: ed25519 identities, and signatures over nodes.

A signature covers `DOMAIN` and the DAG-CBOR of the node without its key `signature`. Because decoding is strict, the
node read from a block encodes to the block's own bytes, so what is checked is what was received. Key files are not here
(`network.key_store`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from storage import dag_cbor
from storage.errors import VerificationError
from verifier.peer_id import PeerId, peer_id_of, public_key_of
from verifier.signature import signature_bytes, signature_text

DOMAIN: Final = b"bacalhau-signature/1\0"
"""Keeps a signature over our nodes from being one over anything else that the same key signs (libp2p's handshake)."""

SEED_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A node's key pair; never printed."""

    peer: PeerId
    key: Ed25519PrivateKey

    @classmethod
    def from_seed(cls, seed: bytes) -> Self:
        """Return the identity of a raw private key of 32 bytes (RFC 8032, section 5.1.5)."""
        key = Ed25519PrivateKey.from_private_bytes(seed)
        return cls(peer=peer_id_of(key.public_key().public_bytes_raw()), key=key)

    def __repr__(self) -> str:
        return f"Identity({self.peer})"

    def sign(self, node: Mapping[str, Any]) -> dict[str, Any]:
        """Return the node with this identity's signature added (or replaced)."""
        return dict(node) | {"signature": signature_text(self.key.sign(signing_preimage(node)))}


def signing_preimage(node: Mapping[str, Any]) -> bytes:
    """Return the bytes that a node's signature covers."""
    return DOMAIN + dag_cbor.encode({key: value for key, value in node.items() if key != "signature"})


def check_signature(node: Mapping[str, Any], peer: PeerId) -> None:
    """Check that `peer` signed `node`. Malleable and small-order forms are refused (`verifier.peer_id`).

    Raises:
        VerificationError: it did not.
    """
    if not _is_by(public_key_of(peer), signature_bytes(node["signature"]), signing_preimage(node)):
        raise VerificationError("signature is not by this node", where=f"{node['v']} of {peer}")


@lru_cache(maxsize=4096)
def _is_by(public_key: bytes, signature: bytes, preimage: bytes) -> bool:
    """Tell whether a signature verifies. Remembered, since a commitment is looked at in each step of its session."""
    try:
        _key_of(public_key).verify(signature, preimage)
    except InvalidSignature:
        return False
    return True


@lru_cache(maxsize=4096)
def _key_of(public_key: bytes) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(public_key)

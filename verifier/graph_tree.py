"""The Merkle tree over a log's entries: one hash for all, short proofs that one is in it, and of what came before.

Hashes, inclusion proofs and consistency proofs are those of RFC 9162, sections 2.1.1, 2.1.3 and 2.1.4 (the same as in
RFC 6962), with sha2-256: a leaf is hashed behind a zero byte, two hashes behind a one byte, so that no leaf passes for
a node. The leaves here are the bytes of the blocks of entries (`verifier.graph_types.LogEntry`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from storage.counting import counted
from storage.errors import VerificationError

HASH_BYTES: Final = 32
MAX_PROOF: Final = 64
"""Hashes of a proof: a log has fewer than 2^63 entries."""
EMPTY: Final = hashlib.sha256(b"").digest()
"""The hash of a tree without leaves."""


def leaf_hash(leaf: bytes) -> bytes:
    """Return the hash of one leaf, 32 bytes."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of two subtrees, 32 bytes."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def tree_hash(leaves: Sequence[bytes]) -> bytes:
    """Return the Merkle tree hash of leaves that are hashed already. Source: RFC 9162, 2.1.1."""
    return _range_hash(leaves, 0, len(leaves))


def inclusion_proof(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """Return what shows that the leaf at `index` is in the tree. Source: RFC 9162, 2.1.3.1.

    Raises:
        ValueError: there is no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise ValueError(f"no leaf {index} in a tree of {len(leaves)}")
    proof: list[bytes] = []
    start, end = 0, len(leaves)
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            proof.append(_range_hash(leaves, middle, end))
            end = middle
        else:
            proof.append(_range_hash(leaves, start, middle))
            start = middle
    return tuple(reversed(proof))


def check_inclusion(leaf: bytes, *, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check that a leaf, hashed already, is at `index` in the tree of `size` leaves with this hash.

    Source: RFC 9162, 2.1.3.2.

    Raises:
        VerificationError: the proof does not show it.
    """
    _check_hashes((leaf, *proof, root), proof)
    if not 0 <= index < size:
        raise VerificationError(f"there is no entry {index} in a log of {size}")
    hashed, place, last = leaf, index, size - 1
    for other in proof:
        if last == 0:
            raise VerificationError("the inclusion proof is too long")
        if place & 1 or place == last:
            hashed = node_hash(other, hashed)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            hashed = node_hash(hashed, other)
        place, last = place >> 1, last >> 1
    if last != 0 or hashed != root:
        raise VerificationError("the inclusion proof does not lead to the tree's hash")


def consistency_proof(leaves: Sequence[bytes], size: int) -> tuple[bytes, ...]:
    """Return what shows that the tree of the first `size` leaves was only added to. Source: RFC 9162, 2.1.4.1.

    Raises:
        ValueError: there are not as many leaves, or none.
    """
    if not 0 < size <= len(leaves):
        raise ValueError(f"no first {counted(size, 'leaf', 'leaves')} in a tree of {len(leaves)}")
    proof: list[bytes] = []
    start, end, is_whole = 0, len(leaves), True
    while size < end:
        middle = start + _split(end - start)
        if size <= middle:
            proof.append(_range_hash(leaves, middle, end))
            end = middle
        else:
            proof.append(_range_hash(leaves, start, middle))
            start, is_whole = middle, False
    if not is_whole:
        proof.append(_range_hash(leaves, start, end))
    return tuple(reversed(proof))


def check_consistency(*, sizes: tuple[int, int], roots: tuple[bytes, bytes], proof: Sequence[bytes]) -> None:
    """Check that the tree of the second size and hash begins with the one of the first. Source: RFC 9162, 2.1.4.2.

    Raises:
        VerificationError: the proof does not show it.
    """
    first, second = sizes
    _check_hashes((*roots, *proof), proof)
    if not 0 < first <= second:
        raise VerificationError(f"a log of {counted(second, 'entry', 'entries')} does not go on from one of {first}")
    if first == second:
        if proof or roots[0] != roots[1]:
            raise VerificationError("two logs of one size have different hashes")
        return
    # A first tree that is one whole subtree is not in the proof: everybody has its hash.
    path = [roots[0], *proof] if first & (first - 1) == 0 else list(proof)
    if not path:
        raise VerificationError("the consistency proof is empty")
    place, last = first - 1, second - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    old = new = path[0]
    for other in path[1:]:
        if last == 0:
            raise VerificationError("the consistency proof is too long")
        if place & 1 or place == last:
            old, new = node_hash(other, old), node_hash(other, new)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            new = node_hash(new, other)
        place, last = place >> 1, last >> 1
    if last != 0 or (old, new) != roots:
        raise VerificationError("the consistency proof does not lead to both hashes")


def _check_hashes(hashes: Sequence[bytes], proof: Sequence[bytes]) -> None:
    if len(proof) > MAX_PROOF or any(len(one) != HASH_BYTES for one in hashes):
        raise VerificationError("a proof has at most 64 hashes of 32 bytes")


def _range_hash(leaves: Sequence[bytes], start: int, end: int) -> bytes:
    """Return the hash of the subtree over a range; its depth is that of a balanced tree."""
    if end - start == 0:
        return EMPTY
    if end - start == 1:
        return leaves[start]
    middle = start + _split(end - start)
    return node_hash(_range_hash(leaves, start, middle), _range_hash(leaves, middle, end))


def _split(size: int) -> int:
    """Return the largest power of two below `size`, which is at least 2."""
    return 1 << (size - 1).bit_length() - 1

"""Commitments: a node fixes its output before it sees anyone else's.

The digest binds task, node, nonce, output and state digest, so a copied commitment is worthless: its digest names
another node. The nonce keeps the few likely outputs of a task from being tried out. Decisions: docs/decisions/0005.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from storage import dag_cbor
from storage.cid import CID
from storage.errors import VerificationError
from verifier.identity import Identity, check_signature
from verifier.model import Commitment, CommitmentList, PeerId, Receipt, node_cid

PREIMAGE_VERSION: Final = "commitment-preimage/1"
_REMEMBERED: Final = 4096
"""Commitments, as many as a list can have; a kilobyte each."""
_LISTS: Final = 16
"""Lists, of up to 4,096 commitments."""
_SHORT: Final = 16
"""Commitments of a list that is short."""
_SHORT_LISTS: Final = 1024
"""Short ones that are remembered: a node may have as many sessions under way."""


def commitment_digest(*, task: CID, node: PeerId, nonce: str, output: CID, state_digest: str) -> str:
    """Return the sha2-256, as hex, of the DAG-CBOR of the preimage; `nonce` and `state_digest` are hex."""
    preimage = {
        "v": PREIMAGE_VERSION,
        "task": task,
        "node": node,
        "nonce": nonce,
        "output": output,
        "state_digest": state_digest,
    }
    return hashlib.sha256(dag_cbor.encode(preimage)).hexdigest()


def sign_commitment(identity: Identity, *, task: CID, nonce: str, output: CID, state_digest: str) -> Commitment:
    """Return the commitment of `identity` to an output; `nonce` must be 32 fresh random bytes as hex."""
    digest = commitment_digest(task=task, node=identity.peer, nonce=nonce, output=output, state_digest=state_digest)
    node = {"v": Commitment.VERSION, "task": task, "node": identity.peer, "digest": digest}
    return Commitment.from_node(identity.sign(node))


def check_commitment(commitment: Commitment, task: CID) -> None:
    """Check that the commitment is to `task` and signed by its node.

    Raises:
        VerificationError: it is not.
    """
    if commitment.task != task:
        raise VerificationError("is to another task", where=f"commitment of {commitment.node}")
    _check_signed(commitment)


@lru_cache(maxsize=_REMEMBERED)
def _check_signed(commitment: Commitment) -> None:
    """Check the signature. One that holds is remembered: each node of a session looks at all commitments of its rounds.

    Raises:
        VerificationError: it is not by the commitment's node.
    """
    check_signature(commitment.to_node(), commitment.node)


def close_round(task: CID, commitments: Iterable[Commitment]) -> CommitmentList:
    """Return the list that closes a round. Publishing it is what allows nodes to reveal.

    Raises:
        ModelError: two commitments are of the same node.
    """
    return CommitmentList(task=task, commitments=tuple(sorted(commitments, key=lambda one: one.node.encode())))


def check_round(commitments: CommitmentList, task: CID) -> None:
    """Check a published list: of this task, every commitment signed. (Nodes are distinct by its type.)

    Raises:
        VerificationError: it is not.
    """
    if commitments.task != task:
        raise VerificationError("commitment list is of another task")
    for commitment in commitments.commitments:
        check_commitment(commitment, task)


def commitment_of(commitments: CommitmentList, node: PeerId) -> Commitment | None:
    """Return the node's commitment, None if it made none."""
    return next((one for one in commitments.commitments if one.node == node), None)


def list_cid(commitments: CommitmentList) -> CID:
    """Return the CID that receipts name as their round. Remembered: every receipt of the round is compared with it."""
    return (_short_cid if len(commitments.commitments) <= _SHORT else _long_cid)(commitments)


@lru_cache(maxsize=_SHORT_LISTS)
def _short_cid(commitments: CommitmentList) -> CID:
    return node_cid(commitments)


@lru_cache(maxsize=_LISTS)
def _long_cid(commitments: CommitmentList) -> CID:
    return node_cid(commitments)


def check_reveal(receipt: Receipt, commitments: CommitmentList) -> None:
    """Check that a receipt reveals what its node committed to in this round.

    Raises:
        VerificationError: another round, no commitment of this node, or not what it committed to.
    """
    if receipt.round != list_cid(commitments):
        raise VerificationError("names another round", where=f"receipt of {receipt.node}")
    check_opening(receipt, commitment_of(commitments, receipt.node))


def check_opening(receipt: Receipt, commitment: Commitment | None) -> None:
    """Check that a receipt opens its node's commitment; None stands for a round in which it made none.

    Raises:
        VerificationError: it made none, or is not what it committed to.
    """
    where = f"receipt of {receipt.node}"
    if commitment is None:
        raise VerificationError("its node did not commit in this round", where=where)
    if commitment.digest != digest_of(receipt):
        raise VerificationError("is not what its node committed to", where=where)


def digest_of(receipt: Receipt) -> str:
    """Return the digest that the receipt's node must have committed to."""
    return commitment_digest(
        task=receipt.task,
        node=receipt.node,
        nonce=receipt.nonce,
        output=receipt.output,
        state_digest=receipt.state_digest,
    )

"""Receipts: signed statements "task T gave output y", which only exist for a closed round."""

from __future__ import annotations

from storage.cid import CID
from storage.errors import VerificationError
from verifier.identity import Identity, check_signature
from verifier.model import EngineInfo, Receipt, node_cid


def sign_receipt(
    identity: Identity,
    *,
    task: CID,
    output: CID,
    exit_code: int,
    fuel: int | None,
    state_digest: str,
    engine: EngineInfo,
    nonce: str,
    round: CID,  # noqa: A002
) -> Receipt:
    """Return the receipt of `identity`. Call it only with the CID of a list that holds its own commitment."""
    unsigned = {
        "v": Receipt.VERSION,
        "task": task,
        "output": output,
        "exit_code": exit_code,
        "fuel": fuel,
        "state_digest": state_digest,
        "engine": engine.to_node(),
        "node": identity.peer,
        "nonce": nonce,
        "round": round,
    }
    return Receipt.from_node(identity.sign(unsigned))


def check_receipt(receipt: Receipt, task: CID) -> None:
    """Check that the receipt is of `task` and signed by its node.

    Raises:
        VerificationError: it is not.
    """
    if receipt.task != task:
        raise VerificationError("is of another task", where=f"receipt of {receipt.node}")
    check_signature(receipt.to_node(), receipt.node)


def receipt_cid(receipt: Receipt) -> CID:
    """Return the CID of the receipt's block."""
    return node_cid(receipt)

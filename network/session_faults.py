"""Is a message of the session the peer's fault? Pure checks from message to `Fault`."""

from __future__ import annotations

from network.session_events import Fault, FaultKind
from storage.cid import CID
from storage.errors import VerificationError
from verifier.commitment import check_commitment, check_reveal
from verifier.model import Commitment, CommitmentList, PeerId, Receipt
from verifier.receipt import check_receipt


def commitment_fault(task: CID, peer: PeerId, commitment: Commitment, known: Commitment | None) -> Fault | None:
    """Return what is wrong with a commitment that arrived from `peer`; `known` is the one it made before."""
    try:
        check_commitment(commitment, task)
    except VerificationError as error:
        return Fault(peer=peer, kind=FaultKind.FORGED, detail=str(error))
    if commitment.node != peer:
        return Fault(peer=peer, kind=FaultKind.FORGED, evidence=(commitment,), detail="commitment of another node")
    if known is not None and known != commitment:
        return Fault(peer=peer, kind=FaultKind.EQUIVOCATION, evidence=(known, commitment))
    return None


def reveal_fault(
    task: CID, peer: PeerId, receipt: Receipt, known: Receipt | None, published: CommitmentList | None
) -> Fault | None:
    """Return what is wrong with a receipt that arrived from `peer`; `known` is the one it revealed before."""
    try:
        check_receipt(receipt, task)
    except VerificationError as error:
        return Fault(peer=peer, kind=FaultKind.FORGED, detail=str(error))
    if receipt.node != peer:
        return Fault(peer=peer, kind=FaultKind.FORGED, evidence=(receipt,), detail="receipt of another node")
    if known is not None:
        return None if known == receipt else Fault(peer=peer, kind=FaultKind.EQUIVOCATION, evidence=(known, receipt))
    return _mismatch(receipt, published)


def _mismatch(receipt: Receipt, published: CommitmentList | None) -> Fault | None:
    if published is None:
        return Fault(peer=receipt.node, kind=FaultKind.MISMATCH, evidence=(receipt,), detail="no round is closed")
    try:
        check_reveal(receipt, published)
    except VerificationError as error:
        evidence = (published, receipt)
        return Fault(peer=receipt.node, kind=FaultKind.MISMATCH, evidence=evidence, detail=error.problem)
    return None


def mute_fault(peer: PeerId, published: CommitmentList | None, detail: str) -> Fault:
    """Return the fault of a node that committed and does not reveal."""
    return Fault(peer=peer, kind=FaultKind.MUTE, evidence=(published,) if published else (), detail=detail)

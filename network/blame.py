"""Blame: that a node broke the rules, with what it signed itself as the proof. Anyone can check it, offline.

What proves what (rules version 1):

 1. forged        a `Commit` that the node signed, around a commitment that is another node's or not signed at all
 2. equivocation  two different `Commit`s of one session, both signed by the node
 3. equivocation  two different receipts for one closed list, both signed by the node
 4. equivocation  two different lists for one round of one session, both in a `Close` signed by the requester
 5. mismatch      a closed list, and a receipt that the node signed for just this list, which is not what its commitment
                  there says, or it has none there

Not here, because no signature shows it: being late, being mute, or bytes that make no sense. A requester notes those as
faults for itself, and they convict nobody: the network may have been at fault, or the requester.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final

from network.message_codec import check_signed
from network.messages import Close, Commit
from network.session_events import Fault, FaultKind
from storage.errors import PeerError, VerificationError
from verifier.bounds import Peer, Word, at_most
from verifier.commitment import check_commitment, check_opening, check_round, commitment_of, list_cid
from verifier.identity import check_signature
from verifier.model import CommitmentList, PeerId, Receipt
from verifier.schema import Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Blame(Schema):
    """A proven accusation."""

    VERSION: ClassVar[str] = "blame/1"

    node: Peer
    kind: Word
    commits: Annotated[tuple[Commit, ...], at_most(2)] = ()
    closes: Annotated[tuple[Close, ...], at_most(2)] = ()
    commitments: CommitmentList | None = None
    receipts: Annotated[tuple[Receipt, ...], at_most(2)] = ()


def check_blame(blame: Blame) -> None:
    """Check that the evidence proves what is said of the node.

    Raises:
        VerificationError: it does not.
    """
    shape = (len(blame.commits), len(blame.closes), blame.commitments is not None, len(blame.receipts))
    check = _PROOFS.get((blame.kind, shape))
    if check is None:
        raise VerificationError(f"evidence of this shape proves no {blame.kind}", where=f"blame of {blame.node}")
    check(blame)


def _forged(blame: Blame) -> None:
    (commit,) = blame.commits
    _signed(commit, blame.node)
    inner = commit.commitment
    try:
        check_commitment(inner, inner.task)
    except VerificationError:
        return
    if inner.node == blame.node:
        raise VerificationError("is a sound commitment", where=f"blame of {blame.node}")


def _two_commits(blame: Blame) -> None:
    first, second = blame.commits
    _signed(first, blame.node)
    _signed(second, blame.node)
    _differ(first.session == second.session and first.commitment != second.commitment, blame.node)


def _two_receipts(blame: Blame) -> None:
    first, second = blame.receipts
    _signed_receipt(first, blame.node)
    _signed_receipt(second, blame.node)
    _differ(first.round == second.round and first != second, blame.node)


def _two_lists(blame: Blame) -> None:
    first, second = blame.closes
    _signed(first, blame.node)
    _signed(second, blame.node)
    same_round = (first.session, first.round) == (second.session, second.round)
    _differ(same_round and first.commitments != second.commitments, blame.node)


def _mismatch(blame: Blame) -> None:
    (receipt,), commitments = blame.receipts, blame.commitments
    if commitments is None:
        raise VerificationError("lacks the closed list", where=f"blame of {blame.node}")
    _signed_receipt(receipt, blame.node)
    check_round(commitments, receipt.task)
    if receipt.round != list_cid(commitments):
        raise VerificationError("receipt and list are not of one round", where=f"blame of {blame.node}")
    try:
        check_opening(receipt, commitment_of(commitments, blame.node))
    except VerificationError:
        return
    raise VerificationError("is a sound reveal", where=f"blame of {blame.node}")


def _signed(message: Commit | Close, node: PeerId) -> None:
    try:
        check_signed(message, node)
    except PeerError as error:
        raise VerificationError(error.problem, where=f"blame of {node}") from error


def _signed_receipt(receipt: Receipt, node: PeerId) -> None:
    if receipt.node != node:
        raise VerificationError("is about a receipt of another node", where=f"blame of {node}")
    check_signature(receipt.to_node(), node)


def _differ(contradict: bool, node: PeerId) -> None:
    if not contradict:
        raise VerificationError("shows no contradiction", where=f"blame of {node}")


_PROOFS: Final[dict[tuple[str, tuple[int, int, bool, int]], Callable[[Blame], None]]] = {
    (FaultKind.FORGED, (1, 0, False, 0)): _forged,
    (FaultKind.EQUIVOCATION, (2, 0, False, 0)): _two_commits,
    (FaultKind.EQUIVOCATION, (0, 0, False, 2)): _two_receipts,
    (FaultKind.EQUIVOCATION, (0, 2, False, 0)): _two_lists,
    (FaultKind.MISMATCH, (0, 0, True, 1)): _mismatch,
}


def blame_of(fault: Fault, known: Commit | None, sent: Commit | None) -> Blame | None:
    """Return the proof of a fault, None where there is none and it stays the requester's own observation.

    known: the node's first `Commit` of this session; sent: the one that the fault is about.
    """
    receipts = tuple(part for part in fault.evidence if isinstance(part, Receipt))
    lists = [part for part in fault.evidence if isinstance(part, CommitmentList)]
    kind = fault.kind.value
    if receipts:
        listed = lists[0] if lists else None
        candidate = Blame(node=fault.peer, kind=kind, receipts=receipts, commitments=listed)
    else:
        commits = tuple(one for one in (known, sent) if one is not None)
        candidate = Blame(node=fault.peer, kind=kind, commits=commits if fault.kind in _BY_COMMIT else ())
    try:
        check_blame(candidate)
    except VerificationError:
        return None
    return candidate


def proven_lists(first: Close, second: Close) -> Blame | None:
    """Return the proof that a requester closed one round twice, None if these do not show it."""
    candidate = Blame(node=first.requester, kind=FaultKind.EQUIVOCATION.value, closes=(first, second))
    try:
        check_blame(candidate)
    except VerificationError:
        return None
    return candidate


_BY_COMMIT = (FaultKind.FORGED, FaultKind.EQUIVOCATION)

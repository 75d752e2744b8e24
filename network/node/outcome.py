"""From the end of a session to what a requester keeps of it: receipts and a note that names them; then the record.

The note is what a node that was killed goes on from: the record and the report are still to be made, and the output may
have to come here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from network.embedded import SessionResult
from network.kept_versions import as_now
from network.node.datastore import Submission
from network.node.reasons import reason
from network.protocol_events import TaskEnded
from network.requester_entries import write
from network.session_events import Fault, FaultKind
from network.session_state import Session
from network.session_trust import trust_note
from network.trust_terms import TrustNote, rule_in_force
from storage import dag_cbor
from storage.blocks import BlockStore
from storage.cid import CID
from storage.errors import VerificationError
from verifier.bounds import Count, Hex32, Link, Peer, SortedLinks, Word, at_most
from verifier.commitment import list_cid
from verifier.compare import compare
from verifier.model import Receipt, Task, Verdict, load_node, node_cid, store_node
from verifier.record import build_record
from verifier.schema import Schema

MAX_NODES: int = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure(Schema):
    """A node whose host failed."""

    node: Peer
    reason: Word


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach(Schema):
    """A node that broke the rules."""

    node: Peer
    kind: Word
    detail: Word


@dataclass(frozen=True, slots=True, kw_only=True)
class Before(Schema):
    """The earlier session that one went on from."""

    record: Link
    receipts: Count
    """How many of the receipts are of then."""
    parents: SortedLinks
    """Records that its record names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome(Schema):
    """A session that is over; the blocks that it names are in the store. Its record is made while settling."""

    VERSION: ClassVar[str] = "outcome/4"
    """1 named a record, so that no session could end whose task could not be read; 2 did not have `trust`, 3 no
    `before`."""

    session: Hex32 | None
    """None: nothing was asked of anybody."""
    known: Link | None = None
    """The record of an earlier session that is the answer, if nothing was asked of anybody."""
    verdict: Word
    cancelled: bool
    same_state: bool
    output: Link | None
    """None unless agreed, like `commitments`."""
    commitments: Link | None
    """The last closed list."""
    receipts: Annotated[tuple[Link, ...], at_most(MAX_NODES)]
    """By node."""
    dissent: Annotated[tuple[Link, ...], at_most(MAX_NODES)]
    undetermined: Annotated[tuple[Failure, ...], at_most(MAX_NODES)]
    faults: Annotated[tuple[Breach, ...], at_most(2 * MAX_NODES)]
    trust: TrustNote | None = None
    """None if counts were all that was asked for."""
    before: Before | None = None
    """None if nothing was known that could be added to."""


def known_outcome(known: SessionResult) -> Outcome:
    """Return the note of a task that was verified before; what it names is in the store."""
    cids = {receipt.node: node_cid(receipt) for receipt in known.receipts}
    return Outcome(
        session=None,
        known=known.record,
        verdict=known.verdict.value,
        cancelled=False,
        same_state=known.same_state,
        output=known.output,
        commitments=None,
        receipts=tuple(cids.values()),
        dissent=tuple(cids[receipt.node] for receipt in known.dissent),
        undetermined=(),
        faults=(),
        trust=known.trust,
    )


def keep_outcome(ended: TaskEnded, store: BlockStore) -> Outcome:
    """Put the receipts into the store and return the note. Reads nothing, so what is damaged on the disk ends nothing.

    Raises:
        UnavailableError: they cannot be kept.
    """
    decision, session = ended.decision, ended.session
    receipts = sorted((*decision.agreeing, *decision.dissenting), key=lambda one: one.node.encode())
    cids = {receipt.node: store_node(store, receipt) for receipt in receipts}
    # A withdrawn session has no agreement, whatever its receipts say: nobody waited for the others.
    agreed = decision.verdict is Verdict.AGREED and not session.withdrawn
    dissent = decision.dissenting if agreed else receipts
    return Outcome(
        session=ended.session_id,
        verdict=decision.verdict.value if agreed or not session.withdrawn else Verdict.TOO_FEW.value,
        cancelled=session.withdrawn,
        same_state=decision.same_state,
        output=decision.claim[0] if agreed and decision.claim else None,
        commitments=list_cid(session.published) if agreed and session.published is not None else None,
        receipts=tuple(cids.values()),
        dissent=tuple(cids[receipt.node] for receipt in dissent),
        undetermined=tuple(Failure(node=peer, reason=why) for peer, why in session.undetermined),
        faults=tuple(
            Breach(node=fault.peer, kind=fault.kind.value, detail=reason(fault.detail, otherwise="-"))
            for fault in session.faults
        ),
        trust=trust_note(session),
        before=_before(session),
    )


def _before(session: Session) -> Before | None:
    prior = session.prior
    if prior is None:
        return None
    receipts = sum(receipt.node in session.receipts for receipt in prior.receipts)
    return Before(record=prior.record, receipts=receipts, parents=prior.parents)


def write_outcome(outcome: Outcome) -> bytes:
    """Return the note's bytes."""
    return write(outcome)


def read_outcome(data: bytes) -> Outcome:
    """Return a note.

    Raises:
        VerificationError: the datastore holds something else.
    """
    return Outcome.from_node(as_outcome_now(dag_cbor.decode(data)))


def as_outcome_now(node: object) -> object:
    """Return the node of a note as this version would have written it, if one of those before did."""
    return as_now(Outcome, node, {version: {"trust": None, "before": None} for version in ("outcome/2", "outcome/3")})


def session_result(outcome: Outcome, submission: Submission, store: BlockStore) -> SessionResult:
    """Return what a report is made of; of what was agreed, the record is put into the store (of a single task).

    Raises:
        UnavailableError: a receipt or the task is not here, or the record cannot be kept.
        VerificationError: what the disk holds is not what was written.
    """
    receipts = {cid: load_node(store, cid, Receipt) for cid in outcome.receipts}
    try:
        verdict = Verdict(outcome.verdict)
        faults = tuple(
            Fault(peer=one.node, kind=FaultKind(one.kind), detail=one.detail, evidence=()) for one in outcome.faults
        )
        record = (
            outcome.known
            if submission.task is None
            else keep_record(outcome, submission.task, submission, store, parents=submission.parents)
        )
    except ValueError as error:
        raise VerificationError(f"a kept outcome is not whole ({error})") from error
    return SessionResult(
        verdict=verdict,
        output=outcome.output,
        record=record,
        receipts=tuple(receipts.values()),
        dissent=tuple(receipts[cid] for cid in outcome.dissent if cid in receipts),
        same_state=outcome.same_state,
        executions=(),
        undetermined=tuple((one.node, one.reason) for one in outcome.undetermined),
        faults=faults,
        cached=outcome.session is None,
        from_before=len(receipts)
        if outcome.session is None
        else 0
        if outcome.before is None
        else outcome.before.receipts,
        trust=outcome.trust,
    )


def keep_record(
    outcome: Outcome,
    task: CID,
    submission: Submission,
    store: BlockStore,
    receipts: Sequence[Receipt] | None = None,
    *,
    parents: Sequence[CID],
) -> CID | None:
    """Put the record of what was agreed into the store; None without agreement.

    receipts: those of the outcome, where they are at hand; None reads them. parents: records that the task's inputs
    come from; those that were known to an earlier session are named as well.

    Raises:
        UnavailableError: a receipt or the task is not here, or the record cannot be kept.
        VerificationError, ValueError: what the disk holds is not what was written.
    """
    if outcome.commitments is None:
        return outcome.known
    known = [load_node(store, cid, Receipt) for cid in outcome.receipts] if receipts is None else receipts
    rule = rule_in_force(submission.rule, None if outcome.trust is None else outcome.trust.terms)
    record = build_record(
        compare(known, rule),
        task=task,
        parts=load_node(store, task, Task),
        rule=rule,
        commitments=outcome.commitments,
        parents=tuple(sorted({*parents, *(() if outcome.before is None else outcome.before.parents)})),
    )
    return store_node(store, record)


def without_agreement(outcome: Outcome) -> Outcome:
    """Return the note of a session whose agreement cannot be checked: what its nodes said is no verdict."""
    return replace(
        outcome, verdict=Verdict.TOO_FEW.value, output=None, commitments=None, known=None, dissent=outcome.receipts
    )

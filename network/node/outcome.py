"""From the end of a session to what a requester keeps of it: receipts, the record, and a note that names them.

The note is what a node that was killed goes on from: the output may still have to come here, and the report to be made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from network.embedded import SessionResult
from network.node.reasons import reason
from network.protocol_events import TaskEnded
from network.requester_entries import write
from network.session_events import Fault, FaultKind
from storage import dag_cbor
from storage.blocks import BlockStore
from storage.cid import CID
from storage.errors import VerificationError
from verifier.bounds import Hex32, Link, Peer, Word, at_most
from verifier.commitment import list_cid
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
class Outcome(Schema):
    """A session that is over; the blocks that it names are in the store."""

    VERSION: ClassVar[str] = "outcome/2"

    session: Hex32 | None
    """None: it is what an earlier session gave, and nothing was asked of anybody."""
    verdict: Word
    cancelled: bool
    same_state: bool
    output: Link | None
    """None unless agreed, like `record`."""
    record: Link | None
    receipts: Annotated[tuple[Link, ...], at_most(MAX_NODES)]
    """By node."""
    dissent: Annotated[tuple[Link, ...], at_most(MAX_NODES)]
    undetermined: Annotated[tuple[Failure, ...], at_most(MAX_NODES)]
    faults: Annotated[tuple[Breach, ...], at_most(2 * MAX_NODES)]


def known_outcome(known: SessionResult) -> Outcome:
    """Return the note of a task that was verified before; what it names is in the store."""
    cids = {receipt.node: node_cid(receipt) for receipt in known.receipts}
    return Outcome(
        session=None,
        verdict=known.verdict.value,
        cancelled=False,
        same_state=known.same_state,
        output=known.output,
        record=known.record,
        receipts=tuple(cids.values()),
        dissent=tuple(cids[receipt.node] for receipt in known.dissent),
        undetermined=(),
        faults=(),
    )


def keep_outcome(ended: TaskEnded, task: CID, parents: tuple[CID, ...], store: BlockStore) -> Outcome:
    """Put the receipts, and the record if there is one, into the store, and return the note.

    Raises:
        UnavailableError: they cannot be kept, or the task's node is not here.
    """
    decision, session = ended.decision, ended.session
    receipts = sorted((*decision.agreeing, *decision.dissenting), key=lambda one: one.node.encode())
    cids = {receipt.node: store_node(store, receipt) for receipt in receipts}
    # A withdrawn session has no agreement, whatever its receipts say: nobody waited for the others.
    agreed = decision.verdict is Verdict.AGREED and not session.withdrawn
    record = None
    if agreed and session.published is not None:
        built = build_record(
            decision,
            task=task,
            parts=load_node(store, task, Task),
            rule=session.rule,
            commitments=list_cid(session.published),
            parents=parents,
        )
        record = store_node(store, built)
    dissent = decision.dissenting if agreed else receipts
    return Outcome(
        session=ended.session_id,
        verdict=decision.verdict.value if agreed or not session.withdrawn else Verdict.TOO_FEW.value,
        cancelled=session.withdrawn,
        same_state=decision.same_state,
        output=decision.claim[0] if agreed and decision.claim else None,
        record=record,
        receipts=tuple(cids.values()),
        dissent=tuple(cids[receipt.node] for receipt in dissent),
        undetermined=tuple(Failure(node=peer, reason=why) for peer, why in session.undetermined),
        faults=tuple(
            Breach(node=fault.peer, kind=fault.kind.value, detail=reason(fault.detail, otherwise="-"))
            for fault in session.faults
        ),
    )


def write_outcome(outcome: Outcome) -> bytes:
    """Return the note's bytes."""
    return write(outcome)


def read_outcome(data: bytes) -> Outcome:
    """Return a note.

    Raises:
        VerificationError: the datastore holds something else.
    """
    node = dag_cbor.decode(data)
    if isinstance(node, dict) and node.get("v") == "outcome/1":  # whose sessions are never null
        node = {**node, "v": Outcome.VERSION}
    return Outcome.from_node(node)


def session_result(outcome: Outcome, store: BlockStore) -> SessionResult:
    """Return what a report is made of.

    Raises:
        UnavailableError: a receipt is not here.
        VerificationError: the datastore holds something else.
    """
    receipts = {cid: load_node(store, cid, Receipt) for cid in outcome.receipts}
    try:
        verdict = Verdict(outcome.verdict)
        faults = tuple(
            Fault(peer=one.node, kind=FaultKind(one.kind), detail=one.detail, evidence=()) for one in outcome.faults
        )
    except ValueError as error:
        raise VerificationError(f"a kept outcome is not whole ({error})") from error
    return SessionResult(
        verdict=verdict,
        output=outcome.output,
        record=outcome.record,
        receipts=tuple(receipts.values()),
        dissent=tuple(receipts[cid] for cid in outcome.dissent if cid in receipts),
        same_state=outcome.same_state,
        executions=(),
        undetermined=tuple((one.node, one.reason) for one in outcome.undetermined),
        faults=faults,
        cached=outcome.session is None,
    )

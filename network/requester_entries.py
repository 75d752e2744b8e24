"""What a requester keeps in its datastore: jobs, the events of each session, outcomes. Strict DAG-CBOR.

A session is not kept as it stands but as the events that made it: the table of `session` is a function, so replaying
them gives the very same session, and what was added is one small entry for each step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Final, TypeVar

from network.kept_versions import as_now
from network.messages import Commit, Demand, JobId, Milliseconds
from network.session_events import (
    Assigned,
    Committed,
    DeadlinePassed,
    Event,
    Phase,
    Revealed,
    Said,
    Undetermined,
    Withdrawn,
)
from network.session_state import Prior
from network.statement import Statement
from network.trust_terms import Standing
from storage import dag_cbor
from storage.errors import VerificationError
from verifier.bounds import MAX_NODES, Count, Hex32, Link, Peer, SortedLinks, Votes, Word, at_most
from verifier.model import CommitmentList, Receipt, Rule
from verifier.schema import Schema

MAX_TASKS: Final = 32_768
"""Tasks of one job: their entry is one block of at most 2 MiB."""

T = TypeVar("T", bound=Schema)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEntry(Schema):
    """A job as it was accepted."""

    VERSION: ClassVar[str] = "job-entry/3"
    """1 had no containers, 2 ran everything whole."""

    job: JobId
    tasks: Annotated[tuple[Link, ...], at_most(MAX_TASKS)]
    rule: Rule
    demand: Demand
    seed: Hex32
    min_bids: Count
    max_nodes: Votes | None
    execute_ms: Milliseconds
    reveal_ms: Milliseconds
    offer_ms: Milliseconds
    queue_ms: Milliseconds
    cancelled: bool
    unverified: bool = False
    """Of a container."""
    resumes: bool = False
    """Runs need not be whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEntry(Schema):
    """One event of a session; fields that its kind does not have are null or empty."""

    VERSION: ClassVar[str] = "step-entry/3"
    """1 did not have `standing`, 2 no statement."""

    kind: Word
    nodes: Annotated[tuple[Peer, ...], at_most(1000)] = ()
    peer: Peer | None = None
    commit: Commit | None = None
    receipt: Receipt | None = None
    reason: Word | None = None
    round: Count | None = None
    phase: Word | None = None
    standing: Standing | None = None
    statement: Statement | None = None


_JOBS_SINCE: Final[dict[str, dict[str, bool]]] = {
    "job-entry/1": {"unverified": False, "resumes": False},
    "job-entry/2": {"resumes": False},
}
_PRIORS_SINCE: Final[dict[str, dict[str, None]]] = {"prior-entry/1": {"passes": None}}
_STEPS_SINCE: Final[dict[str, dict[str, None]]] = {
    "step-entry/1": {"standing": None, "statement": None},
    "step-entry/2": {"statement": None},
}
"""What earlier versions did not say, and meant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorEntry(Schema):
    """What a session goes on from: the evidence of an earlier one, whole, since a machine reads no blocks."""

    VERSION: ClassVar[str] = "prior-entry/2"
    """1 had no passes: what went by trust was not added to."""

    record: Link
    commitments: CommitmentList
    receipts: Annotated[tuple[Receipt, ...], at_most(MAX_NODES)]
    parents: SortedLinks
    passes: Annotated[tuple[Count, ...], at_most(MAX_NODES)] | None = None
    """Of the nodes of the receipts, in their order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeEntry(Schema):
    """A session is over; its steps say how."""

    VERSION: ClassVar[str] = "outcome-entry/1"

    outcome: Word
    """A verdict, or "withdrawn"."""


def write(entry: Schema) -> bytes:
    """Return the bytes to keep."""
    return dag_cbor.encode_checked(entry.to_node())  # checked when it was made


def read(kind: type[T], data: bytes) -> T:
    """Return what was kept.

    Raises:
        VerificationError: the datastore holds something else.
    """
    return kind.from_node(dag_cbor.decode(data))


def read_step(data: bytes) -> StepEntry:
    """Return a step that was kept, by this version or one before.

    Raises:
        VerificationError: the datastore holds something else.
    """
    return StepEntry.from_node(as_now(StepEntry, dag_cbor.decode(data), _STEPS_SINCE))


def prior_entry(prior: Prior) -> PriorEntry:
    """Return the entry of what a session goes on from."""
    return PriorEntry(
        record=prior.record,
        commitments=prior.commitments,
        receipts=prior.receipts,
        parents=prior.parents,
        passes=prior.passes,
    )


def read_prior(data: bytes) -> Prior:
    """Return what a session goes on from, kept by this version or the one before.

    Raises:
        VerificationError: the datastore holds something else.
    """
    entry = PriorEntry.from_node(as_now(PriorEntry, dag_cbor.decode(data), _PRIORS_SINCE))
    if entry.passes is not None and len(entry.passes) != len(entry.receipts):
        raise VerificationError("kept evidence has passes of other nodes than those of its receipts")
    return Prior(
        record=entry.record,
        commitments=entry.commitments,
        receipts=entry.receipts,
        parents=entry.parents,
        passes=entry.passes,
    )


def read_job(data: bytes) -> JobEntry:
    """Return a job that was kept, by this version or one before.

    Raises:
        VerificationError: the datastore holds something else.
    """
    return JobEntry.from_node(as_now(JobEntry, dag_cbor.decode(data), _JOBS_SINCE))


def step_entry(event: Event, commit: Commit | None = None) -> StepEntry:
    """Return the entry of an event; a `Committed` is kept with the signed message that brought it."""
    kind = type(event).__name__
    if isinstance(event, Assigned):
        return StepEntry(kind=kind, nodes=event.nodes, standing=event.standing)
    if isinstance(event, Committed):
        return StepEntry(kind=kind, peer=event.peer, commit=commit)
    if isinstance(event, Revealed):
        return StepEntry(kind=kind, peer=event.peer, receipt=event.receipt)
    if isinstance(event, Said):
        return StepEntry(kind=kind, peer=event.peer, statement=event.statement)
    if isinstance(event, Undetermined):
        return StepEntry(kind=kind, peer=event.peer, reason=event.reason)
    if isinstance(event, DeadlinePassed):
        return StepEntry(kind=kind, round=event.round_number, phase=event.phase.value)
    return StepEntry(kind=kind)


def step_event(entry: StepEntry) -> Event:
    """Return the event of an entry.

    Raises:
        VerificationError: it is of no kind known here, or lacks what its kind has.
    """
    event = _event(entry)
    if event is None:
        raise VerificationError(f"a kept step {entry.kind!r} is not whole")
    return event


def _event(entry: StepEntry) -> Event | None:
    if entry.kind == "Assigned":
        return Assigned(nodes=entry.nodes, standing=entry.standing)
    if entry.kind == "Withdrawn":
        return Withdrawn()
    if entry.kind == "DeadlinePassed" and entry.round is not None and entry.phase in tuple(Phase):
        return DeadlinePassed(round_number=entry.round, phase=Phase(entry.phase))
    return None if entry.peer is None else _peer_event(entry, entry.peer)


def _peer_event(entry: StepEntry, peer: Peer) -> Event | None:
    if entry.kind == "Committed" and entry.commit is not None:
        return Committed(peer=peer, commitment=entry.commit.commitment)
    if entry.kind == "Revealed" and entry.receipt is not None:
        return Revealed(peer=peer, receipt=entry.receipt)
    if entry.kind == "Said" and entry.statement is not None:
        return Said(peer=peer, statement=entry.statement)
    if entry.kind == "Undetermined" and entry.reason is not None:
        return Undetermined(peer=peer, reason=entry.reason)
    return None

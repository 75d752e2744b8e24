"""One task at a node: where it stands, what was promised and made. And its form on disk. No decisions here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Final

from network.kept_versions import as_now
from network.messages import Close, Demand, EngineKind
from network.participant import Participant
from network.statement import Statement
from runtime.engine import Execution
from storage import dag_cbor
from verifier.bounds import Count, ExitCode, Hex32, Link, Peer, Word
from verifier.identity import Identity
from verifier.model import CID, EngineInfo, PeerId, Receipt
from verifier.schema import Schema


class Stage(StrEnum):
    """Where a task stands at a node."""

    BACKLOG = "backlog"
    """Offered, and no room: a bid follows when there is."""
    BID = "bid"
    """Room is kept for it."""
    QUEUED = "queued"
    """Assigned, which is on disk, and waiting for room."""
    RUNNING = "running"
    COMMITTED = "committed"
    """The output is fixed, and on disk with its nonce."""
    REVEALED = "revealed"
    SAID = "said"
    """A container's end was stated: nothing is committed to, and nothing follows."""
    FAILED = "failed"
    """The host failed; the requester is told until it knows."""
    ENDED = "ended"
    """Over. Kept for a while, so that a message from the past does not begin it anew."""


HOLDS_ROOM = frozenset({Stage.BID, Stage.RUNNING})
"""But for a bid that is ahead of its room."""
WAITS_FOR_ROOM = frozenset({Stage.BACKLOG, Stage.QUEUED})
ON_DISK = frozenset({Stage.QUEUED, Stage.RUNNING, Stage.COMMITTED, Stage.REVEALED, Stage.SAID, Stage.FAILED})


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeTask:
    """All that a node knows about one session. Changed by `node_task.step` only."""

    identity: Identity
    requester: PeerId
    session_id: str
    task: CID
    demand: Demand
    stage: Stage
    job: str = ""
    """Of its requester; empty after a restart."""
    is_ahead: bool = False
    """A BID, or QUEUED after one, for the room that others of its job will leave."""
    kind: EngineKind | None = None
    """What the bid said; None without a bid, or after a restart."""
    participant: Participant | None = None
    """From COMMITTED on."""
    statement: Statement | None = None
    """What was SAID of a container."""
    reason: str = ""
    """Why it FAILED."""
    is_heard: bool = False
    """The requester has what was said last on its disk."""
    attempt: int = 0
    """Counts what was said, so that a timer tells which repetition it is for."""
    is_persisted: bool = False
    in_hand: int = 0
    """What `Accepted` says of its job."""
    resumes: bool = False
    """Its requester signed that the run need not be whole."""
    close: Close | None = None
    """What made it reveal, to show beside another one of the same round; not kept on disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeEntry(Schema):
    """What an execution gave, and the nonce that it was committed with."""

    output: Link
    exit_code: ExitCode
    fuel: Count | None
    state_digest: Hex32
    engine: EngineInfo
    nonce: Hex32


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeEntry(Schema):
    """A task of a node in its datastore."""

    VERSION: ClassVar[str] = "node-entry/3"
    """1 had no statement, 2 ran everything whole."""

    requester: Peer
    session: Hex32
    task: Link
    demand: Demand
    stage: Word
    reason: Word | None
    made: MadeEntry | None
    receipt: Receipt | None
    """What was revealed."""
    statement: Statement | None = None
    resumes: bool = False


_SINCE: Final[dict[str, dict[str, bool | None]]] = {
    "node-entry/1": {"statement": None, "resumes": False},
    "node-entry/2": {"resumes": False},
}
"""What earlier versions did not say, and meant."""


def read_node_entry(data: bytes) -> NodeEntry:
    """Return an entry that was kept, by this version or one before.

    Raises:
        VerificationError: the datastore holds something else.
    """
    return NodeEntry.from_node(as_now(NodeEntry, dag_cbor.decode(data), _SINCE))


def node_entry(state: NodeTask) -> NodeEntry:
    """Return the form on disk. RUNNING is kept as QUEUED: after a restart it begins again."""
    me = state.participant
    return NodeEntry(
        requester=state.requester,
        session=state.session_id,
        task=state.task,
        demand=state.demand,
        stage=(Stage.QUEUED if state.stage is Stage.RUNNING else state.stage).value,
        reason=state.reason or None,
        made=None if me is None else _made(me),
        receipt=None if me is None else me.revealed,
        statement=state.statement,
        resumes=state.resumes,
    )


def _made(me: Participant) -> MadeEntry:
    done = me.execution
    return MadeEntry(
        output=done.output,
        exit_code=done.exit_code,
        fuel=done.fuel,
        state_digest=done.state_digest,
        engine=done.engine,
        nonce=me.nonce,
    )


def node_task(entry: NodeEntry, identity: Identity) -> NodeTask:
    """Return the task of an entry. Its commitment is made again: the same bytes, for signatures are deterministic.

    Raises:
        ValueError: the entry has a stage that is not kept.
    """
    stage = Stage(entry.stage)
    if stage in (Stage.COMMITTED, Stage.REVEALED) and entry.made is None:
        raise ValueError(f"a kept {stage} task has no output")
    if (stage is Stage.SAID) != (entry.statement is not None):
        raise ValueError(f"a kept {stage} task and its statement do not go together")
    return NodeTask(
        identity=identity,
        requester=entry.requester,
        session_id=entry.session,
        task=entry.task,
        demand=entry.demand,
        stage=stage,
        participant=None if entry.made is None else _participant(entry, entry.made, identity),
        statement=entry.statement,
        reason=entry.reason or "",
        is_persisted=True,
        resumes=entry.resumes,
    )


def _participant(entry: NodeEntry, made: MadeEntry, identity: Identity) -> Participant:
    execution = Execution(
        task=entry.task,
        output=made.output,
        exit_code=made.exit_code,
        fuel=made.fuel,
        state_digest=made.state_digest,
        engine=made.engine,
    )
    me = Participant.commit(identity, execution, made.nonce)
    return Participant(
        identity=me.identity,
        execution=me.execution,
        nonce=me.nonce,
        commitment=me.commitment,
        revealed=entry.receipt,
    )

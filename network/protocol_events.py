"""The seam between the machines and the world: events in, actions out. Frozen values, no behaviour.

A driver hands one event to `Requester.handle` or `ComputeNode.handle` and performs the actions in their order.
`Persist` comes before the `Send` or `Report` that tells of it, and must be durable before the next action is begun;
when it cannot be (the disk is full), the driver performs none of the rest, drops the machine and makes a new one from
the datastore (`restore`, `start`), as after a crash: there is no second path for half of what happened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from network.blame import Blame
from network.messages import Capacity, Demand
from network.session_state import Prior, Session
from network.statement import Statement
from runtime.engine import Execution
from storage.cid import CID
from verifier.compare import Decision
from verifier.model import CommitmentList, PeerId, Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """Bytes from `peer`, the authenticated other end of the connection."""

    peer: PeerId
    message: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """Gossip: a capacity record, whoever passed it on."""

    message: bytes
    via: PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class Timer:
    """The time that `SetTimer` asked for is over, by this machine's own clock. One that is stale is ignored."""

    session: str
    """Empty for a timer of the whole machine."""
    about: object


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """An execution gave an output, which is in the node's block store."""

    session: str
    execution: Execution
    nonce: str
    """32 random bytes as hex, drawn fresh for this execution."""
    took_ms: int | None = None
    """From its `Run`, waiting for others not counted; None where nobody measured. Decides how many are taken ahead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerEnded:
    """A container has ended. What it gave, if it gave something, is in the node's block store."""

    session: str
    statement: Statement


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionFailed:
    """The host failed, not the function."""

    session: str
    reason: str
    """1 to 255 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomChanged:
    """A compute node has another amount of room than before: workers of its cluster came or went."""

    total: Demand
    job_most: Demand | None = None
    """What one job gets of it at most; None: all of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """A job: one task, or the many of its shards. The same id again is the same job, until that has ended: a driver
    knows which ones have, and submits none of them again."""

    job: str
    """32 hex digits."""
    tasks: tuple[CID, ...]
    """Distinct."""
    rule: Rule
    demand: Demand
    """Of each task."""
    seed: str
    """32 random bytes as hex: who is asked depends on it, so it is not known to nodes beforehand."""
    min_bids: int = 0
    """Bids that must be there before any is accepted."""
    max_nodes: int | None = None
    execute_ms: int = 600_000
    """From assignment to commitment."""
    reveal_ms: int = 60_000
    offer_ms: int = 2_000
    """Until more nodes are offered a task, doubled each time."""
    queue_ms: int = 3_600_000
    """Longest search for nodes."""
    priors: Mapping[CID, Prior] = field(default_factory=dict)
    """By task: the checked evidence of an earlier session, to which only what is missing is added. Left aside in a job
    that goes by trust."""
    unverified: bool = False
    """Its task is of a container: nodes make statements, and none commits."""
    resumes: bool = False
    """Nodes may go on from checkpoints of their own; without, each runs the whole of each task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRequested:
    """The submitter wants no answer any more."""

    job: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A peer could not be reached for a while, however it was tried. It may well be alive, and come back."""

    peer: PeerId


Event: TypeAlias = (
    Received
    | Heard
    | Timer
    | Executed
    | ContainerEnded
    | ExecutionFailed
    | RoomChanged
    | Submitted
    | CancelRequested
    | Lost
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Send bytes to a peer; they may be lost, and may arrive twice."""

    peer: PeerId
    message: bytes
    task: CID | None = None
    """Whose blocks the peer is going to need: small ones may travel with the message (`parcel`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broadcast:
    """Gossip this node's capacity."""

    message: Capacity


@dataclass(frozen=True, slots=True, kw_only=True)
class Persist:
    """Keep `value` under `key`, in place of what was there, before anything that follows."""

    key: str
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepList:
    """Keep a closed list as a block, before anything that follows: receipts name it, and an audit reads it."""

    commitments: CommitmentList


@dataclass(frozen=True, slots=True, kw_only=True)
class Forget:
    """Remove a key. Need not be durable at once."""

    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetTimer:
    """Send `Timer` in `delay_ms` of this machine's clock. Timers do not survive a restart."""

    session: str
    about: object
    """Comes back as it is."""
    delay_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Execute the task; then send `Executed`, `ContainerEnded` or `ExecutionFailed`."""

    session: str
    task: CID
    requester: PeerId
    demand: Demand
    """What it holds of this node."""
    resumes: bool = False
    """It may go on from a checkpoint of this node's own, and leave some; without, it runs whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Abort:
    """End the execution, if it still runs. Nothing need be sent."""

    session: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobAccepted:
    """The job is on disk and will end."""

    job: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEnded:
    """One task has its verdict; what the record is made of is here."""

    job: str
    session_id: str
    session: Session
    """With the receipts, the last closed list and the faults."""
    decision: Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEnded:
    """All tasks of the job have ended."""

    job: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Tell the submitter. Told again after a restart when it is not known whether it was."""

    news: JobAccepted | TaskEnded | JobEnded


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuse:
    """A peer is proven to have broken the rules: keep it, pass it on, avoid the peer."""

    blame: Blame


@dataclass(frozen=True, slots=True, kw_only=True)
class Misbehaved:
    """A peer sent what it may not send; shown by nothing, so it counts for this node's own opinion of it only."""

    peer: PeerId
    problem: str


Action: TypeAlias = (
    Send | Broadcast | Persist | KeepList | Forget | SetTimer | Run | Abort | Report | Accuse | Misbehaved
)

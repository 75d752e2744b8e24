"""What a node must not forget, and the seam to where it is kept. Values only.

One `commit` is one transaction: all of its changes are durable when it returns, or none is. `sqlite_datastore` is the
implementation. Blocks are not kept here; whoever commits a change that names blocks has put them into the block store.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, TypeAlias

from network.job_store import Job
from network.messages import Demand
from storage.cid import CID
from verifier.credibility import TrustGoal
from verifier.model import PeerId, Rule


class Machine(StrEnum):
    """Whose entries: the two machines of the protocol keep theirs apart, and so do settling and trust."""

    REQUESTER = "requester"
    COMPUTE = "compute"
    SETTLEMENT = "settlement"
    """`JOB/NUMBER`: what came of a shard, until its job has ended (`shard_entry`)."""
    TRUST = "trust"
    """What is known of nodes by the records (`trust_entries`)."""


class JobState(StrEnum):
    """Where a job of this requester stands."""

    RUNNING = "running"
    """Accepted; nodes are sought, or at work."""
    SETTLING = "settling"
    """Its verdict is there; the output is on its way here."""
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What was asked of this requester: one task or many, whose blocks are in the store, and how to verify each."""

    job: str
    """32 hex digits, made by the submitter: the same id again is the same job."""
    created_at: float
    """Seconds since 1970, UTC."""
    task: CID | None
    """None: it is many, which `shards` lists."""
    rule: Rule
    demand: Demand
    """Of each task."""
    labels: tuple[str, ...] = ()
    """Of the job."""
    selector: tuple[tuple[str, str], ...] = ()
    """Labels (name, value) that a node must have to be asked."""
    min_bids: int = 0
    timeout_s: float = 600.0
    """From assignment to commitment; host seconds."""
    parents: tuple[CID, ...] = ()
    """Records whose outputs are inputs of this task."""
    data_parents: tuple[CID, ...] = ()
    """Of a job over shards: records that the data comes from which was split. They are no parents of a shard, whose
    data is a directory of its own, and taint the job all the same."""
    origins: tuple[Mapping[str, Any], ...] = ()
    """Where fetched content came from, as JSON; kept beside the record, never in it."""
    shards: CID | None = None
    """A list of shards (`network.shard_list`), if there is no single task."""
    shard_count: int = 0
    max_failures: int | None = None
    """Failed shards that are put up with; one more, and the job is given up. None: all shards run."""
    no_cache: bool = False
    """Run also what was verified before."""
    trust: TrustGoal | None = None
    """How far answers are to be trusted; `rule` says no more than the least counts then."""
    unverified: bool = False
    """The task is of a container: it is run by as many nodes as the rule's replication says, and never agreed."""
    require_verified: bool = False
    """Refuse inputs that come from something unverified, as far as this requester knows."""

    @property
    def root(self) -> CID:
        """Return the block that everything the job needs is below."""
        root = self.task or self.shards
        if root is None or (self.task is not None and self.shards is not None):
            raise ValueError("a submission has a task, or a list of shards")
        return root


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptJob:
    """A submission, and what became of it so far."""

    submission: Submission
    state: JobState
    cancelled: bool
    outcome: bytes
    """Written by the requester when the verdict is there (`settlement`), empty before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent:
    """Something that happened to a job, for people to read."""

    job: str
    number: int
    """From 1, without gaps, in the order in which it happened."""
    at: float
    """Seconds since 1970, UTC, by this machine's clock."""
    kind: str
    """Such as `submitted`, `assigned`, `committed`, `revealed`, `verdict`, `ended` (docs/network.md)."""
    detail: Mapping[str, Any] = field(default_factory=dict)
    """JSON: `node`, `reason`, …"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """Keep an entry of a machine, in place of what was there."""

    machine: Machine
    key: str
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove:
    """Remove an entry of a machine, if it is there."""

    machine: Machine
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveBelow:
    """Remove all entries of a machine whose keys begin with `prefix`."""

    machine: Machine
    prefix: str
    """Ends in "/"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddResult:
    """Keep, for later jobs, that a record verified a task here (`network.result_store`)."""

    task: CID
    record: CID
    at: float
    is_open: bool = False
    """No label chose its nodes, so any other may be asked as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submit:
    """Keep a submission; one that is there already stays as it is."""

    submission: Submission


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Set the state of a job that is there; `outcome` None leaves it as it is."""

    job: str
    state: JobState
    outcome: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkCancelled:
    """Note that the submitter wants no answer any more."""

    job: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AddEvent:
    """Add an event at the end of a job's."""

    job: str
    at: float
    kind: str
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """Keep the finished job among those that `bacalhau list` shows, once."""

    job: Job


@dataclass(frozen=True, slots=True, kw_only=True)
class NotePeer:
    """Keep where a peer could be reached last, for after a restart. Of over a thousand the oldest are forgotten."""

    peer: PeerId
    address: str
    """A multiaddress that ends in /p2p/PEER."""
    at: float


Change: TypeAlias = (
    Put | Remove | RemoveBelow | AddResult | Submit | Move | MarkCancelled | AddEvent | Finish | NotePeer
)


class Datastore(Protocol):
    """A node's memory. Methods block; they are called from one thread at a time.

    Every method raises UnavailableError if the store cannot be used (the disk is full, the file is damaged).
    """

    def commit(self, changes: Iterable[Change]) -> None:
        """Make changes, in their order, in one durable transaction."""
        ...

    def entries(self, machine: Machine) -> dict[str, bytes]:
        """Return all entries of a machine."""
        ...

    def entries_below(self, machine: Machine, prefix: str) -> dict[str, bytes]:
        """Return the entries of a machine whose keys begin with `prefix`, by key."""
        ...

    def job(self, job: str) -> KeptJob | None:
        """Return a job by its whole id."""
        ...

    def unfinished(self) -> list[KeptJob]:
        """Return the jobs that have not ended, the oldest first."""
        ...

    def jobs(self, *, limit: int) -> list[KeptJob]:
        """Return the newest jobs, the newest first."""
        ...

    def events(self, job: str, *, after: int = 0, limit: int = 1000) -> list[JobEvent]:
        """Return events of a job with a number greater than `after`, in their order."""
        ...

    def peers(self) -> dict[PeerId, str]:
        """Return the last addresses of peers, the newest first."""
        ...

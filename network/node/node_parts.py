"""What a node is made of: what its owner opens and hands to it, and what stands in for what is left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Final, Protocol

from network.node.compute_side import ComputeSettings
from network.node.datastore import Datastore, Submission
from network.node.known_answers import FindKnown, FindPrior
from network.node.selection import JobSelection
from network.node.settlement import MakeContainerJob, MakeJob
from network.node.shard_settlement import MakeShardsJob
from network.node.span import Tell
from network.result_store import Nodes
from network.transport import PeerHandler, Transport
from runtime.any_plan import AnyPlan
from runtime.container_host import ContainerHost
from runtime.engine import Engine, Execution
from storage.blocks import BlockStore
from storage.cid import CID
from storage.errors import UserError
from storage.sqlite_block_store import SqliteBlockStore
from verifier.identity import Identity
from verifier.model import PeerId, Rule

MAX_WALL_CLOCK_S: Final = 3_600.0
"""For an execution, unless the operator says less."""


class Connectable(Transport, Protocol):
    """A transport that can be told whom to connect to."""

    async def reach(self, address: str) -> None:
        """Connect to a peer at a multiaddress, once: a stranger said it."""
        ...


class OpenTransport(Protocol):
    """Runs a node's transport for as long as a block."""

    def __call__(
        self, identity: Identity, handler: PeerHandler, store: BlockStore
    ) -> AbstractAsyncContextManager[Connectable]:
        """Return the context manager."""
        ...


class Persona(Protocol):
    """A bad actor's hand on its own node's mouth: for tests of the network, and for `devstack`."""

    def alter(self, execution: Execution, store: BlockStore) -> Execution:
        """Return what it claims that an execution gave. Called by a thread."""
        ...

    def speak(self, peer: PeerId, message: bytes, say: Callable[[PeerId, bytes], None]) -> None:
        """Send what stands in for a message. Called in the node's loop."""
        ...

    def hear(self, peer: PeerId, message: bytes, say: Callable[[PeerId, bytes], None]) -> bool:
        """Look at a message that arrived; tell whether the node's machine is to have it."""
        ...


def _no_objection(_submission: Submission) -> str:
    return ""


def _nothing_known(_task: CID, _rule: Rule) -> None:
    return None


def _take_inputs(_submission: Submission) -> None:
    raise UserError("verified inputs cannot be asked for here", where="require_verified", fix="leave it out")


def _nothing_prior(_task: CID, _nodes: Nodes) -> None:
    return None


def _none_known(_count: int) -> Sequence[tuple[CID, CID]]:
    return ()


def _none_of(_task: CID) -> Sequence[CID]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeParts:
    """What a node is made of. The owner closes what it opened, after the node has ended."""

    identity: Identity
    store: SqliteBlockStore
    datastore: Datastore
    open_transport: OpenTransport
    compute: ComputeSettings | None
    """None: no compute node."""
    requests: bool
    """Whether it is a requester."""
    engine: Engine
    make_selection: Callable[[], JobSelection]
    """Called in the node's loop."""
    fitness: Callable[[AnyPlan, BlockStore], str]
    """Why a task whose blocks are all in a store is not run; blocks."""
    make_job: MakeJob
    make_shards_job: MakeShardsJob
    free_disk: Callable[[], int]
    """Bytes that are free where blocks are kept, now; called by threads."""
    find_known: FindKnown = field(default=_nothing_known)
    find_prior: FindPrior = field(default=_nothing_prior)
    check_inputs: Callable[[Submission], None] = _take_inputs
    """Refuses a job that asks for verified inputs, and whose inputs are not; blocks."""
    objection_to_job: Callable[[Submission], str] = _no_objection
    """Why the operator's policy does not have a job submitted here; empty if it does."""
    max_wall_clock_s: float = MAX_WALL_CLOCK_S
    persona: Persona | None = None
    containers: ContainerHost | None = None
    """What runs containers; None: nothing does."""
    make_container_job: MakeContainerJob | None = None
    """None: no job of a container is accepted."""
    spot_checks: float = 0.0
    """For each task of a job that goes by trust, on average (`network.node.spot_checks`)."""
    sample_known: Callable[[int], Sequence[tuple[CID, CID]]] = _none_known
    """Draws tasks that any node may see, with records of strangers that were not given away; blocks."""
    records_of: Callable[[CID], Sequence[CID]] = _none_of
    """Returns records of strangers of a task; blocks."""
    tell_span: Tell | None = None
    """Takes what is done for jobs; None costs nothing."""

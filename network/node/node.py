"""A node: compute node, requester or both, joined with a transport, a datastore and an engine. Runs on trio.

What arrives goes to the machine that it is for; what the machines want is done here and in the two halves beside this
file. Decides nothing about verification.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Protocol

import trio

from network.demand import room_of
from network.message_bundle import split
from network.message_codec import version_of
from network.messages import Ack, Assign, Cancel, Close, Decline, Demand, Offer, Settled
from network.node.announcement import Announcement, decode_announcement
from network.node.compute_side import ComputeSettings, ComputeSide, Mouth
from network.node.control import NodeStatus
from network.node.datastore import Datastore, JobEvent, KeptJob, NotePeer, Submission
from network.node.disk_promises import DiskPromises
from network.node.executor import Executor, threads_of
from network.node.lost_peers import LostPeers
from network.node.measures import Levels, Measures
from network.node.outbox import Outbox
from network.node.peer_book import PeerBook
from network.node.peer_source import PeerSource
from network.node.requester_side import FindKnown, FindPrior, RequesterSide
from network.node.selection import JobSelection
from network.node.settlement import MakeContainerJob, MakeJob, Settlement
from network.node.shard_outputs import ShardOutputs
from network.node.shard_settlement import MakeShardsJob, ShardSettlement
from network.node.span import SUBMIT, Span, Tell
from network.node.spot_checks import SpotChecks
from network.node.task_header import Headers
from network.node.trust_book import TrustBook, with_most_words
from network.parcel import is_parcel
from network.protocol_errors import RemoteProtocolError
from network.protocol_events import Misbehaved
from network.result_store import Nodes
from network.transport import CapacityHeard, PeerChange, PeerHandler, PeerRefusedError, Transport
from network.transport_core import single_errors
from runtime.any_plan import AnyPlan
from runtime.capacity_gate import CapacityGate
from runtime.capacity_ledger import CapacityLedger
from runtime.container_host import ContainerHost
from runtime.engine import Engine, Execution
from storage.blocks import BlockStore
from storage.cid import CID
from storage.errors import UnavailableError, UserError
from storage.sqlite_block_store import SqliteBlockStore
from verifier.identity import Identity
from verifier.model import PeerId, Rule

FOR_NODES: Final = frozenset(kind.VERSION for kind in (Offer, Assign, Decline, Ack, Cancel, Close, Settled))
"""Messages that requesters send; all others are for requesters."""
MAX_OFFENCES: Final = 100
"""Of one peer within OFFENCES_S, above which it is hung up on for a while."""
OFFENCES_S: Final = 60.0
MAX_OFFENDERS: Final = 1_000
MAX_SOURCES: Final = 8
"""Peers that are asked for the blocks of one DAG."""
MAX_OUTPUT_BYTES: Final = 1 << 30
"""Of an output that is fetched: what a run may give, four times over."""
MAX_OUTPUT_S: Final = 600.0
"""For one of several tries to fetch an output; what came by then stays."""
MAX_WALL_CLOCK_S: Final = 3_600.0
"""For an execution, unless the operator says less."""
END_CONTAINERS_S: Final = 15.0
"""For a node that ends to remove its containers; what is left then is removed when it starts again."""
NOTHING: Final = Demand(cpu_milli=0, memory=0, disk=0, gpus=0)
log = logging.getLogger(__name__)


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


class Node:
    """A running node; see `open_node`. A `PeerHandler` below and a `NodeControl` above."""

    compute: ComputeSide | None = None
    requester: RequesterSide | None = None

    def __init__(self, parts: NodeParts) -> None:
        self._parts = parts
        self.measures = Measures()
        self._one_thread = trio.CapacityLimiter(1)
        self._kept = trio.Event()
        self._offences: OrderedDict[PeerId, list[float]] = OrderedDict()
        self._ready = trio.Event()

    # For peers

    async def answer(self, peer: PeerId, payload: bytes) -> bytes:  # noqa: ARG002
        """Answer a question: there are none in the protocol."""
        raise PeerRefusedError("no questions are answered here", where=peer)

    async def receive(self, peer: PeerId, payload: bytes) -> None:
        """Take a message, or several at once: each as if it had come alone."""
        await self._ready.wait()
        try:
            parts = split(payload, peer)
            for parcel in filter(is_parcel, parts):
                if self.compute is not None:
                    self.compute.take_parcel(peer, parcel)
        except RemoteProtocolError as error:
            self._count_offence(Misbehaved(peer=peer, problem=error.problem))
            return
        messages = [part for part in parts if not is_parcel(part)]
        persona = self._parts.persona
        if persona is not None:
            messages = [message for message in messages if persona.hear(peer, message, self._say)]
        self.measures.hear(map(version_of, messages))
        for_compute = [message for message in messages if version_of(message) in FOR_NODES]
        if self.compute is not None and for_compute:
            await self.compute.receive(peer, for_compute)
        if self.requester is not None:
            await self.requester.receive(
                peer, [message for message in messages if version_of(message) not in FOR_NODES]
            )

    # For the operator

    def status(self) -> NodeStatus:
        """Return how the node is."""
        compute, requester = self.compute, self.requester
        return NodeStatus(
            peer=self._transport.peer,
            addresses=self._transport.addresses,
            roles=tuple(name for name, half in (("compute", compute), ("requester", requester)) if half is not None),
            connected=tuple(sorted(self._transport.connected())),
            labels={} if compute is None else compute.settings.labels,
            engines=() if compute is None else tuple(f"{one.engine}/{one.arch}" for one in compute.settings.engines),
            total=NOTHING if compute is None else compute.total,
            job_most=NOTHING if compute is None else compute.job_most or compute.total,
            gpus=() if compute is None else compute.settings.gpus or (),
            gpu_note="" if compute is None else compute.settings.gpu_note,
            free=NOTHING if compute is None else compute.free,
            known_nodes=0 if requester is None else requester.known_nodes,
            running=0 if compute is None else compute.executor.running,
            jobs_open=0 if requester is None else len(requester.open),
            store_ok=all(half.host.is_healthy for half in (compute, requester) if half is not None),
        )

    def levels(self) -> Levels:
        """Return how much there is at this moment, for `/metrics`."""
        compute, requester = self.compute, self.requester
        jobs = () if requester is None else requester.open.values()
        return Levels(
            jobs_open=len(jobs),
            tasks_open=sum(len(job.tasks) - len(job.tally.ended) for job in jobs),
            tasks_unassigned=0 if requester is None else requester.unassigned,
            offers_waiting=0 if compute is None else compute.waiting,
            executions=0 if compute is None else compute.executor.running,
            peers=len(self._transport.connected()),
            is_healthy=all(half.host.is_healthy for half in (compute, requester) if half is not None),
        )

    async def submit(self, submission: Submission) -> None:
        """Accept a job; see `NodeControl.submit`."""
        began_s = time.time()
        if submission.unverified and self._parts.make_container_job is None:
            raise UserError("this node takes no jobs of containers", where=submission.job, fix="ask another node")
        for asked in (submission, with_most_words(submission)):
            if objection := self._parts.objection_to_job(asked):
                raise UserError(objection, where=submission.job, fix="change the job, or the policy")
        await self._requester().submit(submission)
        if (tell := self._parts.tell_span) is not None:
            tell(Span(job=submission.job, name=SUBMIT, began_s=began_s, ended_s=time.time()))

    async def cancel(self, job: str) -> None:
        """Give a job up; see `NodeControl.cancel`."""
        await self._requester().cancel(job)

    async def job(self, job: str) -> KeptJob | None:
        """Return a job by its whole id."""
        found: KeptJob | None = await self._in_thread(lambda: self._parts.datastore.job(job))
        return found

    async def jobs(self, *, limit: int) -> Sequence[KeptJob]:
        """Return the newest jobs, the newest first."""
        found: list[KeptJob] = await self._in_thread(lambda: self._parts.datastore.jobs(limit=limit))
        return found

    async def events(self, job: str, *, after: int = 0, limit: int = 1000) -> Sequence[JobEvent]:
        """Return events of a job with a number greater than `after`, in their order."""
        found: list[JobEvent] = await self._in_thread(
            lambda: self._parts.datastore.events(job, after=after, limit=limit)
        )
        return found

    async def wait_for_events(self, job: str, after: int) -> None:
        """Return when the job may have an event with a number greater than `after`."""
        while True:
            kept = self._kept
            if await self.events(job, after=after, limit=1):
                return
            await kept.wait()

    # What both halves use

    def _requester(self) -> RequesterSide:
        if self.requester is None:
            raise UserError("this node is no requester", where="submit", fix="start it with --role requester")
        return self.requester

    async def _in_thread(self, call: Callable[[], Any]) -> Any:
        """Call what uses the datastore: one at a time."""
        return await trio.to_thread.run_sync(call, limiter=self._one_thread)

    def _wake(self) -> None:
        self._kept.set()
        self._kept = trio.Event()

    def _say(self, peer: PeerId, message: bytes) -> None:
        """Send a message of our own machines, one to ourselves included."""
        self.measures.say(version_of(message))
        if peer != self._transport.peer:
            self._outbox.send(peer, message)
        else:
            self._nursery.start_soon(self.receive, peer, message)

    def _mouth(self) -> Mouth:
        persona = self._parts.persona
        if persona is None:
            return self._say

        def speak(peer: PeerId, message: bytes) -> None:
            persona.speak(peer, message, self._say)

        return speak

    def _sources(self, first: Sequence[PeerId], max_bytes: int, max_s: float) -> list[PeerSource]:
        """Return peers that may have blocks, those of `first` before all others."""
        connected = self._transport.connected()
        others = [peer for peer in sorted(connected) if peer not in first]
        peers = [peer for peer in (*first, *others) if peer in connected][:MAX_SOURCES]
        return [PeerSource(self._transport, peer, max_bytes=max_bytes, max_s=max_s) for peer in peers]

    def _count_offence(self, action: Misbehaved) -> None:
        log.info("%s %s", action.peer, action.problem, extra={"peer": action.peer})
        self.measures.offences += 1
        now = trio.current_time()
        times = [at for at in self._offences.pop(action.peer, []) if now - at < OFFENCES_S]
        self._offences[action.peer] = [*times, now][-MAX_OFFENCES:]
        if len(self._offences) > MAX_OFFENDERS:
            self._offences.popitem(last=False)
        if len(times) >= MAX_OFFENCES - 1 and action.peer != self._transport.peer:
            log.warning(
                "%s is hung up on: %d offences in a minute", action.peer, MAX_OFFENCES, extra={"peer": action.peer}
            )
            del self._offences[action.peer]
            self._nursery.start_soon(partial(self._transport.disconnect, action.peer, ban=True))

    # Life

    async def assemble(self, transport: Connectable, nursery: trio.Nursery) -> None:
        """Make the halves, once there is a transport."""
        parts = self._parts
        self._transport, self._nursery = transport, nursery
        self._book = PeerBook(transport, transport.reach)
        self._book.recall(await self._in_thread(parts.datastore.peers))
        self._outbox = Outbox(transport, nursery, reach=self._book.reach)
        if parts.requests:
            self._make_requester()
        if parts.compute is not None:
            self._make_compute(parts.compute)

    def _make_requester(self) -> None:
        parts = self._parts

        def sources(first: Sequence[PeerId]) -> list[PeerSource]:
            return self._sources(first, MAX_OUTPUT_BYTES, MAX_OUTPUT_S)

        trust = TrustBook()
        shards = ShardSettlement(
            store=parts.store,
            datastore=parts.datastore,
            in_thread=self._in_thread,
            outputs=ShardOutputs(store=parts.store, sources=sources, nursery=self._nursery),
            make_job=parts.make_shards_job,
        )
        settlement = Settlement(
            store=parts.store,
            datastore=parts.datastore,
            in_thread=self._in_thread,
            sources=sources,
            make_job=parts.make_job,
            make_container_job=parts.make_container_job,
            shards=shards,
            trust=trust,
            nursery=self._nursery,
            kept=self._wake,
            tell_span=parts.tell_span,
        )
        self.requester = RequesterSide(
            identity=parts.identity,
            store=parts.store,
            datastore=parts.datastore,
            in_thread=self._in_thread,
            book=self._book,
            settlement=settlement,
            trust=trust,
            checks=SpotChecks(
                store=parts.store,
                trust=trust,
                rate=parts.spot_checks,
                sample=parts.sample_known,
                records=parts.records_of,
            ),
            find_known=parts.find_known,
            find_prior=parts.find_prior,
            check_inputs=parts.check_inputs,
            nursery=self._nursery,
            say=self._say,
            count_offence=self._count_offence,
            kept=self._wake,
            measures=self.measures,
            tell_span=parts.tell_span,
        )

    def _make_compute(self, settings: ComputeSettings) -> None:
        parts, persona = self._parts, self._parts.persona
        headers = Headers()
        executor = Executor(
            headers=headers,
            engine=parts.engine,
            store=parts.store,
            sources=lambda first: self._sources([first], settings.total.disk, parts.max_wall_clock_s),
            fitness=parts.fitness,
            nursery=self._nursery,
            gate=CapacityGate(CapacityLedger(room_of(settings.total), gpus=settings.gpus)),
            threads=threads_of(settings.total),
            disk=DiskPromises(parts.free_disk),
            wall_clock_s=parts.max_wall_clock_s,
            alter=_unaltered if persona is None else persona.alter,
            containers=parts.containers,
            measures=self.measures,
        )
        self.compute = ComputeSide(
            identity=parts.identity,
            settings=settings,
            transport=self._transport,
            store=parts.store,
            datastore=parts.datastore,
            in_thread=self._in_thread,
            executor=executor,
            headers=headers,
            selection=parts.make_selection(),
            say=self._mouth(),
            heard_own=self._hear_own,
            count_offence=self._count_offence,
            measures=self.measures,
            tell_span=parts.tell_span,
        )

    async def run(self) -> None:
        """Run both halves until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._follow_transport)
            for half in (self.requester, self.compute):
                if half is not None:
                    nursery.start_soon(half.run)
            if self.requester is not None:
                requester = self.requester
                lost = LostPeers(awaited=requester.awaited, reach=self._book.reach, lose=requester.lose)
                nursery.start_soon(lost.run)
            self._ready.set()

    def _hear_own(self, said: Announcement) -> None:
        if self.requester is not None:
            self._book.note(said)
            self.requester.hear_own(said)

    async def _follow_transport(self) -> None:
        events = self._transport.events()
        for node, payload in self._transport.capacities().items():
            await self._heard(node, payload)
        while True:
            event = await events.next()
            if isinstance(event, CapacityHeard):
                await self._heard(event.node, event.payload)
            elif event.change is PeerChange.UP and self.compute is not None:
                self.compute.announce_soon()

    async def _heard(self, node: PeerId, payload: bytes) -> None:
        if self.requester is None:
            return
        try:
            said = decode_announcement(payload, node)
        except RemoteProtocolError as error:
            self._count_offence(Misbehaved(peer=node, problem=error.problem))
            return
        if self._book.note(said):
            note = NotePeer(peer=node, address=said.addresses[0], at=time.time())
            try:
                await self._in_thread(lambda: self._parts.datastore.commit([note]))
            except UnavailableError as error:
                log.warning("%s", error)  # it is heard of again
        await self.requester.hear(said)


@asynccontextmanager
async def open_node(parts: NodeParts) -> AsyncGenerator[Node]:
    """Run a node until the block ends.

    Raises:
        UserError: it cannot listen where it should.
        BacalhauError: the datastore cannot be read.
    """
    node = Node(parts)
    with single_errors():
        async with (
            parts.open_transport(parts.identity, node, parts.store) as transport,
            trio.open_nursery() as nursery,
        ):
            await node.assemble(transport, nursery)
            nursery.start_soon(node.run)
            try:
                yield node
            finally:
                if node.compute is not None:
                    node.compute.executor.give_up_all()
                # Ends the executions that nobody gave up, and lets their threads go; also when an error ends the node.
                with trio.CancelScope(shield=True):
                    await trio.to_thread.run_sync(parts.engine.stop)
                    if parts.containers is not None:
                        # A thread that is left alone would leave its container.
                        await trio.to_thread.run_sync(parts.containers.engine.end, END_CONTAINERS_S)
                nursery.cancel_scope.cancel()


def _unaltered(execution: Execution, _store: BlockStore) -> Execution:
    return execution

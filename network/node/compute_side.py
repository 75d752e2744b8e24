"""The compute node's half of a node: its machine, what it runs, what it looks at first, what it announces."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

import trio

from network.compute_node import MAX_BACKLOG_EACH, ComputeNode
from network.message_codec import decode, encode, version_of
from network.messages import Assign, Capacity, Demand, EngineKind, Offer, SignedAssign
from network.node.announcement import Announcement, announce
from network.node.changing_room import ChangingRoom
from network.node.datastore import Change, Datastore, Machine
from network.node.executor import Ended, Executor
from network.node.machine_host import MachineHost, StateMachine, World
from network.node.measures import Measures
from network.node.reasons import reason
from network.node.selection import NO_CONTAINERS, JobSelection
from network.node.selection_policy import OfferedTask
from network.node.span import Tell
from network.node.spans import execution_span
from network.node.task_header import Headers, bring_header, read_headers
from network.node_state import WAITS_FOR_ROOM
from network.parcel import unseal
from network.protocol_errors import RemoteProtocolError
from network.protocol_events import (
    Abort,
    Accuse,
    Action,
    Broadcast,
    Misbehaved,
    Received,
    RoomChanged,
    Run,
    Send,
)
from network.transport import Transport
from runtime.any_plan import AnyPlan
from runtime.container_engine import CONTAINER_ENGINES
from runtime.container_plan import ContainerPlan
from runtime.wasm_profile import ENGINE as WASMTIME
from storage.cid import CID
from storage.errors import BacalhauError
from storage.sqlite_block_store import SqliteBlockStore
from verifier.identity import Identity
from verifier.model import PeerId
from verifier.wasm_types import WasmFunction

MAX_LOOKED_AT: Final = 4_096
"""Answers to offers between the look at them and the machine's question."""
MAX_HEADERS_EACH: Final = 4
"""Tasks of one requester whose nodes are on their way here at a time: some MiB each, in memory."""
LEAST_PAUSE_S: Final = 1.1
"""Between two announcements: peers drop those that come faster."""
log = logging.getLogger(__name__)


class Mouth(Protocol):
    """How the machine's messages leave: as they are, or as a bad actor makes them (tests and `devstack`)."""

    def __call__(self, peer: PeerId, message: bytes) -> None:
        """Send a message, or what stands in for it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputeSettings:
    """How a compute node takes part."""

    total: Demand
    """What jobs get, all together."""
    job_most: Demand | None = None
    """What one gets at most; None: all of it."""
    gpus: tuple[str, ...] | None = None
    """UUIDs of the devices, as many as `total` says; None: they have no names."""
    gpu_note: str = ""
    """Why there are none, or not all that the machine has."""
    engines: tuple[EngineKind, ...]
    labels: Mapping[str, str]
    gossip_ms: int = 10_000
    changing: ChangingRoom | None = None
    """Where `total` and `job_most` are only what there is at first."""


class ComputeSide:
    """A compute node; `run` is its life."""

    def __init__(
        self,
        *,
        identity: Identity,
        settings: ComputeSettings,
        transport: Transport,
        store: SqliteBlockStore,
        datastore: Datastore,
        in_thread: Callable[[Callable[[], object]], object],
        executor: Executor,
        headers: Headers,
        selection: JobSelection,
        say: Mouth,
        heard_own: Callable[[Announcement], None],
        count_offence: Callable[[Misbehaved], None],
        measures: Measures,
        tell_span: Tell | None = None,
    ) -> None:
        """Make a compute node that does not run yet. heard_own: told of each announcement, for our own requester."""
        self.settings = settings
        self.executor = executor
        self.total = settings.total
        """What there is now."""
        self.job_most = settings.job_most
        """What one job gets of it at most now; None: all of it."""
        self._headers = headers
        self._identity = identity
        self._transport = transport
        self._store = store
        self._datastore = datastore
        self._selection = selection
        self._say = say
        self._heard_own = heard_own
        self._count_offence = count_offence
        self._measures = measures
        self._tell_span = tell_span
        self._refusals: OrderedDict[tuple[PeerId, str, CID, Demand], str] = OrderedDict()
        """A session may be offered twice at once, with another demand: what was found out is of one of them."""
        self._for_modules = next((one for one in settings.engines if one.engine == WASMTIME), None)
        self._for_containers = next((one for one in settings.engines if one.engine in CONTAINER_ENGINES), None)
        self._kinds: OrderedDict[CID, EngineKind] = OrderedDict()
        """Of tasks that were looked at and are no Python functions: by what they would be run."""
        self._bringing: dict[PeerId, trio.CapacityLimiter] = {}
        self._reading = trio.CapacityLimiter(1)
        """Whoever sends many takes one thread and no more."""
        self._synced = 0
        """Outputs that are on the disk for sure, as the executor counts them."""
        self._capacity: Capacity | None = None
        self._changed = trio.Event()
        world = World(
            load=lambda: datastore.entries(Machine.COMPUTE),
            keep=self._keep,
            kept=_nothing,
            act=self._act,
            restarted=self._restarted,
            in_thread=in_thread,
        )
        self.host = MachineHost(Machine.COMPUTE, self._make, world)

    @property
    def free(self) -> Demand:
        """Return what neither a bid nor an execution holds."""
        return self._capacity.free if self._capacity is not None else self.total

    @property
    def waiting(self) -> int:
        """Return how many offers and assignments wait for room."""
        machine = self.host.machine
        tasks = machine.tasks.values() if isinstance(machine, ComputeNode) else ()
        return sum(task.stage in WAITS_FOR_ROOM for task in tasks)

    async def run(self) -> None:
        """Run until cancelled."""
        if self.settings.changing is not None:
            self._follow_room(self.settings.changing, trio.lowlevel.current_trio_token())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.host.run)
            nursery.start_soon(self._announce)

    async def receive(self, peer: PeerId, messages: Sequence[bytes]) -> None:
        """Take messages of a requester. Those that bring a task are looked at before the machine is told of them."""
        looked_at: list[tuple[bytes, Offer | Assign]] = []
        for message in messages:
            said = _task_of(message, peer)
            if said is not None and not self._is_known(said.session):
                looked_at.append((message, said))
            else:
                await self.host.bring(Received(peer=peer, message=message))
        if len(looked_at) > 1 and not self._selection.unwelcome(peer):
            looked_at = await self._receive_tasks(peer, looked_at)
        if len(looked_at) == 1:
            await self._receive_task(peer, *looked_at[0])
        elif looked_at:
            async with trio.open_nursery() as nursery:  # an offer that is looked at keeps no other waiting
                for message, said in looked_at:
                    nursery.start_soon(self._receive_task, peer, message, said)

    async def _receive_tasks(
        self, peer: PeerId, brought: Sequence[tuple[bytes, Offer | Assign]]
    ) -> list[tuple[bytes, Offer | Assign]]:
        """Take the tasks whose nodes came with the word about them, all in one step; return the others."""
        tasks = [(said.task, list(self._headers.of(said.task))) for _, said in brought]
        plans = await trio.to_thread.run_sync(
            read_headers,
            tasks,
            self._store,
            self.executor.wall_clock_s,
            self._headers.functions,
            limiter=self._reading,
        )
        here = [(message, said, plan) for (message, said), plan in zip(brought, plans, strict=True) if plan is not None]
        offered = [OfferedTask(requester=peer, job=said.job, demand=said.demand, plan=plan) for _, said, plan in here]
        for (message, said, _), refusal in zip(here, await self._selection.refusals(offered), strict=True):
            self._note(peer, said, refusal)
            await self.host.bring(Received(peer=peer, message=message))
        return [one for one, plan in zip(brought, plans, strict=True) if plan is None]

    async def _receive_task(self, peer: PeerId, message: bytes, said: Offer | Assign) -> None:
        self._note(peer, said, await self._look(peer, said))
        await self.host.bring(Received(peer=peer, message=message))

    def take_parcel(self, peer: PeerId, parcel: bytes) -> None:
        """Take blocks of a task that a requester is about to speak of, or has spoken of.

        Raises:
            RemoteProtocolError: it is no parcel.
        """
        if not self._selection.unwelcome(peer):
            blocks = unseal(parcel, peer)
            self._headers.note(blocks[0][0], blocks)

    def announce_soon(self) -> None:
        """Announce again: somebody came who has not heard it."""
        self._changed.set()

    # The machine

    def _make(self, entries: Mapping[str, bytes]) -> tuple[StateMachine, tuple[Action, ...]]:
        machine = ComputeNode(
            self._identity,
            total=self.total,
            job_most=self.job_most,
            engines=self.settings.engines,
            accepts=self._refusal,
            kind_of=self._kinds.get,
            gossip_ms=self.settings.gossip_ms,
        )
        return machine, machine.start(entries)

    def _keep(self, _actions: tuple[Action, ...], changes: list[Change]) -> None:
        if (made := self.executor.made) != self._synced:
            self.executor.pending.flush()
            self._store.sync()
            self._synced = made
        if changes:
            self._datastore.commit(changes)

    def _restarted(self) -> None:
        """Begin anew: outputs that are not on the disk were promised to nobody, and executions begin again."""
        self.executor.give_up_all()
        self.executor.pending.drop()
        self._synced = self.executor.made

    def _act(self, action: Action) -> None:
        if isinstance(action, Send):
            self._say(action.peer, action.message)
        elif isinstance(action, Run):
            self.executor.start(action, self.host.feed if self._tell_span is None else self._traced(action))
        elif isinstance(action, Abort):
            self.executor.give_up(action.session)
        elif isinstance(action, Broadcast):
            self._capacity = action.message
            self._changed.set()
        elif isinstance(action, Misbehaved):
            self._count_offence(action)
        elif isinstance(action, Accuse):
            self._measures.convictions[action.blame.kind] += 1
            log.warning(
                "%s is proven to have broken the rules: %s",
                action.blame.node,
                action.blame.kind,
                extra={"peer": action.blame.node},
            )

    def _traced(self, run: Run) -> Callable[[Ended], None]:
        """Return what takes an execution's end, and tells it as a span too."""
        machine, began_s = self.host.machine, time.time()
        task = machine.tasks.get(run.session) if isinstance(machine, ComputeNode) else None

        def ended(event: Ended) -> None:
            self.host.feed(event)
            if self._tell_span is not None and task is not None and task.job:  # after a restart it has no name
                times = {"began_s": began_s, "ended_s": time.time()}
                self._tell_span(execution_span(task.job, run, event, node=self._identity.peer, **times))

        return ended

    # Room that changes

    def _follow_room(self, room: ChangingRoom, token: trio.lowlevel.TrioToken) -> None:
        def tell() -> None:
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(self._measure, room, idempotent=True)

        room.watch(tell)
        self._measure(room)

    def _measure(self, room: ChangingRoom) -> None:
        total, job_most = room.total(), room.job_most()
        if (total, job_most) != (self.total, self.job_most):
            self.total, self.job_most = total, job_most
            self.executor.resize(total)
            self.host.feed(RoomChanged(total=total, job_most=job_most))

    # Offers

    def _is_known(self, session: str) -> bool:
        machine = self.host.machine
        return isinstance(machine, ComputeNode) and (session in machine.tasks or session in machine.ended)

    async def _look(self, peer: PeerId, said: Offer | Assign) -> str:
        """Return why the task is refused; empty if it is taken."""
        if refusal := self._selection.unwelcome(peer):
            return refusal
        waiting = self._bringing.get(peer)
        if waiting is not None and waiting.statistics().tasks_waiting >= MAX_BACKLOG_EACH:
            return "too many offers are being looked at"
        try:
            plan = await self._plan(peer, said.task)
        except BacalhauError as error:
            return reason(f"the task cannot be read: {error.problem}", otherwise="the task cannot be read")
        if refusal := self._note_kind(plan):
            return refusal
        return await self._selection.refusal(OfferedTask(requester=peer, job=said.job, demand=said.demand, plan=plan))

    def _note_kind(self, plan: AnyPlan) -> str:
        """Remember by what a task would be run; return that nothing here does, empty if something does."""
        if isinstance(plan, ContainerPlan):
            kind, lacking = self._for_containers, NO_CONTAINERS
        elif isinstance(plan.function, WasmFunction):
            kind, lacking = self._for_modules, "no engine of this node runs WebAssembly modules"
        else:
            return ""
        if kind is None:
            return lacking
        self._kinds[plan.task] = kind
        if len(self._kinds) > MAX_LOOKED_AT:
            self._kinds.popitem(last=False)
        return ""

    async def _plan(self, peer: PeerId, task: CID) -> AnyPlan:
        limiter = self._bringing.setdefault(peer, trio.CapacityLimiter(MAX_HEADERS_EACH))
        try:
            async with limiter:
                return await bring_header(
                    task, self._transport, peer, self._store, self.executor.wall_clock_s, self._headers
                )
        finally:
            if not limiter.borrowed_tokens and not limiter.statistics().tasks_waiting:
                self._bringing.pop(peer, None)

    def _note(self, peer: PeerId, said: Offer | Assign, refusal: str) -> None:
        self._refusals[peer, said.job, said.task, said.demand] = refusal
        if len(self._refusals) > MAX_LOOKED_AT:
            self._refusals.popitem(last=False)

    def _refusal(self, offer: Offer, peer: PeerId) -> str:
        """Answer the machine: what was found out is used once."""
        return self._refusals.pop((peer, offer.job, offer.task, offer.demand), "the task was not looked at")

    # Gossip

    async def _announce(self) -> None:
        """Say what this node has whenever that changes or somebody comes, but not faster than peers listen."""
        while True:
            await self._changed.wait()
            self._changed = trio.Event()
            if self._capacity is not None:
                said = announce(self._capacity, addresses=self._transport.addresses, labels=self.settings.labels)
                self._heard_own(said)
                await self._transport.publish_capacity(encode(said))
            await trio.sleep(LEAST_PAUSE_S)


def _task_of(message: bytes, peer: PeerId) -> Offer | Assign | None:
    """Return what brings a task; of all else the machine judges."""
    if version_of(message) not in (Offer.VERSION, Assign.VERSION, SignedAssign.VERSION):
        return None
    try:
        said = decode(message, peer)
    except RemoteProtocolError:
        return None
    return said if isinstance(said, Offer | Assign) else None


def _nothing() -> None:
    return

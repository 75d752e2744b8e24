"""A compute node without its world: offers in, receipts out, over any number of requesters. No clock, no I/O.

Every session follows `node_task`; this keeps them by name, counts room in one place, and bids again when some becomes
free. Room is taken by a bid and by an execution, so what is assigned after a bid always fits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from network import node_task
from network.capacity_book import fits
from network.message_codec import decode, encode, session_id, sign_capacity
from network.messages import (
    Ack,
    Assign,
    Cancel,
    Close,
    Decline,
    Demand,
    EngineKind,
    Failed,
    Message,
    Offer,
    Refuse,
    Settled,
)
from network.node_state import HOLDS_ROOM, NodeEntry, NodeTask, Stage
from network.node_state import node_task as task_of
from network.node_task import RoomFound
from network.protocol_errors import LocalProtocolError, RemoteProtocolError
from network.protocol_events import (
    Action,
    Broadcast,
    Event,
    Executed,
    ExecutionFailed,
    Forget,
    Misbehaved,
    Persist,
    Received,
    RoomChanged,
    Send,
    SetTimer,
    Timer,
)
from network.requester_entries import read
from verifier.identity import Identity
from verifier.model import PeerId

MAX_BACKLOG: Final = 256
"""Offers that wait for room."""
MAX_BACKLOG_EACH: Final = 64
"""Of one requester, so that one cannot fill it alone."""
MAX_SESSIONS: Final = 4_096
"""Sessions that are not over, those that wait for their requester's next word included."""
MAX_SESSIONS_EACH: Final = 1_024
"""Of one requester."""
MAX_ENDED: Final = 10_000
"""Sessions remembered after their end, the oldest forgotten first."""
GOSSIP_MS: Final = 10_000
SEQUENCES: Final = 1_000
"""Numbers of capacity records that are reserved on disk at a time."""
FromRequester: TypeAlias = Offer | Assign | Decline | Ack | Cancel | Close | Settled


def accept_all(_offer: Offer, _requester: PeerId) -> str:
    """Take every offer that fits."""
    return ""


class ComputeNode:
    """The node's machine. `start` once, then `handle` is its only way in and what it returns its only way out.

    accepts: the operator's policy: why an offer is refused (1 to 255 bytes), empty if it is not. Pure.
    """

    def __init__(
        self,
        identity: Identity,
        *,
        total: Demand,
        engines: tuple[EngineKind, ...],
        accepts: Callable[[Offer, PeerId], str] = accept_all,
        gossip_ms: int = GOSSIP_MS,
    ) -> None:
        self.identity = identity
        self.total = total
        self.engines = engines
        self.accepts = accepts
        self.gossip_ms = gossip_ms
        self.tasks: dict[str, NodeTask] = {}
        """Live sessions, the oldest first."""
        self.ended: dict[str, PeerId] = {}
        """Requester by session that was assigned here and is over."""
        self._used = [0, 0, 0, 0]
        self._sequence = 0
        self._reserved = 0

    @property
    def free(self) -> Demand:
        """Return what neither a bid nor an execution holds; nothing where more is held than there is any more."""
        cpu, memory, disk, gpus = self._used
        total = self.total
        return Demand(
            cpu_milli=max(0, total.cpu_milli - cpu),
            memory=max(0, total.memory - memory),
            disk=max(0, total.disk - disk),
            gpus=max(0, total.gpus - gpus),
        )

    def start(self, entries: Mapping[str, bytes]) -> tuple[Action, ...]:
        """Take up what the datastore holds (nothing, the first time); return what to do now.

        Raises:
            VerificationError: the datastore holds something else.
        """
        self._sequence = self._reserved = int.from_bytes(entries.get("gossip", b""), "big")
        actions: list[Action] = []
        for key in sorted(key for key in entries if key.startswith("node/")):
            task = task_of(read(NodeEntry, entries[key]), self.identity)
            # Nothing overtakes an assignment: one that will never fit would keep all others waiting.
            is_lost = task.stage is Stage.QUEUED and not fits(task.demand, self.total)
            actions += self._keep(
                *(node_task.undo(task, "larger than this node") if is_lost else node_task.resume(task))
            )
        return (*actions, *self._fill(), *self._gossip())

    def handle(self, event: Event) -> tuple[Action, ...]:
        """Take one event and return what to do now, in this order. A peer's mistake becomes `Misbehaved`.

        Raises:
            LocalProtocolError: the driver sent an event that a node does not have.
        """
        if isinstance(event, Received):
            return self._received(event)
        if isinstance(event, Timer):
            return self._gossip() if not event.session else self._step(event.session, event.about)
        if isinstance(event, Executed | ExecutionFailed):
            return self._step(event.session, event)
        if isinstance(event, RoomChanged):
            self.total = event.total
            return (*self._fill(), *self._announcement())
        raise LocalProtocolError(f"{type(event).__name__} sent to a compute node")

    # What comes in.

    def _received(self, event: Received) -> tuple[Action, ...]:
        try:
            message = decode(event.message, event.peer)
            return self._message(_of_a_requester(message, event.peer), event.peer)
        except RemoteProtocolError as error:
            return (Misbehaved(peer=event.peer, problem=error.problem),)

    def _message(self, message: FromRequester, peer: PeerId) -> tuple[Action, ...]:
        name = message.session
        if isinstance(message, Offer | Assign) and session_id(peer, message.job, message.task) != name:
            raise RemoteProtocolError("named a session that is not its own", peer=peer)
        if name in self.tasks:
            return self._step(name, message, peer)
        if name in self.ended:
            return ()
        if isinstance(message, Offer):
            return self._offer(message, peer)
        return self._assign(message, peer) if isinstance(message, Assign) else ()

    def _offer(self, offer: Offer, peer: PeerId) -> tuple[Action, ...]:
        if reason := self._refusal(offer, peer):
            return (Send(peer=peer, message=encode(Refuse(session=offer.session, reason=reason))),)
        task = self._new(offer, peer, Stage.BACKLOG)
        return (*self._keep(task, node_task.offered(task)), *self._fill())

    def _refusal(self, offer: Offer, peer: PeerId) -> str:
        if not fits(offer.demand, self.total):
            return "larger than this node"
        whose = [task.requester for task in self.tasks.values()]
        if len(whose) >= MAX_SESSIONS or whose.count(peer) >= MAX_SESSIONS_EACH:
            return "too many sessions"
        waiting = [task.requester for task in self.tasks.values() if task.stage is Stage.BACKLOG]
        if len(waiting) >= MAX_BACKLOG or waiting.count(peer) >= MAX_BACKLOG_EACH:
            return "backlog is full"
        return self.accepts(offer, peer)

    def _assign(self, assign: Assign, peer: PeerId) -> tuple[Action, ...]:
        """Take an assignment without a bid: the bid ran out, or was made before a restart."""
        offer = Offer(session=assign.session, job=assign.job, task=assign.task, demand=assign.demand)
        if reason := self._refusal(offer, peer):
            return (Send(peer=peer, message=encode(Failed(session=assign.session, reason=reason))),)
        task, actions = node_task.assigned(self._new(offer, peer, Stage.QUEUED))
        return (*self._keep(task, actions), *self._fill())

    def _new(self, offer: Offer, peer: PeerId, stage: Stage) -> NodeTask:
        return NodeTask(
            identity=self.identity,
            requester=peer,
            session_id=offer.session,
            task=offer.task,
            demand=offer.demand,
            stage=stage,
        )

    # The sessions.

    def _step(self, name: str, event: object, peer: PeerId | None = None) -> tuple[Action, ...]:
        task = self.tasks.get(name)
        if task is None:
            return ()
        actions = self._keep(*node_task.step(task, event, peer))
        return (*actions, *self._fill()) if task.stage in HOLDS_ROOM else actions

    def _keep(self, task: NodeTask, actions: tuple[Action, ...]) -> tuple[Action, ...]:
        """Keep a session as it is now, and count the room that it holds."""
        before = self.tasks.get(task.session_id)
        self._count(-1, before)
        if task.stage is not Stage.ENDED:
            self.tasks[task.session_id] = task
            self._count(+1, task)
            return actions
        self.tasks.pop(task.session_id, None)
        return (*actions, *self._remember(task)) if task.is_persisted else actions

    def _remember(self, task: NodeTask) -> tuple[Action, ...]:
        self.ended[task.session_id] = task.requester
        if len(self.ended) <= MAX_ENDED:
            return ()
        oldest = next(iter(self.ended))
        del self.ended[oldest]
        return (Forget(key=f"node/{oldest}"),)

    def _count(self, sign: int, task: NodeTask | None) -> None:
        if task is not None and task.stage in HOLDS_ROOM:
            demand = task.demand
            amounts = (demand.cpu_milli, demand.memory, demand.disk, demand.gpus)
            self._used = [used + sign * amount for used, amount in zip(self._used, amounts, strict=True)]

    def _fill(self) -> tuple[Action, ...]:
        """Give room to what waits: assignments in their order, then bids for offers that fit."""
        actions: list[Action] = []
        queued = [task for task in self.tasks.values() if task.stage is Stage.QUEUED]
        for task in queued:
            if not fits(task.demand, self.free):
                return tuple(actions)  # nothing overtakes an assignment, or a large one would wait for ever
            actions += self._keep(*node_task.step(task, self._room(task)))
        for task in [task for task in self.tasks.values() if task.stage is Stage.BACKLOG]:
            if fits(task.demand, self.free):
                actions += self._keep(*node_task.step(task, self._room(task)))
        return tuple(actions)

    def _room(self, task: NodeTask) -> RoomFound:
        return RoomFound(kind=task.kind or self.engines[0])

    def _gossip(self) -> tuple[Action, ...]:
        return (*self._announcement(), SetTimer(session="", about="gossip", delay_ms=self.gossip_ms))

    def _announcement(self) -> tuple[Action, ...]:
        """Tell the world what is free. Numbers are reserved on disk ahead, so that they ascend over restarts."""
        kept: tuple[Action, ...] = ()
        if self._sequence >= self._reserved:
            self._reserved = self._sequence + SEQUENCES
            kept = (Persist(key="gossip", value=self._reserved.to_bytes(8, "big")),)
        self._sequence += 1
        record = sign_capacity(
            self.identity, sequence=self._sequence, total=self.total, free=self.free, engines=self.engines
        )
        return (*kept, Broadcast(message=record))


def _of_a_requester(message: Message, peer: PeerId) -> FromRequester:
    if not isinstance(message, FromRequester):
        raise RemoteProtocolError(f"sent a {message.VERSION}, which requesters do not send", peer=peer)
    return message

"""A compute node without its world: offers in, receipts out, over any number of requesters. No clock, no I/O.

Every session follows `node_task`; this keeps them by name, has their room counted in one place
(`runtime.capacity_ledger`), and bids again when some becomes free. Room is taken by a bid and by an execution, so what
is assigned after a bid always fits, or is ahead: as much again is promised to jobs of which something is under way
here, so that the next of their tasks begins when one ends, instead of two messages later. No task waits so for more
than one of its own job, and a requester gives a node twice the time of one execution for that.

Of a job whose tasks are tiny it takes many without a bid for each: as many as it executes in some four seconds, by what
the last ones took (`Accepted.in_hand`), and none while another job waits for room.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, TypeAlias

from network import node_task
from network.capacity_book import GOSSIP_MS, times
from network.demand import demand_of, room_of
from network.message_codec import check_signed, decode, encode, session_id, sign_capacity
from network.messages import (
    MAX_IN_HAND,
    READS_SIGNED_ASSIGN,
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
    SignedAssign,
)
from network.node_state import HOLDS_ROOM, WAITS_FOR_ROOM, NodeTask, Stage, read_node_entry
from network.node_state import node_task as task_of
from network.node_task import RoomFound, RoomLost
from network.protocol_errors import LocalProtocolError, RemoteProtocolError
from network.protocol_events import (
    Action,
    Broadcast,
    ContainerEnded,
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
from runtime.capacity import together
from runtime.capacity_ledger import CapacityLedger, Claim, ClaimState
from storage.cid import CID
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
PATIENCE: Final = 8
"""Bids to others that an offer which waits for more room is made to wait for; then the node empties for it."""
SEQUENCES: Final = 1_000
"""Numbers of capacity records that are reserved on disk at a time."""
IN_HAND_MS: Final = 4_000
"""Work of one job that is taken without bids, by what its last tasks took. More than it takes to say and hear again
that some of it is done; and much less than a requester waits for a commitment."""
MAX_PACES: Final = 1_000
"""Jobs of which it is remembered how long their tasks take."""
FromRequester: TypeAlias = Offer | Assign | Decline | Ack | Cancel | Close | Settled


def accept_all(_offer: Offer, _requester: PeerId) -> str:
    """Take every offer that fits."""
    return ""


class ComputeNode:
    """The node's machine. `start` once, then `handle` is its only way in and what it returns its only way out.

    total: what jobs get together; job_most: what one gets at most, None for all of it.
    accepts: the operator's policy: why an offer is refused (1 to 255 bytes), empty if it is not. Pure.
    kind_of: which of the engines would execute a task, None where that is not known: then it is the first. Pure.
    """

    def __init__(
        self,
        identity: Identity,
        *,
        total: Demand,
        engines: tuple[EngineKind, ...],
        job_most: Demand | None = None,
        accepts: Callable[[Offer, PeerId], str] = accept_all,
        kind_of: Callable[[CID], EngineKind | None] = lambda _task: None,
        gossip_ms: int = GOSSIP_MS,
    ) -> None:
        self.identity = identity
        self.total = total
        self.engines = engines
        self.accepts = accepts
        self.kind_of = kind_of
        self.gossip_ms = gossip_ms
        self.tasks: dict[str, NodeTask] = {}
        """Live sessions, the oldest first."""
        self.ended: dict[str, PeerId] = {}
        """Requester by session that was assigned here and is over."""
        most = None if job_most is None else room_of(job_most)
        self.books = CapacityLedger(room_of(total), job_most=most, patience=PATIENCE)
        self._claims: dict[str, Claim] = {}
        """By session that waits for room, or holds some."""
        self._names: dict[Claim, str] = {}
        self._next = CapacityLedger(room_of(total))
        """The room that what runs now will leave: what is promised of it, and what of that was assigned."""
        self._ahead: dict[str, Claim] = {}
        """By session."""
        self._under_way: Counter[tuple[PeerId, str]] = Counter()
        """Sessions that have room, or will, by job."""
        self._paces_ms: OrderedDict[tuple[PeerId, str], int] = OrderedDict()
        """How long a task of a job takes, the job that was heard of last at the end."""
        self._sequence = 0
        self._reserved = 0

    @property
    def free(self) -> Demand:
        """Return what is promised to nobody, and not in use."""
        return demand_of(self.books.free.less(together(claim.room for claim in self._next.held)))

    def start(self, entries: Mapping[str, bytes]) -> tuple[Action, ...]:
        """Take up what the datastore holds (nothing, the first time); return what to do now.

        Raises:
            VerificationError: the datastore holds something else.
        """
        self._sequence = self._reserved = int.from_bytes(entries.get("gossip", b""), "big")
        actions: list[Action] = []
        for key in sorted(key for key in entries if key.startswith("node/")):
            task = task_of(read_node_entry(entries[key]), self.identity)
            # Nothing overtakes an assignment: one that will never fit would keep all others waiting.
            too_large = self._too_large(task.demand) if task.stage is Stage.QUEUED else ""
            begun = node_task.step(task, RoomLost(reason=too_large)) if too_large else node_task.resume(task)
            actions += self._keep(*begun)
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
        if isinstance(event, ContainerEnded):
            return self._step(event.session, event)
        if isinstance(event, Executed | ExecutionFailed):
            self._note_pace(event)
            return self._step(event.session, event)
        if isinstance(event, RoomChanged):
            return (*self._resize(event.total, event.job_most), *self._fill(), *self._announcement())
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
        if isinstance(message, SignedAssign):
            check_signed(message, peer)
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
        if too_large := self._too_large(offer.demand):
            return too_large
        whose = [task.requester for task in self.tasks.values()]
        if len(whose) >= MAX_SESSIONS or whose.count(peer) >= MAX_SESSIONS_EACH:
            return "too many sessions"
        waiting = [task.requester for task in self.tasks.values() if task.stage is Stage.BACKLOG]
        if len(waiting) >= MAX_BACKLOG or waiting.count(peer) >= MAX_BACKLOG_EACH:
            return "backlog is full"
        return self.accepts(offer, peer)

    def _too_large(self, demand: Demand) -> str:
        first, _, _ = self.books.objection(room_of(demand)).partition("; ")
        return first and f"larger than this node takes: {first}"

    def _assign(self, assign: Assign, peer: PeerId) -> tuple[Action, ...]:
        """Take an assignment without a bid: the bid ran out, or was made before a restart."""
        offer = Offer(session=assign.session, job=assign.job, task=assign.task, demand=assign.demand)
        if reason := self._refusal(offer, peer):
            return (Send(peer=peer, message=encode(Failed(session=assign.session, reason=reason))),)
        task = self._new(offer, peer, Stage.QUEUED)
        task, actions = node_task.assigned(replace(task, in_hand=self._in_hand(task)), assign)
        return (*self._keep(task, actions), *self._fill())

    def _new(self, offer: Offer, peer: PeerId, stage: Stage) -> NodeTask:
        return NodeTask(
            identity=self.identity,
            requester=peer,
            session_id=offer.session,
            task=offer.task,
            demand=offer.demand,
            stage=stage,
            job=offer.job,
        )

    # The sessions.

    def _step(self, name: str, event: object, peer: PeerId | None = None) -> tuple[Action, ...]:
        task = self.tasks.get(name)
        if task is None:
            return ()
        if isinstance(event, Assign):
            task = replace(task, in_hand=self._in_hand(task))
        after, actions = node_task.step(task, event, peer)
        if task.stage is Stage.BID and after.stage is Stage.QUEUED and (too_large := self._too_large(after.demand)):
            # It was promised what others would leave, of more than there is now.
            after, more = node_task.step(after, RoomLost(reason=too_large))
            actions += more
        actions = self._keep(after, actions)
        # One that waited may have kept others waiting behind it.
        return (*actions, *self._fill()) if task.stage in HOLDS_ROOM | WAITS_FOR_ROOM else actions

    def _keep(self, task: NodeTask, actions: tuple[Action, ...]) -> tuple[Action, ...]:
        """Keep a session as it is now, and have the books say what its stage says."""
        self._note_job(self.tasks.get(task.session_id), -1)
        self._note_job(task, +1)
        self._count(task)
        if task.stage is not Stage.ENDED:
            self.tasks[task.session_id] = task
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

    def _count(self, task: NodeTask) -> None:
        claim, is_assigned = self._claims.get(task.session_id), task.stage is Stage.QUEUED
        is_over = task.stage is Stage.ENDED or not task.is_ahead
        if is_over and task.session_id in self._ahead:
            self._next.leave(self._ahead.pop(task.session_id))
        if task.stage is Stage.BID and task.is_ahead:
            self._uncount(claim)
        elif task.stage in HOLDS_ROOM:
            if claim is None or claim.state is not ClaimState.HELD:
                raise LocalProtocolError(f"{task.stage} without room")
        elif task.stage not in WAITS_FOR_ROOM:
            self._uncount(claim)
        elif claim is None or claim.is_urgent != is_assigned:
            self._uncount(claim)
            claim = Claim(room=room_of(task.demand), is_urgent=is_assigned)
            self.books.enter(claim)
            self._claims[task.session_id], self._names[claim] = claim, task.session_id

    def _note_job(self, task: NodeTask | None, sign: int) -> None:
        if task is not None and task.stage in HOLDS_ROOM | {Stage.QUEUED}:
            self._under_way[task.requester, task.job] += sign
            if not self._under_way[task.requester, task.job]:
                del self._under_way[task.requester, task.job]

    def _note_pace(self, event: Executed | ExecutionFailed) -> None:
        """Remember how long tasks of a job take: at once when it is longer than before, slowly when it is shorter."""
        task = self.tasks.get(event.session)
        if task is None or not task.job:
            return
        key, took_ms = (task.requester, task.job), event.took_ms if isinstance(event, Executed) else None
        known_ms = self._paces_ms.pop(key, None)
        if took_ms is None:  # nobody measured, or its host failed: no more than one at a time
            return
        self._paces_ms[key] = took_ms if known_ms is None else max(took_ms, (3 * known_ms + took_ms) // 4)
        if len(self._paces_ms) > MAX_PACES:
            self._paces_ms.popitem(last=False)

    def _in_hand(self, task: NodeTask) -> int:
        """Return how many of a job are taken without bids: none if they are not tiny, or others wait for room."""
        pace_ms = self._paces_ms.get((task.requester, task.job))
        if pace_ms is None or self._others_wait(task):
            return 0
        slots = times(task.demand, self.total)
        count = min(slots * IN_HAND_MS // max(pace_ms, 1), MAX_IN_HAND)
        return count if count > 2 * slots else 0  # so many are under way with bids

    def _others_wait(self, task: NodeTask) -> bool:
        waiting = (self.tasks[self._names[claim]] for claim in self.books.waiting)
        return any((one.requester, one.job) != (task.requester, task.job) for one in waiting)

    def _uncount(self, claim: Claim | None) -> None:
        if claim is not None:
            self.books.leave(claim)
            del self._claims[self._names.pop(claim)]

    def _resize(self, total: Demand, job_most: Demand | None) -> tuple[Action, ...]:
        """Have other room from now on: what runs and what was bid for goes on, what waits and never fits does not."""
        self.total = total
        self._next.resize(room_of(total))
        actions: list[Action] = []
        for claim in self.books.resize(room_of(total), job_most=None if job_most is None else room_of(job_most)):
            task = self.tasks[self._names[claim]]
            actions += self._keep(*node_task.step(task, RoomLost(reason=self._too_large(task.demand))))
        return tuple(actions)

    def _fill(self) -> tuple[Action, ...]:
        """Give room to what waits: assignments first, then bids for offers, as the books say."""
        actions: list[Action] = []
        for claim in self.books.serve():
            task = self.tasks[self._names[claim]]
            actions += self._keep(*node_task.step(task, self._room(task)))
        for claim in self.books.waiting:
            task = self.tasks[self._names[claim]]
            if task.stage is Stage.QUEUED:
                continue
            if not self._is_known(task) or not claim.room.fits(self._next.free):
                break  # what others wait for is promised to nobody behind them
            self._ahead[task.session_id] = ahead = Claim(room=claim.room)
            self._next.enter(ahead)
            self._next.serve()
            actions += self._keep(*node_task.step(task, self._room(task, is_ahead=True)))
        return tuple(actions)

    def _is_known(self, task: NodeTask) -> bool:
        return bool(task.job) and (task.requester, task.job) in self._under_way

    def _room(self, task: NodeTask, *, is_ahead: bool = False) -> RoomFound:
        return RoomFound(kind=task.kind or self.kind_of(task.task) or self.engines[0], is_ahead=is_ahead)

    def _gossip(self) -> tuple[Action, ...]:
        return (*self._announcement(), SetTimer(session="", about="gossip", delay_ms=self.gossip_ms))

    def _announcement(self) -> tuple[Action, ...]:
        """Tell the world what is free. Numbers are reserved on disk ahead, so that they ascend over restarts."""
        kept: tuple[Action, ...] = ()
        if self._sequence >= self._reserved:
            self._reserved = self._sequence + SEQUENCES
            kept = (Persist(key="gossip", value=self._reserved.to_bytes(8, "big")),)
        self._sequence += 1
        engines = (*self.engines, READS_SIGNED_ASSIGN)
        record = sign_capacity(
            self.identity, sequence=self._sequence, total=self.total, free=self.free, engines=engines
        )
        return (*kept, Broadcast(message=record))


def _of_a_requester(message: Message, peer: PeerId) -> FromRequester:
    if not isinstance(message, FromRequester):
        raise RemoteProtocolError(f"sent a {message.VERSION}, which requesters do not send", peer=peer)
    return message

"""A node: compute node, requester or both, joined with a transport, a datastore and an engine. Runs on trio.

What arrives goes to the machine that it is for; what the machines want is done here and in the two halves beside this
file. Decides nothing about verification.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import trio

from network.message_bundle import split
from network.message_codec import version_of
from network.messages import Ack, Assign, Cancel, Close, Decline, Offer, Settled, SignedAssign
from network.node.announcement import Announcement, decode_announcement
from network.node.compute_side import ComputeSide, Mouth
from network.node.control import NodeStatus
from network.node.datastore import JobEvent, KeptJob, NotePeer, Submission
from network.node.lost_peers import LostPeers
from network.node.measures import Levels, Measures
from network.node.node_halves import Shared, make_compute, make_requester
from network.node.node_parts import Connectable, NodeParts
from network.node.node_status import levels_of, status_of
from network.node.offences import MAX_OFFENCES, Offences
from network.node.outbox import Outbox
from network.node.peer_book import PeerBook
from network.node.peer_source import PeerSource
from network.node.requester_side import RequesterSide
from network.node.span import SUBMIT, Span
from network.node.trust_book import with_most_words
from network.parcel import is_parcel
from network.protocol_errors import RemoteProtocolError
from network.protocol_events import Misbehaved
from network.transport import CapacityHeard, PeerChange, PeerRefusedError
from network.transport_core import single_errors
from storage.errors import UnavailableError, UserError
from verifier.model import PeerId

FOR_NODES: Final = frozenset(
    kind.VERSION for kind in (Offer, Assign, SignedAssign, Decline, Ack, Cancel, Close, Settled)
)
"""Messages that requesters send; all others are for requesters."""
MAX_SOURCES: Final = 8
"""Peers that are asked for the blocks of one DAG."""
END_CONTAINERS_S: Final = 15.0
"""For a node that ends to remove its containers; what is left then is removed when it starts again."""
log = logging.getLogger(__name__)


class Node:
    """A running node; see `open_node`. A `PeerHandler` below and a `NodeControl` above."""

    compute: ComputeSide | None = None
    requester: RequesterSide | None = None

    def __init__(self, parts: NodeParts) -> None:
        self._parts = parts
        self.measures = Measures()
        self._one_thread = trio.CapacityLimiter(1)
        self._kept = trio.Event()
        self._offences = Offences()
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
        return status_of(self._transport, self.compute, self.requester)

    def levels(self) -> Levels:
        """Return how much there is at this moment, for `/metrics`."""
        return levels_of(self._transport, self.compute, self.requester)

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
        if self._offences.are_too_many(action.peer, now=trio.current_time()) and action.peer != self._transport.peer:
            log.warning(
                "%s is hung up on: %d offences in a minute", action.peer, MAX_OFFENCES, extra={"peer": action.peer}
            )
            self._offences.forget(action.peer)
            self._nursery.start_soon(partial(self._transport.disconnect, action.peer, ban=True))

    # Life

    async def assemble(self, transport: Connectable, nursery: trio.Nursery) -> None:
        """Make the halves, once there is a transport."""
        parts = self._parts
        self._transport, self._nursery = transport, nursery
        self._book = PeerBook(transport, transport.reach)
        self._book.recall(await self._in_thread(parts.datastore.peers))
        self._outbox = Outbox(transport, nursery, reach=self._book.reach)
        shared = Shared(
            nursery=nursery,
            transport=transport,
            book=self._book,
            measures=self.measures,
            sources=self._sources,
            in_thread=self._in_thread,
            say=self._say,
            mouth=self._mouth(),
            count_offence=self._count_offence,
            kept=self._wake,
            heard_own=self._hear_own,
        )
        if parts.requests:
            self.requester = make_requester(parts, shared)
        if parts.compute is not None:
            self.compute = make_compute(parts, parts.compute, shared)

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

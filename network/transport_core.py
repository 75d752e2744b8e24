"""What every transport does above its streams: who is connected, channels, blocks, capacity records, scores, events.

A `Wire` below opens streams and says what happens; this decides. It never raises into the wire and keeps no more than
its bounds for any peer.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, Protocol, TypeVar

import trio

from network import block_exchange, transport_frames
from network.block_exchange_client import BlockClient
from network.block_exchange_server import BlockServer, ThreadRunner
from network.transport import (
    CapacityHeard,
    FetchedBlocks,
    PeerChange,
    PeerEvent,
    PeerHandler,
    PeerUnreachableError,
    TransportEvent,
)
from network.transport_budget import PayloadBudget
from network.transport_capacity import CapacityTable, Reception, read_record, sign_record
from network.transport_channel import AnsweringChannel, AskingChannel
from network.transport_frames import Kind
from network.transport_score import Offence, PeerScores
from network.transport_stream import ByteStream, StalledError
from storage.blocks import BlockStore
from storage.cid import CID
from storage.errors import PeerError, UnavailableError, VerificationError
from verifier.identity import Identity
from verifier.peer_id import PeerId

MAX_STREAMS: Final = 2
"""That one peer may hold open to us for each protocol: the one in use, and one that it opens after it lost that."""
MAX_EVENTS: Final = 1000
"""Kept for a subscriber that does not come for them."""
PROTOCOLS: Final = (transport_frames.PROTOCOL, block_exchange.PROTOCOL)

log = logging.getLogger(__name__)
T = TypeVar("T")


class Wire(Protocol):
    """What carries streams and gossip."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where we listen."""
        ...

    async def open_stream(self, peer: PeerId, protocol: str) -> ByteStream:
        """Open a stream to a connected peer.

        Raises:
            PeerUnreachableError: not connected, or it does not speak the protocol.
        """
        ...

    async def hang_up(self, peer: PeerId) -> None:
        """End all connections to a peer. Does not raise."""
        ...

    async def gossip(self, record: bytes) -> None:
        """Tell everyone, perhaps."""
        ...

    async def close(self) -> None:
        """End everything."""
        ...


@contextmanager
def single_errors() -> Iterator[None]:
    """Raise what ended a block inside nurseries as it was raised, if it was one error."""
    try:
        yield
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        if error is group:
            raise
        raise error from error.__cause__


class EventQueue:
    """One subscription."""

    def __init__(self) -> None:
        self._events: deque[TransportEvent | None] = deque(maxlen=MAX_EVENTS)
        self._arrived = trio.Event()

    def put(self, event: TransportEvent | None) -> None:
        """Add an event; None for the end."""
        self._events.append(event)
        self._arrived.set()

    async def next(self) -> TransportEvent:
        """Wait for the next event."""
        while not self._events:
            self._arrived = trio.Event()
            await self._arrived.wait()
        event = self._events.popleft()
        if event is None:
            self._events.append(None)
            raise UnavailableError("transport is closed")
        return event


class TransportCore:
    """A `Transport` on top of a `Wire`; the wire's owner runs `nursery` and calls the `on_` functions."""

    def __init__(
        self,
        *,
        identity: Identity,
        handler: PeerHandler,
        store: BlockStore,
        wire: Wire,
        nursery: trio.Nursery,
        first_sequence: int,
        may_connect: Callable[[PeerId], bool] = lambda _peer: True,
        in_thread: ThreadRunner = trio.to_thread.run_sync,
    ) -> None:
        """Make a node's transport.

        first_sequence: of capacity records; above all that this node ever used, so take the wall clock.
        may_connect: the allow and deny lists.
        """
        self._identity = identity
        self._handler = handler
        self._wire = wire
        self._nursery = nursery
        self._sequence = first_sequence
        self._may_connect = may_connect
        self._blocks = BlockClient(lambda peer: self._open(peer, block_exchange.PROTOCOL))
        self._server = BlockServer(store, in_thread)
        self._budget = PayloadBudget()
        self._scores = PeerScores()
        self._capacity = CapacityTable()
        self._connected: set[PeerId] = set()
        self._channels: dict[PeerId, AskingChannel] = {}
        self._opening: dict[PeerId, trio.Lock] = {}
        self._streams: Counter[tuple[PeerId, str]] = Counter()
        self._subscribers: list[EventQueue] = []
        self._closed = False

    @property
    def peer(self) -> PeerId:
        """Who we are."""
        return self._identity.peer

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where others can reach us."""
        return self._wire.addresses

    async def request(self, peer: PeerId, payload: bytes, *, deadline_s: float) -> bytes:
        """Ask a peer, and return what it answers."""
        return await self._within(deadline_s, peer, lambda: self._ask(peer, Kind.REQUEST, payload))

    async def send(self, peer: PeerId, payload: bytes, *, deadline_s: float) -> None:
        """Hand a one-way message to a peer."""
        await self._within(deadline_s, peer, lambda: self._ask(peer, Kind.SEND, payload))

    async def fetch_blocks(self, peer: PeerId, cids: Sequence[CID], *, deadline_s: float) -> FetchedBlocks:
        """Fetch up to MAX_CIDS blocks from a peer."""
        try:
            return await self._within(deadline_s, peer, lambda: self._blocks.fetch(peer, cids))
        except PeerError:
            await self.offended(peer, Offence.BROKE_RULES)
            raise

    async def publish_capacity(self, payload: bytes) -> None:
        """Sign our capacity record and tell everyone."""
        self._sequence += 1
        await self._wire.gossip(sign_record(self._identity, self._sequence, payload))

    def capacities(self) -> Mapping[PeerId, bytes]:
        """Return the newest record of each other node."""
        return self._capacity.payloads()

    def connected(self) -> frozenset[PeerId]:
        """Return the peers that can be asked now."""
        return frozenset(self._connected)

    def events(self) -> EventQueue:
        """Subscribe to events."""
        self._subscribers.append(EventQueue())
        return self._subscribers[-1]

    async def disconnect(self, peer: PeerId, *, ban: bool) -> None:
        """End the connection to a peer."""
        if ban:
            self._scores.add(peer, Offence.BROKE_RULES, trio.current_time())
        await self._wire.hang_up(peer)

    async def close(self) -> None:
        """End all connections."""
        if not self._closed:
            self._closed = True
            await self._wire.close()
            self._tell(None)

    def admits(self, peer: PeerId) -> bool:
        """Tell whether a peer may be connected: on the lists, and not banned."""
        return self._may_connect(peer) and not self._scores.is_banned(peer, trio.current_time())

    async def on_up(self, peer: PeerId) -> None:
        """Note that a peer is connected. One that is not admitted is hung up on."""
        if not self.admits(peer):
            await self._wire.hang_up(peer)
        elif peer not in self._connected:
            self._connected.add(peer)
            self._tell(PeerEvent(peer=peer, change=PeerChange.UP))

    async def on_down(self, peer: PeerId) -> None:
        """Note that the last connection to a peer ended."""
        if peer in self._connected:
            self._connected.remove(peer)
            self._tell(PeerEvent(peer=peer, change=PeerChange.DOWN))
        self._server.forget(peer)
        self._opening.pop(peer, None)
        await self._blocks.forget(peer)
        if (channel := self._channels.pop(peer, None)) is not None:
            await channel.close()

    async def on_stream(self, peer: PeerId, protocol: str, stream: ByteStream) -> None:
        """Serve a stream that a peer opened, until it ends."""
        key = (peer, protocol)
        if self._streams[key] >= MAX_STREAMS or not self.admits(peer):
            await stream.reset()
            await self.offended(peer, Offence.TOO_MUCH)
            return
        self._streams[key] += 1
        try:
            await self._watch(peer, lambda: self._serve(peer, protocol, stream))
        finally:
            self._streams[key] -= 1
            if not self._streams[key]:
                del self._streams[key]

    def on_gossip(self, data: bytes) -> Reception:
        """Take a capacity record that came, from whomever."""
        try:
            record = read_record(data)
        except VerificationError:
            return Reception.FORGED
        if record.node == self.peer or not self._may_connect(record.node):
            return Reception.STALE
        reception = self._capacity.take(record, trio.current_time())
        if reception is Reception.NEW:
            self._tell(CapacityHeard(node=record.node, payload=record.payload))
        return reception

    async def on_forged(self, peer: PeerId) -> None:
        """Note that a peer passed on a forged record. Weighs little: it may run an older version."""
        await self.offended(peer, Offence.STALLED)

    async def _serve(self, peer: PeerId, protocol: str, stream: ByteStream) -> None:
        if protocol == block_exchange.PROTOCOL:
            await self._server.serve(stream, peer)
            return
        await AnsweringChannel(
            stream=stream,
            peer=peer,
            handler=self._handler,
            budget=self._budget,
            spawn=lambda task: self._nursery.start_soon(task),
            on_refused=lambda peer: self._nursery.start_soon(self.offended, peer, Offence.TOO_MUCH),
        ).run()

    async def _ask(self, peer: PeerId, kind: Kind, payload: bytes) -> bytes:
        channel = self._channels.get(peer)
        if channel is None or channel.closed:
            async with self._opening.setdefault(peer, trio.Lock()):
                channel = self._channels.get(peer)
                if channel is None or channel.closed:
                    channel = AskingChannel(await self._open(peer, transport_frames.PROTOCOL), peer)
                    self._channels[peer] = channel
                    self._nursery.start_soon(self._watch, peer, channel.run)
        return await channel.ask(kind, payload)

    async def _open(self, peer: PeerId, protocol: str) -> ByteStream:
        if peer not in self._connected:
            raise PeerUnreachableError("peer is not connected", where=peer)
        return await self._wire.open_stream(peer, protocol)

    async def _within(self, deadline_s: float, peer: PeerId, ask: Callable[[], Awaitable[T]]) -> T:
        with trio.move_on_after(deadline_s):
            return await ask()
        raise PeerUnreachableError(f"no answer within {deadline_s:g} s", where=peer)

    async def _watch(self, peer: PeerId, run: Callable[[], Awaitable[None]]) -> None:
        """Run what reads from a peer, and hold against it what it does."""
        try:
            await run()
        except PeerError as error:
            log.info("%s", error)
            await self.offended(peer, Offence.BROKE_RULES)
        except StalledError as error:
            log.debug("%s: %s", peer, error)
            await self.offended(peer, Offence.STALLED)

    async def offended(self, peer: PeerId, offence: Offence) -> None:
        """Hold something against a peer, and hang up on it if that is too much."""
        if self._scores.add(peer, offence, trio.current_time()):
            await self._wire.hang_up(peer)

    def _tell(self, event: TransportEvent | None) -> None:
        for queue in self._subscribers:
            queue.put(event)

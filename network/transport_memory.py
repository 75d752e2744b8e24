"""A network inside one process: the same protocols over streams of plain memory. For tests; it proves the seam.

Deterministic but for the order in which trio runs tasks. Everyone can be connected with everyone; nobody is by itself.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Final

import trio

from network.block_exchange_server import A, B
from network.transport import PeerHandler, PeerUnreachableError
from network.transport_capacity import Reception
from network.transport_core import TransportCore, single_errors
from network.transport_stream import ByteStream, StreamBrokenError
from storage.blocks import BlockStore
from verifier.identity import Identity
from verifier.peer_id import PeerId

WINDOW_BYTES: Final = 256 << 10
"""Written and not yet read in one direction of a stream; the same as Yamux has."""


class _Pipe:
    """One direction of a stream."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._ended = False
        self._broken = False
        self._changed = trio.Event()

    async def read(self, limit: int) -> bytes:
        await self._until(lambda: self._buffer or self._ended)
        data = bytes(self._buffer[:limit])
        del self._buffer[:limit]
        self._wake()
        return data

    async def write(self, data: bytes) -> None:
        while data:
            await self._until(lambda: len(self._buffer) < WINDOW_BYTES)
            room = WINDOW_BYTES - len(self._buffer)
            self._buffer += data[:room]
            data = data[room:]
            self._wake()

    def end(self, *, broken: bool) -> None:
        self._ended = True
        self._broken = self._broken or broken
        self._wake()

    async def _until(self, ready: Callable[[], object]) -> None:
        await trio.lowlevel.checkpoint()
        while not self._broken and not ready():
            await self._changed.wait()
        if self._broken:
            raise StreamBrokenError("stream was reset")

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


class MemoryStream:
    """One end of a stream."""

    def __init__(self, inward: _Pipe, outward: _Pipe) -> None:
        self._inward = inward
        self._outward = outward

    async def read(self, limit: int) -> bytes:
        """Read what there is."""
        return await self._inward.read(limit)

    async def write(self, data: bytes) -> None:
        """Write all of it."""
        await self._outward.write(data)

    async def end(self) -> None:
        """End our side; the peer reads what was written, then that no more comes."""
        self._outward.end(broken=False)

    async def reset(self) -> None:
        """End both sides at once."""
        self._inward.end(broken=True)
        self._outward.end(broken=True)


def memory_streams() -> tuple[MemoryStream, MemoryStream]:
    """Return the two ends of a stream."""
    there, back = _Pipe(), _Pipe()
    return MemoryStream(back, there), MemoryStream(there, back)


async def in_this_thread(call: Callable[[A], B], argument: A) -> B:
    """Return `call(argument)`: a store in memory does not wait, and a clock that jumps ahead does not see threads."""
    await trio.lowlevel.checkpoint()
    return call(argument)


class MemoryNetwork:
    """All nodes of one process."""

    def __init__(self) -> None:
        self._wires: dict[PeerId, _MemoryWire] = {}
        self._joined = 0

    @asynccontextmanager
    async def join(self, identity: Identity, handler: PeerHandler, store: BlockStore) -> AsyncGenerator[TransportCore]:
        """Run a node's transport."""
        with single_errors():
            async with trio.open_nursery() as nursery:
                wire = _MemoryWire(self, identity.peer, nursery)
                # Greater than what a node of the same key said before it was restarted.
                self._joined += 1
                core = TransportCore(
                    identity=identity,
                    handler=handler,
                    store=store,
                    wire=wire,
                    nursery=nursery,
                    first_sequence=self._joined << 32,
                    in_thread=in_this_thread,
                )
                wire.core = core
                self._wires[identity.peer] = wire
                try:
                    yield core
                finally:
                    await core.close()
                    nursery.cancel_scope.cancel()

    async def connect(self, one: PeerId, other: PeerId) -> None:
        """Connect two nodes. One of them may refuse."""
        left, right = self._wires[one], self._wires[other]
        left.peers.add(other)
        right.peers.add(one)
        await left.core.on_up(other)
        await right.core.on_up(one)

    async def disconnect(self, one: PeerId, other: PeerId) -> None:
        """End the connection of two nodes, and the streams between them."""
        for left, right in ((one, other), (other, one)):
            wire = self._wires.get(left)
            if wire is not None and right in wire.peers:
                wire.peers.remove(right)
                for stream in wire.streams.pop(right, []):
                    await stream.reset()
                await wire.core.on_down(right)

    def wire_of(self, peer: PeerId) -> _MemoryWire:
        """Return a node that is there.

        Raises:
            PeerUnreachableError: it is not.
        """
        wire = self._wires.get(peer)
        if wire is None:
            raise PeerUnreachableError("peer is not connected", where=peer)
        return wire

    def leave(self, peer: PeerId) -> None:
        """Take a node off the network."""
        self._wires.pop(peer, None)


class _MemoryWire:
    core: TransportCore

    def __init__(self, network: MemoryNetwork, peer: PeerId, nursery: trio.Nursery) -> None:
        self.peers: set[PeerId] = set()
        self.streams: dict[PeerId, list[ByteStream]] = {}
        self._network = network
        self._peer = peer
        self._nursery = nursery

    @property
    def addresses(self) -> tuple[str, ...]:
        return (f"/memory/{self._peer}",)

    async def open_stream(self, peer: PeerId, protocol: str) -> ByteStream:
        await trio.lowlevel.checkpoint()
        if peer not in self.peers:
            raise PeerUnreachableError("peer is not connected", where=peer)
        ours, theirs = memory_streams()
        self.streams.setdefault(peer, []).append(ours)
        self._network.wire_of(peer).accept(self._peer, protocol, theirs)
        return ours

    def accept(self, peer: PeerId, protocol: str, stream: ByteStream) -> None:
        self._nursery.start_soon(self.core.on_stream, peer, protocol, stream)

    async def hang_up(self, peer: PeerId) -> None:
        await self._network.disconnect(self._peer, peer)

    async def gossip(self, record: bytes) -> None:
        for peer in sorted(self.peers):
            await self._network.wire_of(peer).heard(record, self._peer)

    async def heard(self, record: bytes, passed_on_by: PeerId) -> None:
        await trio.lowlevel.checkpoint()
        reception = self.core.on_gossip(record)
        if reception is Reception.NEW:
            await self.gossip(record)
        elif reception is Reception.FORGED:
            await self.core.on_forged(passed_on_by)

    async def close(self) -> None:
        for peer in sorted(self.peers):
            await self.hang_up(peer)
        self._network.leave(self._peer)

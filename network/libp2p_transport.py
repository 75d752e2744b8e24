"""The real network: py-libp2p over TCP, Noise and Yamux, with gossipsub, identify and ping. Runs on trio.

Only the files `libp2p_*` use libp2p. They open streams, carry gossip and keep up the connections that were asked for;
all rules are in `transport_core`.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import trio

from network import libp2p_workarounds as workarounds

# isort: split
from libp2p.abc import IHost, INetStream, INotifee
from libp2p.custom_types import TProtocol
from libp2p.network.stream.exceptions import StreamEOF
from libp2p.peer.id import ID
from libp2p.pubsub.gossipsub import GossipSub
from libp2p.pubsub.pubsub import Pubsub
from libp2p.tools.anyio_service import background_trio_service

from network.libp2p_host import Libp2pSettings, make_gossip, make_host, multiaddress, peer_info
from network.libp2p_upkeep import Upkeep, is_connected
from network.transport import PeerHandler, PeerUnreachableError
from network.transport_capacity import TOPIC, Reception
from network.transport_core import PROTOCOLS, TransportCore, single_errors
from network.transport_score import Offence
from network.transport_stream import ByteStream, StreamBrokenError
from storage.blocks import BlockStore
from storage.errors import UserError, VerificationError
from verifier.identity import Identity
from verifier.peer_id import PeerId, public_key_of

__all__ = ["Libp2pSettings", "Libp2pTransport", "open_libp2p"]

MAX_STREAMS: Final = 32
"""That a peer may have open on one connection; an honest one needs fewer than ten."""


@asynccontextmanager
async def open_libp2p(
    identity: Identity, handler: PeerHandler, store: BlockStore, settings: Libp2pSettings
) -> AsyncGenerator[Libp2pTransport]:
    """Run a node's transport until the block ends.

    Raises:
        UserError: an address is none, or cannot be listened on.
    """
    host = make_host(identity, settings)
    pubsub, router = make_gossip(host)
    with single_errors():
        async with trio.open_nursery() as nursery:
            core = Libp2pTransport(
                identity=identity,
                handler=handler,
                store=store,
                wire=_Libp2pWire(host, pubsub, nursery),
                nursery=nursery,
                first_sequence=time.time_ns(),
                may_connect=settings.lists.admits_peer,
            )
            core.upkeep = Upkeep(host, pubsub, core, settings)
            _attach(host, pubsub, core, nursery)
            try:
                async with AsyncExitStack() as stack:
                    if settings.mdns:
                        stack.enter_context(core.upkeep.found_nearby())
                    await stack.enter_async_context(_running(host, pubsub, router, settings))
                    nursery.start_soon(core.upkeep.run)
                    try:
                        yield core
                    finally:
                        await core.close()
            finally:
                # Not before the library's own contexts have ended: cancelled, they lose the error that ended the block.
                nursery.cancel_scope.cancel()


@asynccontextmanager
async def _running(host: IHost, pubsub: Pubsub, router: GossipSub, settings: Libp2pSettings) -> AsyncGenerator[None]:
    listen = [multiaddress(address) for address in settings.listen]
    async with host.run(listen), background_trio_service(pubsub), background_trio_service(router):
        if not host.get_transport_addrs():
            raise UserError("cannot listen", where=", ".join(settings.listen), fix="choose another port")
        await pubsub.wait_until_ready()
        subscription = await pubsub.subscribe(TOPIC)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_drain, subscription)
            try:
                yield
            finally:
                nursery.cancel_scope.cancel()


class Libp2pTransport(TransportCore):
    """A `Transport` that can be told whom to connect to."""

    upkeep: Upkeep

    async def connect(self, address: str) -> PeerId:
        """Connect to a peer and keep it connected; returns when it is.

        address: a multiaddress that ends in /p2p/PEER.

        Raises:
            UserError: it is no such address.
            PeerUnreachableError: it could not be reached; it goes on being tried.
        """
        info = peer_info(address)
        self.upkeep.want(info)
        await self.upkeep.dial(info)
        return PeerId(str(info.peer_id))

    async def reach(self, address: str) -> None:
        """Connect to a peer once. For addresses that strangers say: such a one is not dialled for ever.

        address: as of `connect`.

        Raises:
            UserError: it is no such address.
            PeerUnreachableError: it could not be reached.
        """
        await self.upkeep.dial(peer_info(address))


def _attach(host: IHost, pubsub: Pubsub, core: TransportCore, nursery: trio.Nursery) -> None:
    """Have the library call the core."""

    async def refused(peer: ID) -> None:
        await core.offended(PeerId(str(peer)), Offence.TOO_MUCH)

    def validate(forwarder: ID, message: Any) -> bool:
        if forwarder == host.get_id():
            return True
        reception = core.on_gossip(message.data)
        if reception is Reception.FORGED:
            nursery.start_soon(core.on_forged, PeerId(str(forwarder)))
        return reception is Reception.NEW

    workarounds.guard_streams(host, MAX_STREAMS, refused)
    pubsub.set_topic_validator(TOPIC, validate, is_async_validator=False)
    host.get_network().register_notifee(_Notifee(host, core, nursery))
    for protocol in PROTOCOLS:
        host.set_stream_handler(TProtocol(protocol), _handler(core, protocol))


def _handler(core: TransportCore, protocol: str) -> Callable[[INetStream], Awaitable[None]]:
    async def handle(stream: INetStream) -> None:
        await core.on_stream(PeerId(str(stream.muxed_conn.peer_id)), protocol, _Stream(stream))

    return handle


READ_BYTES: Final = 16 << 10
"""Of a stream that are taken from the library at once."""


async def _drain(subscription: Any) -> None:
    """Take what the validator has seen already; nobody else waits for it."""
    while True:
        await subscription.get()


class _Notifee(INotifee):
    """Told by the library of connections."""

    def __init__(self, host: IHost, core: TransportCore, nursery: trio.Nursery) -> None:
        self._host = host
        self._core = core
        self._nursery = nursery

    async def connected(self, _network: object, connection: Any) -> None:
        self._nursery.start_soon(self._up, connection.muxed_conn.peer_id)

    async def disconnected(self, _network: object, connection: Any) -> None:
        peer = PeerId(str(connection.muxed_conn.peer_id))
        if not is_connected(self._host, peer):
            await self._core.on_down(peer)

    async def _up(self, peer: ID) -> None:
        try:
            public_key_of(str(peer))
        except VerificationError:
            await workarounds.quietly(lambda: self._host.get_network().close_peer(peer))
            return
        if is_connected(self._host, PeerId(str(peer))):
            await self._core.on_up(PeerId(str(peer)))

    async def opened_stream(self, _network: object, _stream: object) -> None:
        pass

    async def closed_stream(self, _network: object, _stream: object) -> None:
        pass

    async def listen(self, _network: object, _address: object) -> None:
        pass

    async def listen_close(self, _network: object, _address: object) -> None:
        pass


class _Stream:
    """A `ByteStream`. Errors of seven kinds come out of the library's streams; they all say that it is broken."""

    def __init__(self, stream: INetStream) -> None:
        self._stream = stream
        self._unread = b""
        """What came with what was read before: a frame is read in parts, and the library takes long for each."""

    async def read(self, limit: int) -> bytes:
        if not self._unread:
            try:
                self._unread = await self._stream.read(READ_BYTES)
            except StreamEOF:
                return b""
            except Exception as error:
                raise StreamBrokenError(f"stream ended ({type(error).__name__})") from error
        data, self._unread = self._unread[:limit], self._unread[limit:]
        return data

    async def write(self, data: bytes) -> None:
        try:
            await self._stream.write(data)
        except Exception as error:
            raise StreamBrokenError(f"stream ended ({type(error).__name__})") from error

    async def reset(self) -> None:
        await workarounds.quietly(self._stream.reset)


class _Libp2pWire:
    """A `Wire`."""

    def __init__(self, host: IHost, pubsub: Pubsub, nursery: trio.Nursery) -> None:
        self._host = host
        self._pubsub = pubsub
        self._nursery = nursery

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(str(address) for address in self._host.get_addrs())

    async def open_stream(self, peer: PeerId, protocol: str) -> ByteStream:
        """Open a stream in a task of its own: the library loses one of 256 places when that is cancelled."""
        opening = _Opening()
        self._nursery.start_soon(self._open, peer, protocol, opening)
        try:
            await opening.done.wait()
        except trio.Cancelled:
            opening.abandoned = True
            raise
        if opening.stream is None:
            raise PeerUnreachableError(f"no stream could be opened ({opening.problem})", where=peer)
        return opening.stream

    async def _open(self, peer: PeerId, protocol: str, opening: _Opening) -> None:
        try:
            stream = _Stream(await self._host.new_stream(ID.from_base58(peer), [TProtocol(protocol)]))
        except Exception as error:  # noqa: BLE001 - the library has a dozen kinds
            opening.problem = type(error).__name__
        else:
            if opening.abandoned:
                await stream.reset()
            opening.stream = stream
        opening.done.set()

    async def hang_up(self, peer: PeerId) -> None:
        await workarounds.quietly(lambda: self._host.get_network().close_peer(ID.from_base58(peer)))

    async def gossip(self, record: bytes) -> None:
        await self._pubsub.publish(TOPIC, record)

    async def close(self) -> None:
        await workarounds.quietly(self._host.close)


class _Opening:
    def __init__(self) -> None:
        self.done = trio.Event()
        self.stream: _Stream | None = None
        self.problem = ""
        self.abandoned = False

"""The real network: py-libp2p over TCP, Noise and Yamux, with gossipsub, identify and ping. Runs on trio.

The only file that uses libp2p (with `libp2p_compat` and `libp2p_workarounds`). It opens streams, carries gossip and
keeps up the connections that were asked for; all rules are in `transport_core`.
"""

from __future__ import annotations

import logging
import random
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import trio

from network import libp2p_workarounds as workarounds

# isort: split
from libp2p import new_host
from libp2p.abc import IHost, INetStream, INotifee
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_noise_pair
from libp2p.custom_types import TProtocol
from libp2p.network.config import ConnectionConfig
from libp2p.network.stream.exceptions import StreamEOF
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo, info_from_p2p_addr
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11, GossipSub
from libp2p.pubsub.pubsub import Pubsub
from libp2p.rcmgr.manager import ResourceManager
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as Noise
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX
from libp2p.stream_muxer.yamux.yamux import Yamux
from libp2p.tools.anyio_service import background_trio_service
from multiaddr import Multiaddr

from network.transport import PeerHandler, PeerUnreachableError
from network.transport_backoff import DialPlan
from network.transport_capacity import TOPIC, Reception
from network.transport_core import PROTOCOLS, TransportCore
from network.transport_lists import ConnectionLists
from network.transport_score import Offence
from network.transport_stream import ByteStream, StreamBrokenError
from storage.blocks import BlockStore
from storage.errors import UnavailableError, UserError, VerificationError
from verifier.identity import Identity
from verifier.peer_id import PeerId, public_key_of

AGENT: Final = "bacalhau"
MAX_STREAMS: Final = 32
"""That a peer may have open on one connection; an honest one needs fewer than ten."""
MAX_GOSSIP_BYTES: Final = 64 << 10
"""Of one message of gossipsub: some forty records, or the control messages of a heartbeat."""
NEGOTIATION_S: Final = 5.0
DIAL_S: Final = 8.0
UPKEEP_S: Final = 0.5
"""Between two looks at who is missing."""
CLOSE_S: Final = 5.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Libp2pSettings:
    """How a node takes part in the network."""

    listen: tuple[str, ...] = ("/ip4/127.0.0.1/tcp/0",)
    """Multiaddresses; port 0 takes a free one."""
    bootstrap: tuple[str, ...] = ()
    """Multiaddresses that end in /p2p/PEER: kept connected for as long as we run."""
    lists: ConnectionLists = field(default_factory=ConnectionLists)
    mdns: bool = False
    """Announce ourselves on the local network, and connect to who announces itself."""
    max_connections: int = 128
    max_address_connections: int = 64
    """Of one IP address to us: one address cannot take all places."""


@asynccontextmanager
async def open_libp2p(
    identity: Identity, handler: PeerHandler, store: BlockStore, settings: Libp2pSettings
) -> AsyncGenerator[Libp2pTransport]:
    """Run a node's transport until the block ends.

    Raises:
        UserError: an address is none, or cannot be listened on.
    """
    wanted = [_peer_info(address) for address in settings.bootstrap]
    listen = [_multiaddress(address) for address in settings.listen]
    workarounds.apply()
    host = _make_host(identity, settings)
    router = GossipSub(
        protocols=[PROTOCOL_ID_V11],
        degree=6,
        degree_low=4,
        degree_high=12,
        heartbeat_interval=1,
        adaptive_gossip_enabled=False,
        spam_protection_enabled=False,
        eclipse_protection_enabled=False,
    )
    pubsub = Pubsub(host, router, max_inbound_rpc_size=MAX_GOSSIP_BYTES, allowed_topics={TOPIC})
    # Numbers that begin again at the seconds of the clock collide with those of before a restart.
    pubsub.counter = time.time_ns()
    async with trio.open_nursery() as nursery:
        wire = _Libp2pWire(host, pubsub, nursery)
        core = Libp2pTransport(
            identity=identity,
            handler=handler,
            store=store,
            wire=wire,
            nursery=nursery,
            first_sequence=time.time_ns(),
            may_connect=settings.lists.admits_peer,
        )
        core.upkeep = _Upkeep(host, pubsub, core, settings.lists)
        _attach(host, pubsub, core, nursery)
        async with host.run(listen), background_trio_service(pubsub), background_trio_service(router):
            await pubsub.wait_until_ready()
            subscription = await pubsub.subscribe(TOPIC)
            if not host.get_transport_addrs():
                raise UserError("cannot listen", where=", ".join(settings.listen), fix="choose another port")
            nursery.start_soon(_drain, subscription)
            for info in wanted:
                core.upkeep.want(info)
            nursery.start_soon(core.upkeep.run)
            try:
                yield core
            finally:
                await core.close()
                nursery.cancel_scope.cancel()


class Libp2pTransport(TransportCore):
    """A `Transport` that can be told whom to connect to."""

    upkeep: _Upkeep

    async def connect(self, address: str) -> PeerId:
        """Connect to a peer and keep it connected; returns when it is.

        address: a multiaddress that ends in /p2p/PEER.

        Raises:
            UserError: it is no such address.
            PeerUnreachableError: it could not be reached; it goes on being tried.
        """
        info = _peer_info(address)
        await self.upkeep.dial(info)
        return PeerId(str(info.peer_id))


def _make_host(identity: Identity, settings: Libp2pSettings) -> IHost:
    keys = create_new_key_pair(identity.key.private_bytes_raw())
    host = new_host(
        key_pair=keys,
        # By default it also accepts plaintext.
        sec_opt={TProtocol(NOISE): Noise(keys, noise_privkey=create_noise_pair().private_key)},
        muxer_opt={TProtocol(YAMUX): Yamux},
        enable_mDNS=settings.mdns,
        disable_identify_address_discovery=True,
        connection_config=ConnectionConfig(
            max_connections=settings.max_connections,
            min_connections=0,
            low_watermark=0,
            high_watermark=settings.max_connections,
            inbound_upgrade_timeout=NEGOTIATION_S,
            outbound_upgrade_timeout=NEGOTIATION_S,
            inbound_stream_protocol_negotiation_timeout=NEGOTIATION_S,
            outbound_stream_protocol_negotiation_timeout=NEGOTIATION_S,
            # A peer that is frozen or cut off is not noticed otherwise.
            enable_health_monitoring=True,
            abort_connection_on_ping_failure=True,
            health_initial_delay=2.0,
            health_warmup_window=1.0,
            health_check_interval=5.0,
            ping_timeout=3.0,
        ),
        # Its breakers refuse everyone when one floods; the bounds here are ours.
        resource_manager=ResourceManager(
            enable_metrics=False,
            enable_memory_limits=False,
            enable_circuit_breaker=False,
            enable_graceful_degradation=False,
            enable_rate_limiting=False,
        ),
    )
    network: Any = host.get_network()
    network.auto_connector.maybe_connect = _do_nothing
    network.bacalhau_limits = workarounds.AddressLimits(settings.lists.admits_address, settings.max_address_connections)
    return host


async def _do_nothing() -> None:
    """In place of a connector that dials everyone it ever heard of."""


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
        peer = connection.muxed_conn.peer_id
        if not any(not one.is_closed for one in self._host.get_network().get_connections(peer)):
            await self._core.on_down(PeerId(str(peer)))

    async def _up(self, peer: ID) -> None:
        try:
            public_key_of(str(peer))
        except VerificationError:
            await workarounds.quietly(lambda: self._host.get_network().close_peer(peer))
        else:
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

    async def read(self, limit: int) -> bytes:
        try:
            return await self._stream.read(limit)
        except StreamEOF:
            return b""
        except Exception as error:
            raise StreamBrokenError(f"stream ended ({type(error).__name__})") from error

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


class _Upkeep:
    """Keeps the peers connected that were asked for, and gossip with all that are."""

    def __init__(self, host: IHost, pubsub: Pubsub, core: TransportCore, lists: ConnectionLists) -> None:
        self._host = host
        self._pubsub = pubsub
        self._core = core
        self._lists = lists
        self._plan = DialPlan()
        self._wanted: dict[PeerId, PeerInfo] = {}
        self._dialling: defaultdict[PeerId, trio.Lock] = defaultdict(trio.Lock)

    def want(self, info: PeerInfo) -> None:
        """Keep a peer connected from now on, at its newest address."""
        peer = PeerId(str(info.peer_id))
        if peer != self._core.peer:
            self._wanted[peer] = info

    async def run(self) -> None:
        """Look after it until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                for peer, info in self._wanted.items():
                    if self._is_missing(peer):
                        nursery.start_soon(self._dial_again, peer, info)
                await self._mend_gossip()
                await trio.sleep(UPKEEP_S)

    async def dial(self, info: PeerInfo) -> None:
        """Connect to a peer.

        Raises:
            PeerUnreachableError: it could not be reached.
        """
        peer = PeerId(str(info.peer_id))
        self.want(info)
        async with self._dialling[peer]:
            if peer not in self._core.connected():
                await self._dial(peer, info)

    async def _dial(self, peer: PeerId, info: PeerInfo) -> None:
        if not self._core.admits(peer) or not _admits_all(self._lists, info):
            raise PeerUnreachableError("peer or address is on a deny list, or banned", where=peer)
        network: Any = self._host.get_network()
        network.unblock_peer(info.peer_id)
        try:
            # Only the first address that it remembers is ever dialled.
            self._host.get_peerstore().clear_addrs(info.peer_id)
            with trio.fail_after(DIAL_S):
                await self._host.connect(info)
        except Exception as error:
            raise PeerUnreachableError(f"peer cannot be reached ({type(error).__name__})", where=peer) from error
        self._plan.succeeded(peer)
        await self._core.on_up(peer)

    def _is_missing(self, peer: PeerId) -> bool:
        absent = peer not in self._core.connected() and not self._dialling[peer].locked()
        return absent and self._core.admits(peer) and self._plan.is_due(peer, trio.current_time())

    async def _dial_again(self, peer: PeerId, info: PeerInfo) -> None:
        try:
            await self.dial(info)
        except UnavailableError as error:
            wait_s = self._plan.failed(peer, trio.current_time(), random.random())  # noqa: S311 - spreads dials
            log.debug("%s; next try in %.1f s", error, wait_s)

    async def _mend_gossip(self) -> None:
        """The library never retries a peer with which it failed to open gossip, and keeps one whose connection died."""
        for peer, stream in list(self._pubsub.peers.items()):
            if stream.muxed_conn.is_closed:
                self._pubsub._handle_dead_peer(peer)
        for peer in self._host.get_connected_peers():
            if peer not in self._pubsub.peers:
                await workarounds.quietly(partial(self._pubsub.ensure_peer_stream, peer, NEGOTIATION_S))


def _admits_all(lists: ConnectionLists, info: PeerInfo) -> bool:
    hosts = [address.value_for_protocol(family) for address in info.addrs for family in _families(address)]
    return all(lists.admits_address(str(host)) for host in hosts)


def _families(address: Multiaddr) -> list[str]:
    return [protocol.name for protocol in address.protocols() if protocol.name in ("ip4", "ip6")]


def _multiaddress(address: str) -> Multiaddr:
    try:
        return Multiaddr(address)
    except Exception as error:
        raise UserError(
            "is not a multiaddress", where=repr(address), fix="write it like /ip4/127.0.0.1/tcp/0"
        ) from error


def _peer_info(address: str) -> PeerInfo:
    try:
        info = info_from_p2p_addr(_multiaddress(address))
        public_key_of(str(info.peer_id))
    except UserError:
        raise
    except Exception as error:
        fix = "write it like /ip4/192.0.2.1/tcp/4001/p2p/12D3Koo…"
        raise UserError("is not the address of a peer", where=repr(address), fix=fix) from error
    return info

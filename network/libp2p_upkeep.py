"""Keep the connections up that were asked for, and gossip with all that are."""

from __future__ import annotations

import logging
import random
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final

import trio

from network import libp2p_workarounds as workarounds

# isort: split
from libp2p.abc import IHost
from libp2p.discovery.events.peerDiscovery import peerDiscovery
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from libp2p.pubsub.pubsub import Pubsub
from multiaddr import Multiaddr

from network.libp2p_host import NEGOTIATION_S, Libp2pSettings, peer_info
from network.transport import PeerUnreachableError
from network.transport_backoff import LASTS_S, DialPlan
from network.transport_core import TransportCore
from network.transport_lists import ConnectionLists
from storage.errors import UnavailableError, VerificationError
from verifier.peer_id import PeerId, public_key_of

DIAL_S: Final = 8.0
MAX_NEARBY: Final = 32
"""Peers that are kept connected, above which those that mDNS finds are not: anyone on the network can announce many."""
UPKEEP_S: Final = 0.5
"""Between two looks at who is missing."""

log = logging.getLogger(__name__)


def is_connected(host: IHost, peer: PeerId) -> bool:
    """Tell whether the library has a connection to a peer that is open."""
    return any(not one.is_closed for one in host.get_network().get_connections(ID.from_base58(peer)))


class Upkeep:
    """Keeps the peers connected that were asked for, and gossip with all that are."""

    def __init__(self, host: IHost, pubsub: Pubsub, core: TransportCore, settings: Libp2pSettings) -> None:
        self._host = host
        self._pubsub = pubsub
        self._core = core
        self._lists = settings.lists
        self._plan = DialPlan()
        self._wanted: dict[PeerId, PeerInfo] = {}
        self._since: dict[PeerId, float] = {}
        self._dialling: defaultdict[PeerId, trio.Lock] = defaultdict(trio.Lock)
        for address in settings.bootstrap:
            self.want(peer_info(address))

    def want(self, info: PeerInfo) -> None:
        """Keep a peer connected from now on, at its newest address."""
        peer = PeerId(str(info.peer_id))
        if peer != self._core.peer:
            self._wanted[peer] = info

    @contextmanager
    def found_nearby(self) -> Iterator[None]:
        """Want peers that announce themselves on the local network (mDNS), as many as MAX_NEARBY of them."""
        token = trio.lowlevel.current_trio_token()

        def found(info: PeerInfo) -> None:  # called from a thread of zeroconf
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(self._want_nearby, info)

        peerDiscovery.register_peer_discovered_handler(found)
        try:
            yield
        finally:
            peerDiscovery.unregister_peer_discovered_handler(found)

    def _want_nearby(self, info: PeerInfo) -> None:
        with suppress(VerificationError):
            public_key_of(str(info.peer_id))
            if len(self._wanted) < MAX_NEARBY:
                self.want(info)

    async def run(self) -> None:
        """Look after it until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                now = trio.current_time()
                for peer, info in self._wanted.items():
                    if peer in self._core.connected():
                        if now - self._since.setdefault(peer, now) >= LASTS_S:
                            self._plan.lasted(peer)
                        continue
                    self._since.pop(peer, None)
                    if self._is_missing(peer):
                        nursery.start_soon(self._dial_again, peer, info)
                await self._mend_gossip()
                await self._notice_ends()
                await trio.sleep(UPKEEP_S)

    async def dial(self, info: PeerInfo) -> None:
        """Connect to a peer. Whether it stays connected is for `want` to say.

        Raises:
            PeerUnreachableError: it could not be reached.
        """
        peer = PeerId(str(info.peer_id))
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
        if not is_connected(self._host, peer):
            raise PeerUnreachableError("peer hung up at once", where=peer)
        await self._core.on_up(peer)

    def _is_missing(self, peer: PeerId) -> bool:
        return (
            not self._dialling[peer].locked()
            and self._core.admits(peer)
            and self._plan.is_due(peer, trio.current_time())
        )

    async def _dial_again(self, peer: PeerId, info: PeerInfo) -> None:
        wait_s = self._plan.dialled(peer, trio.current_time(), random.random())  # noqa: S311 - spreads dials
        try:
            await self.dial(info)
        except UnavailableError as error:
            log.debug("%s; next try in %.1f s", error, wait_s)

    async def _notice_ends(self) -> None:
        """A connection may end before it was noted that it began."""
        for peer in self._core.connected():
            if not is_connected(self._host, peer):
                await self._core.on_down(peer)

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

"""A host of py-libp2p as a node of ours wants it: TCP, Noise, Yamux, gossipsub, and none of its other defaults."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Final

from network import libp2p_workarounds as workarounds

# isort: split
from libp2p import new_host
from libp2p.abc import IHost
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_noise_pair
from libp2p.custom_types import TProtocol
from libp2p.network.config import ConnectionConfig
from libp2p.peer.peerinfo import PeerInfo, info_from_p2p_addr
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11, GossipSub
from libp2p.pubsub.pubsub import Pubsub
from libp2p.rcmgr.manager import ResourceManager
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as Noise
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX
from libp2p.stream_muxer.yamux.yamux import Yamux
from multiaddr import Multiaddr

from network.transport_capacity import TOPIC
from network.transport_lists import ConnectionLists
from storage.errors import UserError
from verifier.identity import Identity
from verifier.peer_id import public_key_of

MAX_GOSSIP_BYTES: Final = 64 << 10
"""Of one message of gossipsub: some forty records, or the control messages of a heartbeat."""
NEGOTIATION_S: Final = 5.0


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


def make_host(identity: Identity, settings: Libp2pSettings) -> IHost:
    """Return a host that does not run yet. It has applied the workarounds."""
    workarounds.apply()
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


def make_gossip(host: IHost) -> tuple[Pubsub, GossipSub]:
    """Return gossip of capacity records, and nothing else, for a host."""
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
    return pubsub, router


def multiaddress(address: str) -> Multiaddr:
    """Read a multiaddress.

    Raises:
        UserError: it is none.
    """
    try:
        return Multiaddr(address)
    except Exception as error:
        raise UserError(
            "is not a multiaddress", where=repr(address), fix="write it like /ip4/127.0.0.1/tcp/0"
        ) from error


def peer_info(address: str) -> PeerInfo:
    """Read the address of a peer: a multiaddress that ends in /p2p/PEER.

    Raises:
        UserError: it is none, or the peer id is not of an ed25519 key.
    """
    try:
        info = info_from_p2p_addr(multiaddress(address))
        public_key_of(str(info.peer_id))
    except UserError:
        raise
    except Exception as error:
        fix = "write it like /ip4/192.0.2.1/tcp/4001/p2p/12D3Koo…"
        raise UserError("is not the address of a peer", where=repr(address), fix=fix) from error
    return info

"""Who may connect: allow and deny lists of peer ids and of IP networks. Deny goes before allow."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TypeAlias

from storage.errors import UserError
from verifier.peer_id import PeerId

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLists:
    """Empty allow lists allow everyone."""

    allowed_peers: frozenset[PeerId] = frozenset()
    denied_peers: frozenset[PeerId] = frozenset()
    allowed_networks: tuple[Network, ...] = ()
    denied_networks: tuple[Network, ...] = ()

    def admits_peer(self, peer: PeerId) -> bool:
        """Tell whether a peer may be connected."""
        return peer not in self.denied_peers and (not self.allowed_peers or peer in self.allowed_peers)

    def admits_address(self, host: str) -> bool:
        """Tell whether connections from and to an IP address are allowed. What is no address is not."""
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None) or address
        if any(mapped in network for network in self.denied_networks):
            return False
        return not self.allowed_networks or any(mapped in network for network in self.allowed_networks)


def parse_networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    """Read networks such as 10.0.0.0/8; an address stands for itself.

    Raises:
        UserError: one is none.
    """
    try:
        return tuple(ipaddress.ip_network(text) for text in texts)
    except ValueError as error:
        raise UserError(f"not an IP network: {error}", fix="write it like 10.0.0.0/8") from error

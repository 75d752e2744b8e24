"""Addresses that a node may say of itself: `/ip4/HOST/tcp/PORT/p2p/PEER` and `/ip6/…`, in one spelling each. Pure.

Only these are dialled when they come from a stranger: no names to be looked up, no relays, no other protocols.
Source: multiformats/multiaddr; libp2p/specs, addressing.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from verifier.model import PeerId

MAX_ADDRESS_BYTES: Final = 128
"""The longest, of IPv6, has 111."""
MAX_PORT: Final = 65535

_FORM: Final = re.compile(r"/(ip4|ip6)/([0-9a-f.:]{2,45})/tcp/([1-9][0-9]{0,4})/p2p/([1-9A-HJ-NP-Za-km-z]{52})")


def address_problem(text: str, peer: PeerId) -> str:
    """Return why this is no address that `peer` may announce; empty if it is one."""
    match = _FORM.fullmatch(text) if len(text) <= MAX_ADDRESS_BYTES else None
    if match is None:
        return "must be of the form /ip4/HOST/tcp/PORT/p2p/PEER"
    kind, host, port, named = match.groups()
    if named != peer:
        return f"is not an address of {peer}"
    if int(port) > MAX_PORT:
        return f"has the port {port}"
    return _host_problem(kind, host)


def _host_problem(kind: str, host: str) -> str:
    try:
        address = IPv4Address(host) if kind == "ip4" else IPv6Address(host)
    except ValueError:
        return f"has a host that is no {kind} address"
    if str(address) != host:
        return f"must spell its host {address}"
    return "has a host that nobody can be reached at" if address.is_unspecified or address.is_multicast else ""

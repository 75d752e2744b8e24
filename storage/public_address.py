"""Which IP addresses are on the public internet: for URLs that strangers may have written.

Pure. The lists are IANA's special-purpose registries, written out because the standard library's own answer
(`ipaddress.is_global`) changed between patch releases of Python. Sources: RFC 6890 and its updates; IANA "IPv4 Special-
Purpose Address Registry" and "IPv6 Special-Purpose Address Registry"; RFC 6052 for NAT64.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

_NOT_PUBLIC_V4: Final = tuple(
    (IPv4Network(network), word)
    for network, word in (
        ("0.0.0.0/8", "unspecified"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "carrier-grade NAT"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "documentation"),
        ("192.88.99.0/24", "reserved"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)
_NOT_PUBLIC_V6: Final = tuple(
    (IPv6Network(network), word)
    for network, word in (
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "private"),
        ("ff00::/8", "multicast"),
        ("2001::/23", "reserved"),  # Teredo, ORCHID and other protocols
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "6to4"),  # carries an IPv4 address of the sender's choice
        ("3fff::/20", "documentation"),
    )
)
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
"""All of IPv6 that has been handed out."""
_HOLDS_V4: Final = (IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"))
"""IPv4-mapped addresses and the well-known prefix of NAT64: where they lead, their last 32 bits say."""


def why_not_public(address: str) -> str:
    """Return what kind of address this is, in a word or two; empty if it is a public one.

    Raises:
        ValueError: not an IP address.
    """
    found = ip_address(address.partition("%")[0])  # a zone only occurs with link-local addresses
    if isinstance(found, IPv6Address):
        if not any(found in network for network in _HOLDS_V4):
            return _kind_v6(found)
        found = IPv4Address(int(found) & 0xFFFF_FFFF)
    return next((word for network, word in _NOT_PUBLIC_V4 if found in network), "")


def _kind_v6(address: IPv6Address) -> str:
    special = next((word for network, word in _NOT_PUBLIC_V6 if address in network), "")
    return special or ("" if address in _GLOBAL_UNICAST else "reserved")

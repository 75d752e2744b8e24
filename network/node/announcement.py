"""What a node gossips: its capacity record, where it can be reached, and its labels. Strict, in 1,024 bytes.

The transport signs what travels and says whose it is. The capacity record inside is signed once more, as the machines
want it (`network.compute_node` makes it, `network.requester` checks it); addresses and labels are the node's own word.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final

from network.message_codec import encode
from network.messages import Capacity, Message
from network.node.node_labels import Labels
from network.node.peer_address import address_problem
from network.protocol_errors import RemoteProtocolError
from network.transport import MAX_CAPACITY_BYTES
from storage import dag_cbor
from storage.errors import VerificationError
from verifier.bounds import at_most
from verifier.model import ModelError, PeerId
from verifier.schema import Schema

MAX_ADDRESSES: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement(Message):
    """One node's word of itself; the latest counts."""

    VERSION: ClassVar[str] = "announcement/1"
    MAX_BYTES: ClassVar[int] = MAX_CAPACITY_BYTES

    capacity: Capacity
    addresses: Annotated[tuple[str, ...], at_most(MAX_ADDRESSES)]
    """All of them of `capacity.node` (`network.node.peer_address`), the best first."""
    labels: Labels

    def __post_init__(self) -> None:
        Schema.__post_init__(self)
        for index, address in enumerate(self.addresses):
            if problem := address_problem(address, self.capacity.node):
                raise ModelError(problem, field=f"addresses[{index}]")


def announce(capacity: Capacity, *, addresses: Iterable[str], labels: Mapping[str, str]) -> Announcement:
    """Return what a node says of itself, with those of its addresses that others may dial and that fit.

    Of too many, the longest are left out first, and of equally long ones the last.

    Raises:
        ValueError: capacity and labels alone do not fit, or labels are out of bounds: the caller let them grow.
    """
    kept = [one for one in dict.fromkeys(addresses) if not address_problem(one, capacity.node)]
    while True:
        if len(kept) <= MAX_ADDRESSES:
            said = Announcement(capacity=capacity, addresses=tuple(kept), labels=dict(labels))
            if not kept or len(dag_cbor.encode(said.to_node())) <= MAX_CAPACITY_BYTES:
                encode(said)  # without addresses it may still be too long
                return said
        longest = max(range(len(kept)), key=lambda index: (len(kept[index]), index))
        del kept[longest]


def decode_announcement(data: bytes, node: PeerId) -> Announcement:
    """Return the announcement that `node` signed.

    Raises:
        RemoteProtocolError: too long, of another version, not canonical, out of bounds, or about another node.
    """
    if len(data) > MAX_CAPACITY_BYTES:
        raise RemoteProtocolError(f"announced itself in {len(data)} bytes", peer=node)
    try:
        said = Announcement.from_node(dag_cbor.decode(data))
    except VerificationError as error:
        raise RemoteProtocolError(f"sent a malformed announcement ({error})", peer=node) from error
    if said.capacity.node != node:
        raise RemoteProtocolError(f"announced the capacity of {said.capacity.node}", peer=node)
    return said

"""The seam between a node and its peers: bytes go out and come in, and nobody here knows what they mean.

A `Transport` carries requests, one-way messages, blocks and one capacity record per node. It knows who a peer is (the
connection is authenticated by the node's key) and vouches for nothing that a peer says: payloads carry signatures of
their own. Requests may arrive twice or never; whoever asks repeats, and whoever answers is idempotent.
Implementations: `transport_memory` (one process, for tests) and `libp2p_transport`. Both run on trio.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol, TypeAlias

from storage.cid import CID
from storage.errors import PeerError, UnavailableError
from verifier.peer_id import PeerId

MAX_PAYLOAD_BYTES: Final = 1 << 20
"""Of a request or an answer: a task with its arguments, or a round of 4,096 commitments, not data."""
MAX_CAPACITY_BYTES: Final = 1024
"""Of a capacity record's payload. Gossip is dear: about 3 ms of each forwarder's time a message."""
MAX_CIDS: Final = 64
"""Asked for in one fetch."""
MAX_BLOCK_BYTES: Final = 2 << 20
"""Blocks above 2 MiB do not travel between implementations (bitswap's limit)."""
MAX_FETCH_BYTES: Final = 4 << 20
"""Of blocks in one answer, after which the rest is to be asked for again; one block is always given."""


class PeerChange(StrEnum):
    """What became of a peer."""

    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerEvent:
    """A peer can be reached now, or no longer."""

    peer: PeerId
    change: PeerChange


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityHeard:
    """A node's newest capacity record; its signature was checked, its payload was not looked at."""

    node: PeerId
    payload: bytes


TransportEvent: TypeAlias = PeerEvent | CapacityHeard


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedBlocks:
    """What a peer gave of what it was asked for. CIDs that are in neither are to be asked for again."""

    blocks: Mapping[CID, bytes]
    """Checked against their CIDs."""
    absent: frozenset[CID]
    """The peer says that it does not have them."""


class PeerHandler(Protocol):
    """What a node does with what arrives. An exception is answered as a failure and ends nothing."""

    async def answer(self, peer: PeerId, payload: bytes) -> bytes:
        """Return the answer to a request, at most MAX_PAYLOAD_BYTES."""
        ...

    async def receive(self, peer: PeerId, payload: bytes) -> None:
        """Take a one-way message; its sender is not waiting."""
        ...


class TransportEvents(Protocol):
    """A subscription to events, from the moment it was made on."""

    async def next(self) -> TransportEvent:
        """Wait for the next event. Of those that nobody waited for, the newest thousand are kept.

        Raises:
            UnavailableError: the transport was closed.
        """
        ...


class Transport(Protocol):
    """A node's side of the network."""

    @property
    def peer(self) -> PeerId:
        """Who we are."""
        ...

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where others can reach us; each ends in our peer id."""
        ...

    async def request(self, peer: PeerId, payload: bytes, *, deadline_s: float) -> bytes:
        """Ask a peer that is connected, and return what it answers.

        Raises:
            PeerUnreachableError: not connected, the connection ended, or no answer within `deadline_s` seconds.
            PeerRefusedError: it answered that it cannot, or that it has too much to do.
            PeerError: it broke the rules; it was disconnected.
            ValueError: the payload is too large.
        """
        ...

    async def send(self, peer: PeerId, payload: bytes, *, deadline_s: float) -> None:
        """Hand a one-way message to a peer; returns when it lies there, not when something came of it.

        Raises:
            As `request` does.
        """
        ...

    async def fetch_blocks(self, peer: PeerId, cids: Sequence[CID], *, deadline_s: float) -> FetchedBlocks:
        """Fetch up to MAX_CIDS blocks from a peer. What two callers want at once is downloaded once.

        Raises:
            As `request` does. PeerError has the CID that it lied about as evidence.
        """
        ...

    async def publish_capacity(self, payload: bytes) -> None:
        """Sign our capacity record and tell everyone. It replaces the last one, and may reach nobody."""
        ...

    def capacities(self) -> Mapping[PeerId, bytes]:
        """Return the newest record of each other node that was heard of."""
        ...

    def connected(self) -> frozenset[PeerId]:
        """Return the peers that can be asked now."""
        ...

    def events(self) -> TransportEvents:
        """Subscribe to peers coming and going, and to capacity records."""
        ...

    async def disconnect(self, peer: PeerId, *, ban: bool) -> None:
        """End the connection to a peer; with `ban`, refuse it for a while. For whoever finds that it lied."""
        ...

    async def close(self) -> None:
        """End all connections. Closing twice is fine."""
        ...


class PeerUnreachableError(UnavailableError):
    """A peer is not connected, went away, or did not answer in time: it may or may not have heard us."""


class PeerRefusedError(UnavailableError):
    """A peer answered that it cannot, or that it has too much to do."""


def broke_rules(peer: PeerId, problem: str, *evidence: bytes) -> PeerError:
    """Return the error that names a peer which broke this transport's rules."""
    return PeerError(problem, peer=peer, evidence=evidence)

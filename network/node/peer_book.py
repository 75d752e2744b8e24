"""What this node knows of others: their announcements, and how to reach them. In memory; addresses also on disk.

Addresses come from strangers, so dialling one is bounded: a few at a time, each peer seldom, and only peers that this
node has something to say to. Who answers there proves its key before anything is said.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import trio

from network.node.announcement import Announcement
from network.node.node_labels import matches
from network.transport import Transport
from runtime.container_engine import CONTAINER_ENGINES
from storage.errors import UnavailableError, UserError
from verifier.model import PeerId

MAX_PEERS: Final = 4_096
"""Announcements that are remembered, as many as the transport's; those not heard of for longest are forgotten."""
MAX_DIALS: Final = 8
"""At the same time."""
PAUSE_S: Final = 5.0
"""Until a peer that could not be reached is dialled again."""
log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Attempt:
    done: trio.Event
    at: float


class PeerBook:
    """Announcements by node. Used in the node's loop."""

    def __init__(self, transport: Transport, connect: Callable[[str], Awaitable[object]]) -> None:
        """Make an empty book. connect: dials an address once."""
        self._transport = transport
        self._connect = connect
        self._known: OrderedDict[PeerId, Announcement] = OrderedDict()
        self._addresses: dict[PeerId, tuple[str, ...]] = {}
        self._dials = trio.CapacityLimiter(MAX_DIALS)
        self._attempts: dict[PeerId, _Attempt] = {}

    def note(self, said: Announcement) -> bool:
        """Keep an announcement; tell whether its addresses are new."""
        node = said.capacity.node
        self._known[node] = said
        self._known.move_to_end(node)
        if len(self._known) > MAX_PEERS:
            forgotten, _ = self._known.popitem(last=False)
            self._addresses.pop(forgotten, None)
        is_new = self._addresses.get(node) != said.addresses and bool(said.addresses)
        if is_new:
            self._addresses[node] = said.addresses
        return is_new

    def recall(self, addresses: Mapping[PeerId, str]) -> None:
        """Take up addresses of before a restart."""
        for peer, address in list(addresses.items())[:MAX_PEERS]:
            self._addresses.setdefault(peer, (address,))

    def announcements(self) -> tuple[Announcement, ...]:
        """Return the newest of each node."""
        return tuple(self._known.values())

    def labels(self) -> Mapping[PeerId, Mapping[str, str]]:
        """Return the labels of each node that was heard of."""
        return {peer: said.labels for peer, said in self._known.items()}

    def unlike(self, selector: Sequence[tuple[str, str]], peers: Iterable[PeerId]) -> frozenset[PeerId]:
        """Return those of `peers` that are not known to have what a selector asks for: of some the labels are gone."""
        if not selector:
            return frozenset()
        known = self._known
        return frozenset(peer for peer in peers if peer not in known or not matches(selector, known[peer].labels))

    def like(self, selector: Sequence[tuple[str, str]]) -> frozenset[PeerId]:
        """Return the nodes that have what a selector asks for, by the newest that they said of themselves."""
        return frozenset(peer for peer, said in self._known.items() if matches(selector, said.labels))

    def without_containers(self, peers: Iterable[PeerId]) -> frozenset[PeerId]:
        """Return those of `peers` that do not offer to run containers: nodes of a release before this one neither."""
        return frozenset(
            peer
            for peer in peers
            if (said := self._known.get(peer)) is None
            or not any(one.engine in CONTAINER_ENGINES for one in said.capacity.engines)
        )

    async def reach(self, peer: PeerId) -> bool:
        """Connect to a peer if it is not and may be dialled now; tell whether it is connected."""
        if peer in self._transport.connected():
            return True
        attempt = self._attempts.get(peer)
        if attempt is not None and not attempt.done.is_set():
            await attempt.done.wait()
        elif attempt is None or trio.current_time() - attempt.at >= PAUSE_S:
            await self._dial(peer)
        return peer in self._transport.connected()

    async def _dial(self, peer: PeerId) -> None:
        attempt = self._attempts[peer] = _Attempt(trio.Event(), trio.current_time())
        try:
            async with self._dials:
                for address in self._addresses.get(peer, ()):
                    try:
                        await self._connect(address)
                    except (UnavailableError, UserError) as error:
                        log.debug("%s", error)
                    else:
                        del self._attempts[peer]
                        return
        finally:
            attempt.at = trio.current_time()
            attempt.done.set()
            self._forget_old()

    def _forget_old(self) -> None:
        if len(self._attempts) > MAX_PEERS:
            now = trio.current_time()
            self._attempts = {
                peer: one for peer, one in self._attempts.items() if not one.done.is_set() or now - one.at < PAUSE_S
            }

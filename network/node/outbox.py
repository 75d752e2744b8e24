"""Messages on their way to peers: one queue for each, in order, bounded; connects first where there is no connection.

The protocol repeats what is not answered, so what cannot be delivered now is dropped, and a peer that is away costs
neither memory nor anybody else's time.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from network.message_bundle import MAX_BYTES, SURE_BYTES, fits, join
from network.transport import MAX_PAYLOAD_BYTES, PeerRefusedError, Transport
from storage.errors import PeerError, UnavailableError
from verifier.model import PeerId

MAX_QUEUED: Final = 1_024
"""Messages to one peer."""
MAX_PEERS: Final = 4_096
"""Peers with messages under way."""
SEND_S: Final = 15.0
FULL_S: Final = 60.0
"""How long a peer that refused much is sent little: what it refuses, it holds against us a little."""
log = logging.getLogger(__name__)


class Outbox:
    """All messages that wait. Used in the node's loop."""

    def __init__(
        self, transport: Transport, nursery: trio.Nursery, *, reach: Callable[[PeerId], Awaitable[bool]]
    ) -> None:
        """Make an empty one. reach: connects to a peer if that is possible now, and tells whether it is connected."""
        self._transport = transport
        self._nursery = nursery
        self._reach = reach
        self._queues: dict[PeerId, deque[bytes]] = {}
        self._full: dict[PeerId, float] = {}
        """Until when a peer is sent little."""

    def send(self, peer: PeerId, message: bytes) -> None:
        """Send a message soon, or never."""
        if len(message) > MAX_PAYLOAD_BYTES:
            log.error("a message of %d bytes to %s is longer than the transport carries", len(message), peer)
            return
        queue = self._queues.get(peer)
        if queue is None:
            if len(self._queues) >= MAX_PEERS:
                return
            self._queues[peer] = queue = deque(maxlen=MAX_QUEUED)
            self._nursery.start_soon(self._deliver, peer, queue)
        queue.append(message)

    async def _deliver(self, peer: PeerId, queue: deque[bytes]) -> None:
        """Send what is queued to one peer until nothing is."""
        try:
            await trio.lowlevel.checkpoint()
            if await self._reach(peer):
                while queue:
                    await self._send_some(peer, queue)
            else:
                log.debug("%d messages to %s are dropped: not connected", len(queue), peer)
        except (UnavailableError, PeerError) as error:
            log.debug("%d messages to %s are dropped: %s", len(queue), peer, error)
        finally:
            del self._queues[peer]

    async def _send_some(self, peer: PeerId, queue: deque[bytes]) -> None:
        """Send what may travel together. A peer that has no room for much is sent little for a while."""
        limit = SURE_BYTES if self._is_full(peer) else MAX_BYTES
        taken = _taken(queue, limit)
        try:
            await self._transport.send(peer, join(taken), deadline_s=SEND_S)
        except PeerRefusedError:
            if sum(map(len, taken)) <= SURE_BYTES or len(taken) == 1:
                raise
            self._full[peer] = trio.current_time() + FULL_S
            if len(self._full) > MAX_PEERS:
                self._full.pop(next(iter(self._full)))
            queue.extendleft(reversed(taken))

    def _is_full(self, peer: PeerId) -> bool:
        until = self._full.get(peer)
        if until is not None and until <= trio.current_time():
            del self._full[peer]
            return False
        return until is not None


def _taken(queue: deque[bytes], limit: int) -> list[bytes]:
    """Take the next message, and those behind it that may travel with it."""
    taken = [queue.popleft()]
    size = len(taken[0])
    while queue and fits(size, len(taken), len(queue[0]), limit):
        taken.append(queue.popleft())
        size += len(taken[-1])
    return taken

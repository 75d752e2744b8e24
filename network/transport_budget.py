"""Room for payloads that are being handled: a bound for all peers together, and a share that nobody else can take.

Every peer has some bytes of its own. What is beyond comes out of one pool, of which nobody may hold more than it leaves
(the rule of switches with shared memory: Choudhury and Hahne, Dynamic queue length thresholds, 1998, with alpha 1) nor
more than MAX_EACH_BYTES: five peers that want all, and give nothing back, leave room for a payload of any size.
"""

from __future__ import annotations

from typing import Final

from verifier.peer_id import PeerId

OWN_BYTES: Final = 16 << 10
"""Of each peer: any message of the protocol but a list of more than some forty commitments."""
MAX_PEERS: Final = 256
"""That hold something: twice as many as may be connected, for what was accepted is done when its sender is gone."""
SHARED_BYTES: Final = 12 << 20
"""Of all peers together, beside what is their own: 16 MiB in all."""
MAX_EACH_BYTES: Final = OWN_BYTES + (2 << 20)
"""The largest request and its answer."""


class PayloadBudget:
    """Bytes of payloads in hand, of all peers together and of each."""

    def __init__(self, shared: int = SHARED_BYTES) -> None:
        self._free = shared
        self._held: dict[PeerId, int] = {}

    def take(self, peer: PeerId, size: int) -> bool:
        """Take `size` bytes for a peer; tell whether there are so many for it."""
        held = self._held.get(peer, 0)
        after = held + size
        if after > MAX_EACH_BYTES or (not held and len(self._held) >= MAX_PEERS):
            return False
        left = self._free - (_beyond(after) - _beyond(held))
        if _beyond(after) > max(left, 0):
            return False
        self._free = left
        if after:
            self._held[peer] = after
        return True

    def give_back(self, peer: PeerId, size: int) -> None:
        """Return what was taken."""
        held = self._held.pop(peer, 0)
        self._free += _beyond(held) - _beyond(held - size)
        if held > size:
            self._held[peer] = held - size

    def holds(self, peer: PeerId) -> bool:
        """Tell whether a peer has anything in hand."""
        return peer in self._held


def _beyond(held: int) -> int:
    """Return how much of it is not the peer's own."""
    return max(held - OWN_BYTES, 0)

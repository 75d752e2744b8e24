"""When to dial a peer again that was not reached for long: after twice the time of before, up to half a minute.

Time and chance are parameters.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from verifier.peer_id import PeerId

FIRST_S: Final = 1.0
LONGEST_S: Final = 30.0
LASTS_S: Final = 10.0
"""A peer that hangs up before is one that could not be reached: it may have us on its deny list."""


@dataclass(slots=True)
class DialPlan:
    """The peers that ought to be connected, and when each may be dialled next."""

    _dials: dict[PeerId, int] = field(default_factory=dict)
    _due: dict[PeerId, float] = field(default_factory=dict)

    def is_due(self, peer: PeerId, now: float) -> bool:
        """Tell whether a peer may be dialled."""
        return now >= self._due.get(peer, now)

    def dialled(self, peer: PeerId, now: float, chance: float) -> float:
        """Note a dial; return the seconds until the next, which is due unless this connection lasts.

        chance: in [0, 1), spreads the dials of many nodes.
        """
        dials = self._dials[peer] = self._dials.get(peer, 0) + 1
        longest = min(FIRST_S * 2.0 ** (dials - 1), LONGEST_S)
        wait_s = longest * (1 + chance) / 2
        self._due[peer] = now + wait_s
        return wait_s

    def lasted(self, peer: PeerId) -> None:
        """Note that a connection has lasted for LASTS_S seconds: the next is dialled at once when it ends."""
        self._dials.pop(peer, None)
        self._due.pop(peer, None)

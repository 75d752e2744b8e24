"""When to dial a peer again that could not be reached: each time after twice the time of before, up to half a minute.

Time and chance are parameters.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from verifier.peer_id import PeerId

FIRST_S: Final = 1.0
LONGEST_S: Final = 30.0


@dataclass(slots=True)
class DialPlan:
    """The peers that ought to be connected, and when each may be dialled next."""

    _failures: dict[PeerId, int] = field(default_factory=dict)
    _due: dict[PeerId, float] = field(default_factory=dict)

    def is_due(self, peer: PeerId, now: float) -> bool:
        """Tell whether a peer may be dialled."""
        return now >= self._due.get(peer, now)

    def failed(self, peer: PeerId, now: float, chance: float) -> float:
        """Note that a dial failed; return the seconds until the next.

        chance: in [0, 1), spreads the dials of many nodes.
        """
        failures = self._failures[peer] = self._failures.get(peer, 0) + 1
        longest = min(FIRST_S * 2.0 ** (failures - 1), LONGEST_S)
        wait_s = longest * (1 + chance) / 2
        self._due[peer] = now + wait_s
        return wait_s

    def succeeded(self, peer: PeerId) -> None:
        """Note that the peer was reached."""
        self._failures.pop(peer, None)
        self._due.pop(peer, None)

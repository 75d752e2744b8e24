"""What a transport holds against a peer: points that fade, and a ban when there are too many.

Only what a peer certainly did counts, and what honest peers do under load counts little: a ban needs one broken rule or
a flood. Time is a parameter, in seconds of any clock that does not go back.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from verifier.peer_id import PeerId

BAN_AT: Final = 100.0
BAN_S: Final = 600.0
"""Long enough that coming back does not pay, short enough that a mistake of ours mends itself."""
HALF_LIFE_S: Final = 60.0
"""In which points fade to half."""
MAX_PEERS: Final = 4096
"""Remembered; of more, those with the fewest points are forgotten."""


class Offence(IntEnum):
    """Points."""

    BROKE_RULES = 100
    """Malformed, forged, or other bytes than were asked for."""
    STALLED = 10
    """Stopped in the middle of a message."""
    TOO_MUCH = 1
    """One message or stream beyond a bound."""


@dataclass(slots=True)
class _Standing:
    points: float = 0.0
    at: float = 0.0
    banned_until: float = float("-inf")


class PeerScores:
    """The standing of peers."""

    def __init__(self) -> None:
        self._standings: dict[PeerId, _Standing] = {}

    def add(self, peer: PeerId, offence: Offence, now: float) -> bool:
        """Count an offence; return True if the peer is banned by it."""
        standing = self._standings.setdefault(peer, _Standing())
        standing.points = _faded(standing, now) + offence
        standing.at = now
        if standing.points < BAN_AT:
            self._forget_some(now)
            return False
        standing.points = 0.0
        standing.banned_until = now + BAN_S
        self._forget_some(now)
        return True

    def is_banned(self, peer: PeerId, now: float) -> bool:
        """Tell whether a peer is banned."""
        standing = self._standings.get(peer)
        return standing is not None and now < standing.banned_until

    def _forget_some(self, now: float) -> None:
        if len(self._standings) > MAX_PEERS:
            by_weight = sorted(self._standings, key=lambda peer: _weight(self._standings[peer], now))
            for peer in by_weight[: MAX_PEERS // 4]:
                del self._standings[peer]


def _faded(standing: _Standing, now: float) -> float:
    return float(standing.points * 0.5 ** ((now - standing.at) / HALF_LIFE_S))


def _weight(standing: _Standing, now: float) -> tuple[float, float]:
    return (max(standing.banned_until - now, 0.0), _faded(standing, now))

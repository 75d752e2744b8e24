"""When peers last broke the rules, so that one that goes on and on is hung up on. In memory; bounded."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from verifier.model import PeerId

MAX_OFFENCES: Final = 100
"""Of one peer within OFFENCES_S, above which it is hung up on for a while."""
OFFENCES_S: Final = 60.0
MAX_OFFENDERS: Final = 1_000


class Offences:
    """Times of offences by peer, the peer that offended last at the end."""

    def __init__(self) -> None:
        """Know of none."""
        self._times: OrderedDict[PeerId, list[float]] = OrderedDict()

    def are_too_many(self, peer: PeerId, *, now: float) -> bool:
        """Note one more, and tell whether that is one too many; now: seconds by any clock that goes on."""
        times = [at for at in self._times.pop(peer, []) if now - at < OFFENCES_S]
        self._times[peer] = [*times, now][-MAX_OFFENCES:]
        if len(self._times) > MAX_OFFENDERS:
            self._times.popitem(last=False)
        return len(times) >= MAX_OFFENCES - 1

    def forget(self, peer: PeerId) -> None:
        """Let a peer begin anew."""
        del self._times[peer]

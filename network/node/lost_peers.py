"""Nodes that a requester waits for and cannot reach: after some time it is told, and waits for them no longer.

A process that is killed, a machine that is switched off, a cable that is cut: without this each of its tasks would wait
for the deadline of an execution, which may be hours. A node that comes back in time has lost nothing, since it begins
again what it was assigned. A machine that vanishes without closing its connections is noticed when the transport does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from verifier.model import PeerId

LOST_AFTER_S: Final = 10.0
"""Of trying to reach it: a node that is restarted is back by then."""
LOOK_EVERY_S: Final = 1.0


class LostPeers:
    """Looks after the nodes that are awaited, for as long as it runs."""

    def __init__(
        self,
        *,
        awaited: Callable[[], frozenset[PeerId]],
        reach: Callable[[PeerId], Awaitable[bool]],
        lose: Callable[[PeerId], None],
    ) -> None:
        """Make it. awaited: nodes that somebody waits for now; reach: connects to one if that is possible now, and
        tells whether it is connected; lose: called once each time that one could not be reached for long.
        """
        self._awaited = awaited
        self._reach = reach
        self._lose = lose
        self._tried: set[PeerId] = set()

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                for peer in self._awaited() - self._tried:
                    self._tried.add(peer)
                    nursery.start_soon(self._try, peer)
                await trio.sleep(LOOK_EVERY_S)

    async def _try(self, peer: PeerId) -> None:
        """Try to reach one for as long as it is awaited."""
        try:
            with trio.move_on_after(LOST_AFTER_S):
                while peer in self._awaited():
                    if await self._reach(peer):
                        return
                    await trio.sleep(LOOK_EVERY_S)
                return
            self._lose(peer)
        finally:
            self._tried.discard(peer)

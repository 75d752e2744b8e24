"""Blocks from a connected peer, for `storage.dag_fetch`: threads ask, the node's loop fetches.

What arrives was checked against its CID by the transport. How much may arrive is bounded here, because a DAG says
nothing of its size before it is walked.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from threading import Lock
from typing import Final

import trio

from network.transport import MAX_CIDS, FetchedBlocks, Transport
from storage.block_source import BlockAbsentError, BlockStream
from storage.cid import CID, cid_text, inline_data
from storage.dag_walk import links_of
from storage.errors import UnavailableError
from verifier.model import PeerId

FETCH_S: Final = 30.0
"""For one answer, of up to 4 MiB."""


class PeerSource:
    """A `BlockSource`: what one peer has. Made in the node's loop, used by threads, which it outlives."""

    def __init__(self, transport: Transport, peer: PeerId, *, max_bytes: int, max_s: float) -> None:
        """Make a source that gives at most `max_bytes` in its life, and is asked for `max_s` from now on.

        A peer may be in time with every answer and give one block with each: that must not go on for ever.
        """
        self._transport = transport
        self._peer = peer
        self._left = max_bytes
        self._until = trio.current_time() + max_s
        self._is_closed = False
        self._lock = Lock()
        self._token = trio.lowlevel.current_trio_token()

    @property
    def name(self) -> str:
        """Who it is."""
        return self._peer

    def block(self, cid: CID) -> bytes:
        """Return one block, checked."""
        data = self._fetch([cid]).blocks.get(cid)
        if data is None:
            raise BlockAbsentError("peer does not have the block", where=cid_text(cid))
        return data

    def dag(self, root: CID) -> BlockStream:
        """Yield the blocks below `root`, many in one question; ends at what the peer does not have."""
        return self.dags([root], lambda _: False)

    def dags(self, roots: Iterable[CID], is_here: Callable[[CID], bool]) -> BlockStream:
        """Yield the blocks below several roots, as `dag`, without those that are here and what is below them."""
        wanted = dict.fromkeys(roots)
        seen = set(wanted)
        while wanted:
            some = list(wanted)[-MAX_CIDS:]  # the last ones found: a DAG is descended, and not flooded
            answer = self._fetch(some)
            if not answer.blocks:
                return
            for cid, data in answer.blocks.items():
                wanted.pop(cid, None)
                for link in links_of(cid, data):
                    if link not in seen and inline_data(link) is None:
                        seen.add(link)
                        if not is_here(link):
                            wanted[link] = None
                yield cid, data
            for cid in answer.absent:
                wanted.pop(cid, None)

    def close(self) -> None:
        """Ask no more; what was asked is waited for. The connection is the node's."""
        self._is_closed = True

    def _fetch(self, cids: Sequence[CID]) -> FetchedBlocks:
        if self._left <= 0:
            raise UnavailableError("is larger than this node takes", where=cid_text(cids[0]))

        if self._is_closed:
            raise UnavailableError("is not wanted any more", where=cid_text(cids[0]))

        async def fetch() -> FetchedBlocks:
            if trio.current_time() >= self._until:
                raise UnavailableError("did not come in time", where=cid_text(cids[0]))
            return await self._transport.fetch_blocks(self._peer, cids, deadline_s=FETCH_S)

        answer = in_loop(self._token, fetch)
        with self._lock:
            self._left -= sum(map(len, answer.blocks.values()))
        return answer


def in_loop(token: trio.lowlevel.TrioToken, ask: Callable[[], Awaitable[FetchedBlocks]]) -> FetchedBlocks:
    """Run an async function in the node's loop, for a thread that waits.

    Raises:
        UnavailableError: the node is ending.
    """
    try:
        return trio.from_thread.run(ask, trio_token=token)
    except (trio.RunFinishedError, trio.Cancelled) as error:
        raise UnavailableError("the node is ending") from error

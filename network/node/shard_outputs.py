"""Outputs of shards on their way to the requester: many in one question, while other shards still run.

What does not come this way is fetched when all shards have ended, one by one and with patience (`settlement`); so
nothing here is tried twice, and nothing of it is kept but blocks.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import trio

from network.node.peer_source import PeerSource
from storage.blocks import BatchingBlockStore
from storage.cid import CID
from storage.errors import BacalhauError
from storage.sqlite_block_store import SqliteBlockStore
from storage.sqlite_pins import hold_all
from verifier.model import PeerId

AT_ONCE: Final = 2
"""Questions to peers that are under way."""
MANY: Final = 64
"""Outputs that are asked for together."""
LINGER_S: Final = 1.0
"""For which outputs are collected before a question; what is left when all shards have ended does not wait."""
log = logging.getLogger(__name__)


class PeerSources(Protocol):
    """Finds who may have an output."""

    def __call__(self, first: Sequence[PeerId]) -> Sequence[PeerSource]:
        """Return sources, those of `first` before all others. Called in the node's loop."""
        ...


@dataclass(slots=True, kw_only=True)
class ShardOutputs:
    """What is wanted, the oldest first."""

    store: SqliteBlockStore
    sources: PeerSources
    nursery: trio.Nursery
    _wanted: OrderedDict[CID, tuple[PeerId, ...]] = field(default_factory=OrderedDict)
    _workers: int = 0

    def want(self, output: CID, nodes: Sequence[PeerId]) -> None:
        """Bring an output here soon, from the nodes that agreed on it."""
        self._wanted[output] = tuple(nodes)
        if self._workers < AT_ONCE:
            self._workers += 1
            self.nursery.start_soon(self._work)

    async def _work(self) -> None:
        try:
            while self._wanted:
                if len(self._wanted) < MANY:
                    await trio.sleep(LINGER_S)
                some = [self._wanted.popitem(last=False) for _ in range(min(MANY, len(self._wanted)))]
                nodes = list(dict.fromkeys(node for _, each in some for node in each))
                try:
                    await self.bring([output for output, _ in some], nodes)
                except BacalhauError as error:
                    log.info("outputs of %d shards are not here yet: %s", len(some), error)
                except Exception:  # they are sought again at the end
                    log.exception("outputs of %d shards", len(some))
        finally:
            self._workers -= 1

    async def bring(self, outputs: Sequence[CID], nodes: Sequence[PeerId]) -> None:
        """Ask nodes in turn for what lacks of some outputs.

        Raises:
            UnavailableError: the store cannot be written.
        """
        sources = self.sources(nodes)
        await trio.to_thread.run_sync(self._bring, outputs, sources, abandon_on_cancel=True)

    def _bring(self, outputs: Sequence[CID], sources: Iterable[PeerSource]) -> None:
        missing = [output for output in outputs if not self.store.has(output)]
        for source in sources:
            if not missing:
                break
            batch = BatchingBlockStore(self.store)
            try:
                for cid, data in source.dags(missing, batch.has):
                    batch.put(cid, data)
            except BacalhauError as error:
                log.info("%s gives no outputs: %s", source.name, error)
            batch.flush()
            missing = [output for output in missing if not self.store.has(output)]


def held(store: SqliteBlockStore, outputs: Sequence[CID], each: Callable[[CID], bool]) -> list[CID]:
    """Hold outputs, and return those that are not whole here. each: holds one alone, and tells whether it is whole."""
    try:
        hold_all(store, outputs)
    except BacalhauError:
        return [output for output in outputs if not each(output)]
    return []

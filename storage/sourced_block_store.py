"""A store that asks sources for what it lacks, block by block: to follow a path into a DAG of which little is here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from storage.block_source import BlockAbsentError, BlockSource, nobody_gives
from storage.blocks import BlockStore
from storage.cid import CID
from storage.errors import BacalhauError, PeerError, UnavailableError, VerificationError


class SourcedBlockStore:
    """Reads through to `store`, then to the sources in turn; what comes is checked and kept. For one thread."""

    def __init__(self, store: BlockStore, sources: Callable[[], Sequence[BlockSource]]) -> None:
        """Ask nobody yet. sources: called when a block is missing for the first time."""
        self._store = store
        self._sources = sources
        self._given_up: dict[str, BacalhauError] = {}
        self.blocks = 0
        """That came."""
        self.size = 0
        """Bytes of them."""

    @property
    def faults(self) -> tuple[BacalhauError, ...]:
        """Why sources were given up: they are out of reach, or lied."""
        return tuple(self._given_up.values())

    def get(self, cid: CID) -> bytes:
        """Return the block, checked, from here or from the first source that has it.

        Raises:
            UnavailableError: nobody has it.
            PeerError: the only source lies.
            VerificationError: it is damaged here, and no source is named.
        """
        try:
            return self._store.get(cid)
        except UnavailableError as error:
            if not self._sources():
                raise nobody_gives(error.problem, cid, ()) from error
        except VerificationError:
            if not self._sources():
                raise
        data = self._asked(cid)
        self._store.put(cid, data)
        self.blocks += 1
        self.size += len(data)
        return data

    def has(self, cid: CID) -> bool:
        """Tell whether the block is here already."""
        return self._store.has(cid)

    def put(self, cid: CID, data: bytes) -> None:
        """Keep one block here."""
        self._store.put(cid, data)

    def put_many(self, blocks: Iterable[tuple[CID, bytes]]) -> None:
        """Keep many blocks here."""
        self._store.put_many(blocks)

    def _asked(self, cid: CID) -> bytes:
        absent: list[BacalhauError] = []
        for source in self._sources():
            if source.name in self._given_up:
                continue
            try:
                return source.block(cid)
            except BlockAbsentError as error:
                absent.append(error)
            except (UnavailableError, PeerError) as error:
                self._given_up[source.name] = error
        raise nobody_gives("no source gave it", cid, [*self._given_up.values(), *absent])

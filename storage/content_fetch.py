"""From a CID, or a path below one, to a DAG that is whole in the store: what is not here comes from named sources.

However many processes of this machine ask for the same at the same time, it is downloaded once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from storage import file_lock
from storage.block_source import BlockSource
from storage.blocks import BlockStore, OverlayBlockStore
from storage.cid import CID, cid_text
from storage.dag_fetch import Fetched, fetch_dag
from storage.errors import BacalhauError, UnavailableError
from storage.ipld_path import content_at
from storage.sourced_block_store import SourcedBlockStore

_LOCKS: Final = "fetches"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Where a path leads."""

    cid: CID
    blocks: int
    """That came from sources to find it out; they are in the store, and nothing needs them."""
    size: int
    """Bytes of them."""
    faults: tuple[BacalhauError, ...]
    """Why sources were given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentFetcher:
    """Fetches into `store`."""

    store: BlockStore
    sources: Callable[[], Sequence[BlockSource]]
    """Asked in turn; called only when something is missing."""
    cache_dir: Path
    """Where locks are made; whoever fetches into the same store names the same."""
    progress: Callable[[str], None]
    """Told a phrase when a step begins."""
    max_bytes: int | None = None
    """Of all that comes for one DAG; None for no bound."""

    def find(self, root: CID, path: str) -> Found:
        """Follow a path below `root`, asking for the blocks on the way that are not here, and for no others.

        Raises:
            UserError: it leads nowhere, as `ipld_path.content_at` says.
            UnavailableError: a block on the way is not to be had, or no lock can be made.
            PeerError: the only source lies.
            VerificationError: a block on the way is malformed.
        """
        through = SourcedBlockStore(self.store, self.sources)
        if not path.strip("/"):
            return Found(cid=root, blocks=0, size=0, faults=())
        with self._alone(root):
            cid = content_at(through, root, path)
        return Found(cid=cid, blocks=through.blocks, size=through.size, faults=through.faults)

    def look(self, cid: CID) -> OverlayBlockStore:
        """Return the store with the block of `cid` in it, so that one can tell what it is before it is fetched.

        A block that is not here is kept in memory alone: a DAG of which nothing is here comes as one CAR.

        Raises:
            UnavailableError, PeerError, VerificationError: as `find` does.
        """
        seen = OverlayBlockStore(self.store)
        SourcedBlockStore(seen, self.sources).get(cid)
        return seen

    def fetch(self, cid: CID) -> Fetched:
        """Bring everything below a CID here; a second process waits for the first, and finds it here then.

        Raises:
            UserError: it is larger than is allowed.
            UnavailableError, PeerError, VerificationError: as `fetch_dag` does; or no lock can be made.
        """
        with self._alone(cid):
            return fetch_dag(self.store, cid, self.sources(), step=self.progress, max_bytes=self.max_bytes)

    @contextmanager
    def _alone(self, cid: CID) -> Iterator[None]:
        path = self.cache_dir / _LOCKS / f"{cid_text(cid)}.lock"
        with ExitStack() as held:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                waiting = "another process fetches it: waiting"
                held.enter_context(file_lock.hold(path, lambda: self.progress(waiting)))
            except OSError as error:
                reason = (error.strerror or str(error)).lower()
                raise UnavailableError(f"cannot be made: {reason}", where=str(path), fix="check free space") from error
            yield

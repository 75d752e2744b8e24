"""Bring a whole DAG here from sources that are not trusted, asking for each block that is missing and for no other.

What is here is walked first. While little of the DAG is found here it is asked for as one CAR; from then on block by
block, several at once, so that what is here does not travel again. Every block that arrives is checked and kept even if
the rest does not come: the next try goes on from there. Done means walked to the last link.

The caller keeps two processes from fetching the same DAG at the same time (`file_lock`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from typing import Final

from storage.block_source import BlockAbsentError, BlockSource, nobody_gives
from storage.blocks import BlockStore
from storage.cid import CID, cid_text, inline_data
from storage.dag_walk import VisitKey, links_of, visit_key
from storage.errors import BacalhauError, PeerError, UnavailableError, UserError, VerificationError
from storage.unixfs_write import BlockBatch

AT_ONCE: Final = 8
"""Blocks asked for at the same time: hides the way there and back, and bounds memory to 64 MiB."""
SWITCH_BYTES: Final = 64 << 10
"""Of the DAG found here, above which blocks are asked for singly: an empty file alone must not slow a fetch."""
MAX_STRAY_BYTES: Final = 64 << 20
"""Of a CAR that is not wanted (blocks sent twice, other DAGs), after which the rest of it is not read."""

Step = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """How a DAG came here."""

    blocks: int
    """That arrived; those that were here are not counted."""
    size: int
    """Bytes of them."""
    givers: tuple[str, ...]
    """Names of the sources they came from, in their order."""
    faults: tuple[BacalhauError, ...]
    """Why sources were given up, in their order, although the DAG is here."""


def fetch_dag(
    store: BlockStore,
    root: CID,
    sources: Sequence[BlockSource],
    *,
    step: Step | None = None,
    max_bytes: int | None = None,
    known: Collection[CID] = (),
) -> Fetched:
    """Bring the DAG below `root` into the store, from the first source that has it, or from several in turn.

    step: told about progress, in words. max_bytes: of all blocks that come; None for no bound. known: roots of what is
    here and stays: below these nothing is looked at.

    Raises:
        UserError: more than `max_bytes` would come. What came is kept.
        UnavailableError: blocks are missing; the message says of each source why. What came is kept.
        PeerError: the only source lies.
        VerificationError: a block is what its CID says, and malformed: nobody can give a better one.
    """
    missing = _Missing(store, root, step or _silent, max_bytes, known)
    missing.look_for(root)
    givers: list[str] = []
    faults: list[BacalhauError] = []
    for source in sources:
        if not missing.wanted:
            break
        before = missing.blocks
        try:
            missing.pull(source, root)
        except (UnavailableError, PeerError) as error:
            faults.append(error)
        if missing.blocks > before:
            givers.append(source.name)
    if missing.wanted:
        raise nobody_gives(f"{len(missing.wanted)} of its blocks are not here and linked to", root, faults)
    return Fetched(blocks=missing.blocks, size=missing.size, givers=tuple(givers), faults=tuple(faults))


class _Missing:
    """What is known of a DAG: which blocks were seen, and which of those are not here."""

    def __init__(self, store: BlockStore, root: CID, step: Step, max_bytes: int | None, known: Collection[CID]) -> None:
        self._store = store
        self._known = known
        self._root = root
        self._batch = BlockBatch(store)
        self._step = step
        self._max_bytes = max_bytes
        self._seen: set[VisitKey] = set()
        self._found_bytes = 0
        self._told_bytes = 0
        self.wanted: dict[VisitKey, CID] = {}
        self.blocks = 0
        self.size = 0

    def look_for(self, cid: CID) -> None:
        """Walk down from `cid` through what is here; note what is not."""
        todo = [cid]
        while todo:
            cid = todo.pop()
            key = visit_key(cid)
            if key in self._seen or cid in self._known:
                continue
            self._seen.add(key)
            data = self._here(cid)
            if data is None:
                self.wanted[key] = cid
            else:
                todo.extend(reversed(links_of(cid, data)))

    def pull(self, source: BlockSource, root: CID) -> None:
        """Take what is wanted from one source, as far as it goes.

        Raises:
            UnavailableError, PeerError: it did not give everything. What it gave is in the store.
        """
        self._step(f"fetching from {source.name}")
        with _kept(self._batch):
            if visit_key(root) in self.wanted:
                # A CAR that breaks off may do so for one block; asking for that one tells more.
                with suppress(UnavailableError):
                    self._pull_car(source, root)
            self._pull_blocks(source)

    def _pull_car(self, source: BlockSource, root: CID) -> None:
        stray = 0
        stream = source.dag(root)
        with closing(stream):
            for cid, data in stream:
                if visit_key(cid) in self.wanted:
                    self._arrived(cid, data)
                else:
                    stray += len(data) + len(cid)
                if not self.wanted or self._found_bytes > SWITCH_BYTES or stray > MAX_STRAY_BYTES:
                    return

    def _pull_blocks(self, source: BlockSource) -> None:
        absent: dict[VisitKey, BlockAbsentError] = {}
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="fetch") as threads:
            while some := self._next(absent):
                for cid, data in zip(some, threads.map(lambda cid: _ask(source, cid), some), strict=True):
                    if isinstance(data, BlockAbsentError):
                        absent[visit_key(cid)] = data
                    else:
                        self._arrived(cid, data)
        if absent:
            raise next(iter(absent.values()))

    def _next(self, absent: dict[VisitKey, BlockAbsentError]) -> list[CID]:
        """Return the next few to ask for: the last ones found, so that a DAG is descended and not flooded."""
        return list(islice((self.wanted[key] for key in reversed(self.wanted) if key not in absent), AT_ONCE))

    def _arrived(self, cid: CID, data: bytes) -> None:
        links = links_of(cid, data)
        if self._max_bytes is not None and self.size + len(data) > self._max_bytes:
            problem = f"has more than the {self._max_bytes} bytes allowed"
            raise UserError(problem, where=cid_text(self._root), fix="raise --url-limit")
        self._batch.add(cid, data)
        del self.wanted[visit_key(cid)]
        self.blocks += 1
        self.size += len(data)
        for link in links:
            self.look_for(link)
        if self.size - self._told_bytes >= MAX_STRAY_BYTES:
            self._told_bytes = self.size
            self._step(f"fetched {self.size >> 20} MiB")

    def _here(self, cid: CID) -> bytes | None:
        """Return a block of this store; one that is damaged is as good as missing, and will be put right."""
        inline = inline_data(cid)
        if inline is not None:
            return inline
        if not self._store.has(cid):
            return None
        try:
            data = self._store.get(cid)
        except VerificationError:
            return None
        self._found_bytes += len(data)
        return data


@contextmanager
def _kept(batch: BlockBatch) -> Iterator[None]:
    """Hold a batch open, and hand over what is in it after an error too: it is checked, and worth keeping."""
    error: BaseException | None = None
    with batch.open():
        try:
            yield
        except BaseException as raised:  # noqa: BLE001  raised again below
            error = raised
    if error is not None:
        raise error


def _ask(source: BlockSource, cid: CID) -> bytes | BlockAbsentError:
    try:
        return source.block(cid)
    except BlockAbsentError as error:
        return error


def _silent(_phrase: str) -> None:
    return

"""Make UnixFS nodes and hand their blocks to a store in batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from storage.blocks import BlockStore
from storage.cid import CID, DAG_PB, RAW, cid_text, make_cid
from storage.dag_pb import Link, encode_node
from storage.errors import VerificationError
from storage.hamt import FANOUT, MURMUR3_X64_64, bitfield_of, hash_name, prefix_of, slot_of
from storage.unixfs_names import check_name
from storage.unixfs_node import NodeType, UnixfsNode, encode_unixfs
from storage.unixfs_profile import Profile, ShardEstimate

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

BATCH_BYTES: Final = 8 << 20
"""Blocks per transaction: where the store's speed levels off."""
BATCH_BLOCKS: Final = 16384
"""The same bound for tiny blocks."""
MAX_TSIZE: Final = 1 << 63
"""Cumulative sizes are less: what a link can say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A finished DAG, ready to be linked."""

    cid: CID
    size: int
    """Bytes of content: of the file, of the symlink's target, or of everything in the directory."""
    tsize: int
    """Bytes of all its blocks, counted once per link as DAG-PB wants it."""


class BlockBatch:
    """Blocks on their way to a store: at most about 8 MiB held back, and as much being put.

    A full batch is put by a thread of its own while the next one is made, so that reading and hashing do not wait for
    the disk. Batches are put in their order, and none after one that failed. Not for several threads at once.
    """

    def __init__(self, store: BlockStore) -> None:
        self._store = store
        self._held: dict[CID, bytes] = {}
        self._held_bytes = 0
        self._depth = 0
        self._thread: ThreadPoolExecutor | None = None
        """Only while it is needed: most imports are smaller than a batch."""
        self._putting: Future[None] | None = None

    def open(self) -> Self:
        """Return this, to be entered: blocks are held back inside; when the outermost is left, all of them are put.

        After an error the last ones are dropped.
        """
        return self

    def add(self, cid: CID, data: bytes) -> None:
        """Take one block; only inside `open`. Raises what putting an earlier batch raised."""
        if self._depth == 0:
            raise RuntimeError("blocks are added inside an open batch")
        if cid in self._held:
            return
        self._held[cid] = data
        self._held_bytes += len(data)
        if self._held_bytes >= BATCH_BYTES or len(self._held) >= BATCH_BLOCKS:
            self._put_beside()

    def __enter__(self) -> Self:
        self._depth += 1
        return self

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, _traceback: object) -> None:
        self._depth -= 1
        if self._depth:
            return
        try:
            if error is None:
                self._wait()
                if self._held:
                    self._store.put_many(self._held.items())
        finally:
            self._clear()
            self._putting = None
            if self._thread is not None:
                self._thread.shutdown()  # waits for what is being put
                self._thread = None

    def _put_beside(self) -> None:
        self._wait()
        if self._thread is None:
            from concurrent.futures import ThreadPoolExecutor  # most who import this never need it

            self._thread = ThreadPoolExecutor(1, thread_name_prefix="blocks")
        self._putting = self._thread.submit(self._store.put_many, self._held.items())
        self._clear()

    def _wait(self) -> None:
        """Wait until the last full batch has been put.

        Raises:
            what `put_many` raised.
        """
        putting, self._putting = self._putting, None
        if putting is not None:
            putting.result()

    def _clear(self) -> None:
        self._held = {}
        self._held_bytes = 0


class NodeWriter:
    """Makes the nodes of one profile and adds their blocks to a batch."""

    def __init__(self, batch: BlockBatch, profile: Profile) -> None:
        self._batch = batch
        self._profile = profile

    def leaf(self, data: bytes) -> Entry:
        """Make the leaf for one chunk of a file."""
        if not self._profile.raw_leaves:
            content = data or None
            return self._node([], UnixfsNode(type=NodeType.FILE, data=content, filesize=len(data)), len(data))
        cid, size = make_cid(RAW, data), len(data)
        self._batch.add(cid, data)
        return Entry(cid=cid, size=size, tsize=size)

    def parent(self, children: Sequence[Entry]) -> Entry:
        """Make the file node above consecutive parts of a file."""
        size = sum(child.size for child in children)
        links = [Link(cid=child.cid, tsize=child.tsize) for child in children]
        sizes = tuple(child.size for child in children)
        return self._node(links, UnixfsNode(type=NodeType.FILE, filesize=size, blocksizes=sizes), size)

    def symlink(self, target: str) -> Entry:
        """Make a symlink."""
        data = target.encode("utf-8")
        return self._node([], UnixfsNode(type=NodeType.SYMLINK, data=data), len(data))

    def directory(self, entries: Mapping[str, Entry]) -> Entry:
        """Make a directory: one block, or a HAMT above the profile's threshold.

        Raises:
            VerificationError: an unsafe name (`unixfs_names.check_name`), or sizes whose sum cannot be.
        """
        links = [
            Link(cid=entry.cid, name=check_name(name).encode("utf-8"), tsize=entry.tsize)
            for name, entry in entries.items()
        ]
        size = sum(entry.size for entry in entries.values())
        fs = UnixfsNode(type=NodeType.DIRECTORY)
        block = encode_node(links, encode_unixfs(fs))
        if self._profile.shard_estimate is ShardEstimate.LINKS_BYTES:
            estimate = sum(len(link.name) + len(link.cid) for link in links)
        else:
            estimate = len(block)
        if estimate > self._profile.shard_threshold_bytes:
            return self._shard([(hash_name(link.name), link) for link in links], 0, size)
        return self._made(links, block, size)

    def _shard(self, items: Sequence[tuple[int, Link]], depth: int, size: int) -> Entry:
        slots: dict[int, list[tuple[int, Link]]] = {}
        for hashed, link in items:
            slots.setdefault(slot_of(hashed, depth), []).append((hashed, link))
        links = [self._slot_link(index, slot, depth) for index, slot in slots.items()]
        bits = bitfield_of(sorted(slots))
        fs = UnixfsNode(type=NodeType.SHARD, data=bits, hash_type=MURMUR3_X64_64, fanout=FANOUT)
        return self._node(links, fs, size)

    def _slot_link(self, index: int, slot: Sequence[tuple[int, Link]], depth: int) -> Link:
        """Link the only name of a slot directly, several through a shard below."""
        prefix = prefix_of(index)
        if len(slot) == 1:
            link = slot[0][1]
            return Link(cid=link.cid, name=prefix + link.name, tsize=link.tsize)
        below = self._shard(slot, depth + 1, 0)
        return Link(cid=below.cid, name=prefix, tsize=below.tsize)

    def _node(self, links: Sequence[Link], fs: UnixfsNode, size: int) -> Entry:
        return self._made(links, encode_node(links, encode_unixfs(fs)), size)

    def _made(self, links: Sequence[Link], block: bytes, size: int) -> Entry:
        cid = make_cid(DAG_PB, block)
        if self._profile.cid_version == 0:
            cid = CID(cid[2:])  # a CIDv0 is the bare multihash
        tsize = len(block) + sum(link.tsize for link in links)
        if tsize >= MAX_TSIZE:  # links into what others made say what they like
            raise VerificationError("claims more bytes than there can be", where=cid_text(cid))
        self._batch.add(cid, block)
        return Entry(cid=cid, size=size, tsize=tsize)

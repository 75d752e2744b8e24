"""Which blocks answer a gateway request: those that prove a path, and those of the chosen scope at its end.

Depth first, parents before children, each once or as often as it is met, identity CIDs never. Reads only what it
yields; memory is one node a level and the keys of what was yielded. Few blocks can stand for a DAG of 2**60: where each
is wanted once, none is entered twice; where all repeats are wanted, there is a bound.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from storage import hamt
from storage.blocks import BlockStore
from storage.cid import CID, DAG_PB, cid_text, codec_of, inline_data
from storage.dag_walk import VisitKey, links_of, visit_key, walk
from storage.errors import UnavailableError, VerificationError
from storage.gateway_request import ByteRange, Scope
from storage.ipld_path import Followed
from storage.unixfs_file import FILE_TYPES, MAX_FILE_DEPTH
from storage.unixfs_load import DagNode, NodeLoader
from storage.unixfs_node import NodeType

MAX_REPEATED_BYTES: Final = 1 << 30
"""Of blocks that are sent again in one answer, their CIDs counted."""


def answer_blocks(
    store: BlockStore, found: Followed, scope: Scope, span: ByteRange | None, *, repeats: bool = False
) -> Iterator[tuple[CID, bytes]]:
    """Yield the blocks of an answer; repeats: each as often as it is met, not once.

    Raises:
        UnavailableError: one is not here, or there are too many repeats.
        VerificationError: one is malformed.
    """
    seen: set[VisitKey] = set()
    repeated_bytes = 0
    for cid, data in _met(store, found, scope, span, repeats=repeats):
        if inline_data(cid) is not None:
            continue
        if visit_key(cid) in seen:
            if not repeats:
                continue
            repeated_bytes += len(data) + len(cid)
            if repeated_bytes > MAX_REPEATED_BYTES:
                problem, fix = f"repeats more than {MAX_REPEATED_BYTES} bytes of blocks", "ask for each block once"
                raise UnavailableError(problem, where=cid_text(found.end), fix=fix)
        seen.add(visit_key(cid))
        yield cid, data


def _met(
    store: BlockStore, found: Followed, scope: Scope, span: ByteRange | None, *, repeats: bool
) -> Iterator[tuple[CID, bytes]]:
    for cid in found.proof:
        yield cid, store.get(cid)
    if scope is Scope.ALL:
        yield from _walk_again(store, found.end) if repeats else walk(store, found.end)
    elif scope is Scope.ENTITY and codec_of(found.end) == DAG_PB:
        yield from _entity(store, found.end, span, repeats=repeats)
    else:
        yield found.end, store.get(found.end)


def _walk_again(store: BlockStore, root: CID) -> Iterator[tuple[CID, bytes]]:
    """Yield what `walk` does, as often as it is met; that may be for ever, so whoever reads this bounds it."""
    todo = [root]
    while todo:
        cid = todo.pop()
        data = store.get(cid)
        yield cid, data
        todo.extend(reversed(links_of(cid, data)))


def _entity(store: BlockStore, cid: CID, span: ByteRange | None, *, repeats: bool) -> Iterator[tuple[CID, bytes]]:
    loader = NodeLoader(store)
    node = loader.node(cid)
    if node.fs.type is NodeType.SHARD:
        yield from _shards(store, loader, cid, repeats=repeats)
    elif node.fs.type in FILE_TYPES:
        yield from _file(store, loader, cid, *_inside(span, node.size), repeats=repeats)
    else:
        yield cid, store.get(cid)


def _shards(store: BlockStore, loader: NodeLoader, root: CID, *, repeats: bool) -> Iterator[tuple[CID, bytes]]:
    """Yield a sharded directory's own blocks. Only shards are entered, so it ends where hashes do."""
    todo = [(root, 0)]
    entered: set[CID] = set()
    while todo:
        cid, depth = todo.pop()
        if cid in entered and not repeats:
            continue
        entered.add(cid)
        yield cid, store.get(cid)
        below = [slot.link.cid for slot in hamt.shard_slots(cid, loader.node(cid)) if not slot.link.name]
        if below and depth >= hamt.MAX_SHARD_DEPTH:
            raise VerificationError("sharded directory is too deep", where=cid_text(cid))
        todo.extend((link, depth + 1) for link in reversed(below))


def _file(
    store: BlockStore, loader: NodeLoader, root: CID, first: int, last: int, *, repeats: bool
) -> Iterator[tuple[CID, bytes]]:
    """Yield the blocks of a file that hold bytes `first` to `last`, and those above them; the root in any case."""
    todo = [(root, 0, 0)]
    entered: set[CID] = set()
    """Those of which all is wanted: what lies at an end of the range may be met again as a whole."""
    while todo:
        cid, start, depth = todo.pop()
        if cid in entered and not repeats:
            continue
        yield cid, store.get(cid)
        if codec_of(cid) != DAG_PB:
            entered.add(cid)
            continue
        if depth >= MAX_FILE_DEPTH:
            raise VerificationError(f"file tree is more than {MAX_FILE_DEPTH} levels deep", where=cid_text(root))
        node = loader.node(cid)
        if first <= start and start + node.size - 1 <= last:
            entered.add(cid)
        parts = _parts(node, start)
        todo.extend((link, at, depth + 1) for link, at, end in reversed(parts) if at <= last and end > first)


def _parts(node: DagNode, start: int) -> list[tuple[CID, int, int]]:
    """Return for each link of a file node where its bytes begin and end in the file."""
    begins = (len(node.inline), *node.ends)
    return [(link.cid, start + begins[n], start + begins[n + 1]) for n, link in enumerate(node.links)]


def _inside(span: ByteRange | None, size: int) -> tuple[int, int]:
    """Return the first and last byte of a range within a file of `size` bytes; last < first if there is none."""
    if span is None:
        return 0, size - 1
    first = span.first if span.first >= 0 else max(0, size + span.first)
    last = size - 1 if span.last is None else span.last if span.last >= 0 else size + span.last
    return first, min(last, size - 1)

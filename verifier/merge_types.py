"""What a job over shards gave, as a statement: this output is the merge of what these records gave.

Nobody executed a merge, so nobody can sign for it, and it is no record. Anybody who has the outputs can make it again
(`verifier.shard_merge`), so nobody has to: a statement is true if the merge gives the output that it names, and its
records say whether their outputs are to be believed. `docs/audit.md` says how it is checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Annotated, ClassVar, Final

from storage.blocks import BlockStore
from storage.cid import CID, cid_text
from storage.errors import VerificationError
from verifier.bounds import Count, Link, at_most
from verifier.model import load_node, store_node
from verifier.schema import Schema

PART_SHARDS: Final = 4096
"""Shards of every part but the last: some 230 KB."""
MAX_PARTS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedShard(Schema):
    """One shard that has an output."""

    number: Count
    """From 0: its output is `shards/<number>` of the merged one."""
    record: Link


@dataclass(frozen=True, slots=True, kw_only=True)
class MergePart(Schema):
    """Some shards, by number."""

    VERSION: ClassVar[str] = "merge-part/1"

    shards: Annotated[tuple[MergedShard, ...], at_most(PART_SHARDS)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge(Schema):
    """The output of a job over shards, and the records that it is made of. Signed by nobody."""

    VERSION: ClassVar[str] = "merge/1"

    output: Link
    parts: Annotated[tuple[Link, ...], at_most(MAX_PARTS)]


def store_merge(store: BlockStore, output: CID, records: Mapping[int, CID]) -> CID:
    """Keep a statement and return its CID; the same for the same output and records. records: by shard.

    Raises:
        ModelError: there are too many.
    """
    waiting = (MergedShard(number=number, record=records[number]) for number in sorted(records))
    parts: list[CID] = []
    while some := tuple(islice(waiting, PART_SHARDS)):
        parts.append(store_node(store, MergePart(shards=some)))
    return store_node(store, Merge(output=output, parts=tuple(parts)))


def load_merge(
    store: BlockStore, cid: CID, spend: Callable[[int], None] = lambda _shards: None
) -> tuple[CID, dict[int, CID]]:
    """Return the output that a statement names, and its records by shard.

    spend: told of the shards of each part that was read, of one that is wrong as if it were full.

    Raises:
        UnavailableError: a block of it is not here.
        VerificationError: it is no statement, or not in its one form.
        what `spend` raises.
    """
    merge = load_node(store, cid, Merge)
    shards = [shard for part in _parts(store, merge, spend) for shard in part.shards]
    if not shards or any(left.number >= right.number for left, right in pairwise(shards)):
        raise VerificationError("its shards must ascend, and be some", where=cid_text(cid))
    return merge.output, {shard.number: shard.record for shard in shards}


def _parts(store: BlockStore, merge: Merge, spend: Callable[[int], None]) -> Iterator[MergePart]:
    for number, cid in enumerate(merge.parts, 1):
        try:
            part = load_node(store, cid, MergePart)
        except VerificationError:
            spend(PART_SHARDS)
            raise
        spend(len(part.shards))
        if not part.shards or (number < len(merge.parts) and len(part.shards) < PART_SHARDS):
            raise VerificationError("is not a full part of a merge", where=cid_text(cid))
        yield part


def merge_blocks(store: BlockStore, cid: CID) -> Iterator[CID]:
    """Yield the blocks that a statement itself is made of.

    Raises:
        UnavailableError, VerificationError: as `load_merge`.
    """
    yield cid
    yield from load_node(store, cid, Merge).parts

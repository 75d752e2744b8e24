"""The shards of a job as blocks: a list that names parts, each of a few hundred tasks. A job over shards is given so.

A list is DAG-CBOR with links to every task, so whoever holds it whole holds all that the job needs, and a job of ten
thousand shards is named by one CID (docs/record.ipldsch). What was split is named by its text: shards may leave parts
of it out, and nobody has to have those. Decides nothing about the tasks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, ClassVar, Final

from storage.blocks import BlockStore
from storage.cid import CID, cid_text, is_cid_text
from storage.errors import VerificationError
from verifier.bounds import Amount, Count, Link, RelativePath, at_most
from verifier.model import load_node, store_node
from verifier.schema import ModelError, Schema

PART_SHARDS: Final = 256
"""Shards of every part but the last: their first picks may be 4 KiB long, and a block has 2 MiB at most."""
MAX_SHARDS: Final = 32_768
"""Of one job: what a requester takes (`requester_entries.MAX_TASKS`)."""

Described = Annotated[str, lambda text: "" if len(text) <= 4096 else "is longer than 4096 characters"]
Content = Annotated[str, lambda text: "" if is_cid_text(text) else "must be a CID"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedShard(Schema):
    """One shard."""

    task: Link
    picks: Amount
    first: RelativePath | None
    """Path of the first pick; None: the whole base directory, or a name that cannot be shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardPart(Schema):
    """Some shards, in their order."""

    VERSION: ClassVar[str] = "shard-part/1"

    shards: Annotated[tuple[ListedShard, ...], at_most(PART_SHARDS)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardList(Schema):
    """All shards of a job, and what was split how."""

    VERSION: ClassVar[str] = "shard-list/1"

    data: Content
    """The input that was split."""
    pattern: Described
    base: Described
    """Where in the input the pattern begins; empty for its root."""
    batch_size: Amount
    count: Count
    parts: Annotated[tuple[Link, ...], at_most(MAX_SHARDS // PART_SHARDS)]


def store_shards(
    store: BlockStore, shards: Iterable[ListedShard], *, data: CID, pattern: str, base: str, batch_size: int
) -> CID:
    """Keep a list of shards and return its CID.

    Raises:
        ModelError: there are too many.
        UserError: a part is larger than a block may be.
    """
    waiting, parts, count = iter(shards), [], 0
    while some := tuple(islice(waiting, PART_SHARDS)):
        parts.append(store_node(store, ShardPart(shards=some)))
        count += len(some)
    made = ShardList(
        data=cid_text(data), pattern=pattern, base=base, batch_size=batch_size, count=count, parts=tuple(parts)
    )
    return store_node(store, made)


def load_shards(store: BlockStore, cid: CID) -> tuple[ShardList, tuple[ListedShard, ...]]:
    """Return a list and its shards, by number.

    Raises:
        UnavailableError: a block of it is not here.
        VerificationError: it is no list of shards, or one that has no shards, or a task twice.
    """
    found = load_node(store, cid, ShardList)
    shards = tuple(_shards(store, found))
    if not shards or len(shards) != found.count or len({one.task for one in shards}) != len(shards):
        raise VerificationError("is not a whole list of distinct shards", where=cid_text(cid))
    return found, shards


def _shards(store: BlockStore, found: ShardList) -> Iterator[ListedShard]:
    for number, cid in enumerate(found.parts, 1):
        part = load_node(store, cid, ShardPart)
        # One list has one form: every part but the last is full.
        if not part.shards or (number < len(found.parts) and len(part.shards) < PART_SHARDS):
            raise VerificationError("is not a full part of a list of shards", where=cid_text(cid))
        yield from part.shards


def listed(task: CID, *, picks: int, first: str) -> ListedShard:
    """Return a shard as it is listed. first: path of its first pick; empty for the whole base directory."""
    try:
        return ListedShard(task=task, picks=picks, first=first or None)
    except ModelError:  # a name with a control character
        return ListedShard(task=task, picks=picks, first=None)

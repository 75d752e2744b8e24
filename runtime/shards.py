"""From an input and a pattern to shards: each the input of one task, a directory of its own.

A shard's directory holds its picks under their paths from the base path on, and links to the very blocks of the input:
nothing is copied, no file is read. It depends on the picks alone, so the same content gives the same shards wherever
and however it is stored, and a change makes new ones only of the shards it is in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from runtime.shard_pattern import ShardPattern
from runtime.shard_tokens import FLAG
from runtime.shard_walk import Pick, picks
from storage.blocks import BlockStore
from storage.cid import CID, cid_text
from storage.errors import UserError
from storage.unixfs_import import Entry, Importer
from storage.unixfs_read import UnixfsReader
from storage.unixfs_tree import TreeBuilder

MAX_BATCH: Final = 100_000
"""Picks of one shard; they are in memory together."""
BASE_FLAG: Final = "--sharding-base-path"
BATCH_FLAG: Final = "--sharding-batch-size"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One part of an input."""

    index: int
    """Counted from 0, in the order of the picks."""
    directory: CID
    """What the task gets as its data."""
    picks: int
    first: str
    """Path of the first pick, from the base path on; empty if the base directory itself is picked."""
    last: str


def find_base(reader: UnixfsReader, root: CID, path: str) -> CID:
    """Return the directory in which a pattern begins.

    path: names joined by '/', from the input's root on; empty for the root.

    Raises:
        UserError: it is not there, or no directory.
        UnavailableError, VerificationError: a directory on the way is not here or malformed.
    """
    where = f"{BASE_FLAG} {path}"
    try:
        base = reader.resolve(root, path)
    except UserError as error:
        raise UserError(error.problem, where=where, fix=error.fix) from error
    kind = reader.stat(base).kind
    if kind != "directory":
        raise UserError(f"is a {kind}", where=where if path else cid_text(base), fix="name a directory to split")
    return base


def make_shards(store: BlockStore, base: CID, pattern: ShardPattern, *, batch_size: int = 1) -> Iterator[Shard]:
    """Yield the shards of a directory as they are found; their directories are in `store` then.

    batch_size: picks of one shard, 1 to MAX_BATCH; the last one may have fewer.

    Raises:
        UserError: nothing is picked.
        VerificationError: links claim sizes that cannot be.
        UserError, UnavailableError, VerificationError: as `shard_walk.picks`.
    """
    importer, index = Importer(store), 0
    picked = picks(UnixfsReader(store), base, pattern)
    while batch := list(islice(picked, batch_size)):
        yield Shard(
            index=index,
            directory=_directory(importer, batch),
            picks=len(batch),
            first=batch[0].path,
            last=batch[-1].path,
        )
        index += 1
    if index == 0:
        fix = f"list what is there with `bacalhau ls {cid_text(base)}`; '*' stays within one name, '/**/' goes deeper"
        raise UserError("picks nothing", where=f"{FLAG} {pattern.text!r}", fix=fix)


def _directory(importer: Importer, batch: Sequence[Pick]) -> CID:
    if not batch[0].path:
        return batch[0].cid  # the base directory itself, and so nothing else
    builder = TreeBuilder(importer)
    for pick in batch:
        # A link says no size of content, and nobody asks: an entry's `size` is not part of any block.
        builder.add_entry(pick.path, Entry(cid=pick.cid, size=0, tsize=pick.tsize))
    return builder.finish().cid

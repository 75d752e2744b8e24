"""The output of a job over shards as something that one can name, publish and check: the statement of its merge."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from network.job_shards import JobShard
from network.job_store import Job, JobStore
from network.lineage_index import Filer
from network.lineage_store import LineageStore
from storage.blocks import BlockStore
from storage.cid import CID
from storage.errors import BacalhauError
from verifier.merge_types import Merge, load_merge, store_merge
from verifier.model import version_of

_MOST: Final = 16
"""Statements of one output that are looked at: the same output may come of other records."""


def state_merge(output: CID | None, rows: Iterable[JobShard], store: BlockStore, lineage: LineageStore) -> CID | None:
    """Keep the statement of what a job over shards gave, and file it under its output; None if it gave nothing.

    Raises:
        UnavailableError: it cannot be kept or filed.
    """
    records = records_by_shard(rows)
    if output is None or not records:
        return None
    merge = store_merge(store, output, records)
    Filer(store, lineage).add_merge(merge, output)
    return merge


def records_by_shard(rows: Iterable[JobShard]) -> dict[int, CID]:
    """Return the records of the shards that are merged: those with an output."""
    return {row.number: row.record for row in rows if row.record is not None and row.output is not None}


def merge_of_job(job: Job, jobs: JobStore, store: BlockStore) -> CID | None:
    """Return the statement of a finished job over shards; jobs of before it was made have it made now.

    None: a shard that is in the output has no record here, or it gave nothing.
    """
    rows = list(jobs.each_shard(job.id))
    records = records_by_shard(rows)
    if job.output is None or len(records) != sum(row.output is not None for row in rows) or not records:
        return None
    return store_merge(store, job.output, records)


def merges_of(output: CID, lineage: LineageStore, store: BlockStore) -> list[CID]:
    """Return statements that are filed here of an output, as far as they can be read."""
    return [merge for merge in lineage.merges(output, limit=_MOST) if is_merge(merge, store)]


def is_merge(cid: CID, store: BlockStore) -> bool:
    """Tell whether a block is here, and is the statement of a merge in its form."""
    try:
        if version_of(store, cid) != Merge.VERSION:
            return False
        load_merge(store, cid)
    except BacalhauError:
        return False
    return True

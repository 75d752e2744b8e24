"""What was merged as something that one can name, publish and check: the statement of the merge.

That is the output of a job over shards, and of a map of a flow. Where a flow has several targets its output is a
directory of theirs by name, which is no merge: each of them has its own record, or statement.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from network.flow_schedule import StepState
from network.job_shards import JobShard
from network.job_store import Job, JobStore
from network.lineage_index import Filer
from network.lineage_store import LineageStore
from runtime.flow_types import StepKind
from storage.blocks import BlockStore
from storage.cid import CID, parse_cid
from storage.errors import BacalhauError
from verifier.merge_types import Merge, load_merge, store_merge
from verifier.model import version_of

if TYPE_CHECKING:
    from bacalhau.flow_report import FlowRun

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


def state_maps(run: FlowRun, store: BlockStore, lineage: LineageStore) -> dict[str, CID]:
    """Keep the statements of what the maps of a flow gave, file them under their outputs, and return them by step.

    Raises:
        UnavailableError: they cannot be kept or filed.
    """
    merges: dict[str, CID] = {}
    for name, end in run.ends.items():
        if end.value is not None and end.value.is_merged:
            records = {number: part.record for number, part in enumerate(end.value.parts)}
            merges[name] = store_merge(store, end.value.output, records)
            Filer(store, lineage).add_merge(merges[name], end.value.output)
    return merges


def merges_of_flow(job: Job, jobs: JobStore, store: BlockStore) -> dict[str, CID]:
    """Return the statements of the maps of a finished flow by step; flows of before they were made have them made now.

    A map of which a task has no record here has none.
    """
    outputs = {
        step["name"]: parse_cid(step["output"])
        for step in job.report["steps"]
        if step["kind"] == StepKind.MAP.value and step["state"] == StepState.DONE.value
    }
    given: dict[str, dict[int, CID | None]] = {}
    for row in jobs.each_shard(job.id):
        step, _, number = (row.first or "").rpartition("/")
        if step in outputs:
            given.setdefault(step, {})[int(number)] = row.record
    found = {step: {number: one for number, one in rows.items() if one is not None} for step, rows in given.items()}
    return {
        step: store_merge(store, outputs[step], found[step]) for step in found if len(found[step]) == len(given[step])
    }


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


def stated_records(output: CID, lineage: LineageStore, store: BlockStore) -> tuple[CID, ...]:
    """Return the records of a statement that is filed here of an output, by shard; none if there is no such."""
    for merge in merges_of(output, lineage, store)[:1]:
        return tuple(load_merge(store, merge)[1].values())
    return ()


def is_merge(cid: CID, store: BlockStore) -> bool:
    """Tell whether a block is here, and is the statement of a merge in its form."""
    try:
        if version_of(store, cid) != Merge.VERSION:
            return False
        load_merge(store, cid)
    except BacalhauError:
        return False
    return True

"""The records here that a task's inputs are known to come from: what its own record names as its parents."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bacalhau.merge_statement import stated_records
from bacalhau.shard_report import is_over_shards
from network.job_store import Job, JobStore
from network.lineage_store import LineageStore
from runtime.arguments import split_volume
from runtime.container_plan import ContainerPlan
from runtime.content_givers import ContentGivers
from runtime.contents import typed_cid
from runtime.engine import Plan
from runtime.request import Request
from runtime.url_list import Inside, read_url_list
from storage.blocks import BlockStore
from storage.cid import CID
from storage.counting import counted
from storage.errors import UserError
from storage.ipld_path import path_names
from verifier.bounds import MAX_NODES

if TYPE_CHECKING:
    from bacalhau.services import Services


def parent_records(
    request: Request,
    plan: Plan | ContainerPlan,
    store: BlockStore,
    jobs: JobStore,
    services: Services,
    *,
    of_data: bool = True,
) -> list[CID]:
    """Return the record here of each output that this task's inputs are, or were taken from.

    That is the record that was typed (`RECORD/output/…`), if a job here made it; of other outputs the newest one.
    Of an output that was merged, of a job over shards or a map of a flow, and is nobody's: those of the tasks that gave
    something of the input.
    of_data: also of the data, not of volumes alone. A shard's data is a directory of its own, which nothing gave.

    Raises:
        UserError, UnavailableError, VerificationError: as `ContentGivers.of`, of such an output.
    """
    typed = list(_typed(request, of_data=of_data))
    below_output = [inside.root for inside in typed if path_names(inside.path)[:1] == ["output"]]
    named = {record: output for record in below_output for output in _outputs_of(record, jobs)}
    contents = dict.fromkeys((*(inside.root for inside in typed), *_planned(plan, of_data=of_data)))
    newest = (_newest_record(cid, jobs) for cid in contents if cid not in named.values())
    with services.open_lineage() as lineage:
        merged = {cid: found for cid in contents if (found := _merged(cid, jobs, lineage, store)) is not None}
    gave = _of_merged(merged, list(_planned(plan, of_data=of_data)), store)
    return sorted({record for record in (*named, *newest, *gave) if record is not None and store.has(record)})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Merged:
    """What is known of an output that no record gave."""

    records: tuple[CID, ...]
    is_whole: bool
    """Each of them gave something of it; else some may have given what others of them took."""


def _merged(output: CID, jobs: JobStore, lineage: LineageStore, store: BlockStore) -> _Merged | None:
    """Return of which records an output was put together: by a job over shards here, by a statement, by a flow here."""
    job = next((job for job in jobs.by_output(output)[:1] if job.record is None), None)
    if job is not None and is_over_shards(job.report):
        return _Merged(records=tuple(_records_of_tasks(job, jobs)), is_whole=True)
    if stated := stated_records(output, lineage, store):
        return _Merged(records=stated, is_whole=True)
    return None if job is None else _Merged(records=tuple(_records_of_tasks(job, jobs)), is_whole=False)


def _of_merged(merged: Mapping[CID, _Merged], planned: Sequence[CID], store: BlockStore) -> Iterator[CID]:
    """Yield the records that gave something of an input that merged outputs are or were typed for."""
    whole = {cid for cid, found in merged.items() if found.is_whole and cid in planned}
    for cid in whole:
        yield from merged[cid].records
    within = [found for cid, found in merged.items() if cid not in whole]
    givers = ContentGivers(store, (record for found in within for record in found.records))
    for cid in planned if within else ():
        if cid not in whole:
            yield from givers.of(cid)


def _records_of_tasks(job: Job, jobs: JobStore) -> Iterator[CID]:
    return (row.record for row in jobs.each_shard(job.id) if row.record is not None and row.output is not None)


def check_parents(parents: Collection[CID]) -> None:
    """Refuse a task whose record cannot name all that its inputs come from.

    Raises:
        UserError: they are too many.
    """
    if len(parents) > MAX_NODES:
        fix = "name the shards that it needs, or reduce them in batches with `bacalhau run flow`"
        raise UserError(
            f"comes from {counted(len(parents), 'record')}, at most {MAX_NODES} can be named", where="-i", fix=fix
        )


def _outputs_of(record: CID, jobs: JobStore) -> Iterator[CID]:
    """Yield the output of a record that a job here made, or a shard of one."""
    job = jobs.by_record(record)
    shards = (shard for _, shard in jobs.shards_with(record, limit=1) if shard.record == record)
    yield from (made.output for made in (job, *shards) if made is not None and made.output is not None)


def _newest_record(output: CID, jobs: JobStore) -> CID | None:
    """Return a record of an output, the newest of jobs, or else one of a shard."""
    of_jobs = (job.record for job in jobs.by_output(output))
    of_shards = (shard.record for _, shard in jobs.shards_with(output, limit=1) if shard.output == output)
    return next((record for record in (*of_jobs, *of_shards) if record is not None), None)


def _typed(request: Request, *, of_data: bool) -> Iterator[Inside]:
    """Yield the CIDs that were typed: with a path behind it, or inside another volume, the input is something else.

    Also those of a list of URLs, which is a directory with something of each in it.
    """
    data = [request.data] if request.data and of_data else []
    for text in (*data, *(split_volume(text)[0] for text in request.volumes)):
        if text.startswith("@"):
            yield from (line.url for line in read_url_list(Path(text[1:]), "-i") if isinstance(line.url, Inside))
        elif (found := typed_cid(text)) is not None:
            yield found


def _planned(plan: Plan | ContainerPlan, *, of_data: bool) -> Iterator[CID]:
    if plan.input.data is not None and of_data:
        yield plan.input.data
    yield from (volume.cid for volume in plan.input.volumes)

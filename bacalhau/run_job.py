"""One job from request to report: plans, runs it on the embedded nodes, keeps what came of it. Reads the clock."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bacalhau.input_check import check_inputs
from bacalhau.known_report import Before
from bacalhau.known_session import KnownSession
from bacalhau.output_texts import read_texts
from bacalhau.planning import ONE_PART, host_name, jail_level
from bacalhau.progress import Display
from bacalhau.report import job_of, origin_list, plan_report, run_report
from bacalhau.run_spans import run_tracing
from bacalhau.services import Services
from bacalhau.shard_report import is_over_shards
from bacalhau.taint_report import require_verified, taint_of, with_record
from bacalhau.trust_report import own_trust_entry, planned_trust_entry, terms_among_own, trusted_session
from network.embedded import run_embedded
from network.job_store import Job, JobStore
from network.result_store import Nodes
from runtime.arguments import split_volume
from runtime.container_plan import ContainerPlan
from runtime.content_givers import ContentGivers
from runtime.contents import Noted, typed_cid
from runtime.engine import Engine, Plan
from runtime.planner.stack import Part
from runtime.request import Request
from runtime.url_list import Inside, read_url_list
from storage.blocks import BlockStore
from storage.cid import CID, cid_text
from storage.counting import counted
from storage.errors import UserError
from storage.ipld_path import path_names
from storage.sqlite_block_store import SqliteBlockStore
from storage.sqlite_pins import hold
from storage.unixfs_read import UnixfsReader
from verifier.bounds import MAX_NODES
from verifier.credibility import TrustGoal
from verifier.model import Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be run and how it is to be verified."""

    request: Request
    rule: Rule
    labels: tuple[str, ...] = ()
    strict: bool = False
    """Run nothing outside of a whole jail."""
    parts: tuple[Part, ...] = ONE_PART
    """Engines of the embedded nodes, which take them in turn, and what each runs in."""
    min_bids: int = 0
    """Bids of nodes that must be there before any is accepted; only a node looks for bids."""
    selector: tuple[tuple[str, str], ...] = ()
    """Labels (name, value) that nodes must have."""
    no_cache: bool = False
    """Run what is known too, and compare."""
    trust: TrustGoal | None = None
    """How far answers are to be trusted. The rule says the least counts then; for embedded nodes, which are all of this
    machine, those that as many strangers would need of whom nothing is known."""
    require_verified: bool = False
    """Refuse inputs that come from something unverified."""


def plan_only(order: Order, services: Services, display: Display) -> dict[str, Any]:
    """Return the report of the plan; nothing runs and no job is kept.

    Raises:
        UserError, UnavailableError, VerificationError: as `runtime.prepare.prepare`.
    """
    noted: list[Noted] = []
    with services.open_store() as store:
        plan = make_task(order, services, store, services.make_engine(), display, noted)
    return {**plan_report(plan, order.rule, noted), "trust": planned_trust_entry(order.trust, order.rule)}


def run_job(order: Order, services: Services, display: Display) -> dict[str, Any]:
    """Run an order to its end, keep the job and return its report, whatever the verdict.

    Raises:
        UserError, UnavailableError, VerificationError: as `runtime.prepare.prepare` and `run_embedded`; no job is kept.
    """
    created_at, started = time.time(), time.perf_counter()
    with (
        run_tracing(os.environ) as tracing,
        ExitStack() as stack,
        services.open_store() as store,
        services.open_jobs() as jobs,
    ):
        traced = tracing.begin()
        made = make_engines(order, services)
        for each in made:
            stack.callback(each.stop)
        noted: list[Noted] = []
        plan = make_task(order, services, store, made[0], traced.watched(display), noted)
        traced.prepared(cid_text(plan.task))
        engine, *others = traced.timed(made)
        # From here on a garbage collection leaves the task alone; what one has taken before is noticed now.
        hold(store, plan.task)
        prepared = time.perf_counter()
        parents = parent_records(order.request, plan, store, jobs)
        check_parents(parents)
        if order.require_verified:
            with services.open_lineage() as lineage:
                required = check_inputs((), parents, store, lineage)
            required.refuse_unless_verified()
        run = partial(
            run_embedded,
            engine=engine,
            store=store,
            keys_dir=services.home.keys_dir,
            rule=order.rule,
            parallel=min(order.rule.replication, os.cpu_count() or 1),
            progress=display.step,
            parents=tuple(parents),
            other_engines=tuple(others),
            resumes=not order.no_cache,
            **trusted_session(order.trust),
        )
        with services.open_results() as results, services.open_lineage() as lineage:
            memo = KnownSession(
                store=store,
                results=results,
                rule=order.rule,
                run=run,
                terms=terms_among_own(order.trust),
                sessions=1,
                parents=tuple(parents),
                asks_first=not order.no_cache,
            )
            session = memo(plan)
            if order.require_verified:
                require_verified(with_record(parents, session.record), store)
            told = Before(results=results, lineage=lineage, nodes=Nodes.EMBEDDED).told(plan.task, session, store)
        finished = time.perf_counter()
        texts = None if session.output is None else read_texts(UnixfsReader(store), session.output)
        report = run_report(
            job=traced.job,
            created_at=created_at,
            labels=order.labels,
            plan=plan,
            rule=order.rule,
            session=session,
            texts=texts,
            origins=origin_list(noted),
            timings_s={"prepare": prepared - started, "run": finished - prepared, "total": finished - started},
        )
        report |= told
        if order.require_verified:
            report["require_verified"] = required.to_json()
        report["trust"] = own_trust_entry(order.trust, order.rule)
        report |= taint_of(with_record(parents, session.record), store)
        jobs.add(job_of(report, created_at, plan, session))
        traced.ended(report, time.perf_counter() - prepared)
    return report


def make_engines(order: Order, services: Services) -> tuple[Engine, ...]:
    """Return the engines of an order's stack, which its nodes take in turn; the caller stops them.

    Raises:
        UnavailableError: one is not installed.
    """
    first, *others = order.parts
    engine = services.make_engine(host_name(first), strict=order.strict, level=jail_level(first))
    return (
        engine,
        *(
            services.make_engine(host_name(part), strict=order.strict, level=jail_level(part), beside=engine)
            for part in others
        ),
    )


def make_task(
    order: Order, services: Services, store: SqliteBlockStore, engine: Engine, display: Display, noted: list[Noted]
) -> Plan:
    """Plan an order; what was fetched for it is noted.

    Raises:
        UserError, UnavailableError, VerificationError: as `runtime.prepare.prepare`.
    """
    return services.prepare(
        order.request,
        store=store,
        engine=engine,
        progress=display.step,
        report=display.transfer,
        note=noted.append,
    )


def parent_records(
    request: Request, plan: Plan | ContainerPlan, store: BlockStore, jobs: JobStore, *, of_data: bool = True
) -> list[CID]:
    """Return the record here of each output that this task's inputs are, or were taken from.

    That is the record that was typed (`RECORD/output/…`), if a job here made it; of other outputs the newest one.
    Of the output of a job over shards, which is nobody's, those of the shards that gave something of the input.
    of_data: also of the data, not of volumes alone. A shard's data is a directory of its own, which nothing gave.

    Raises:
        UserError, UnavailableError, VerificationError: as `ContentGivers.of`, of such an output.
    """
    typed = list(_typed(request, of_data=of_data))
    below_output = [inside.root for inside in typed if path_names(inside.path)[:1] == ["output"]]
    named = {record: output for record in below_output for output in _outputs_of(record, jobs)}
    contents = dict.fromkeys((*(inside.root for inside in typed), *_planned(plan, of_data=of_data)))
    newest = (_newest_record(cid, jobs) for cid in contents if cid not in named.values())
    gave = _of_merged(contents, list(_planned(plan, of_data=of_data)), jobs, store)
    return sorted({record for record in (*named, *newest, *gave) if record is not None and store.has(record)})


def _of_merged(contents: Iterable[CID], planned: Sequence[CID], jobs: JobStore, store: BlockStore) -> Iterator[CID]:
    """Yield the records of shards that gave something of an input that merged outputs, here, are or were typed for."""
    merged = {cid: job for cid in contents for job in jobs.by_output(cid)[:1] if job.record is None}
    for cid in planned:
        # All of it: every shard's output is in it. Not so of a flow, where a step may have given what another took.
        if cid in merged and is_over_shards(merged[cid].report):
            yield from _records_of_tasks(merged[cid], jobs)
    within = [job for cid, job in merged.items() if cid not in planned or not is_over_shards(job.report)]
    givers = ContentGivers(store, (record for job in within for record in _records_of_tasks(job, jobs)))
    for cid in planned if within else ():
        if cid not in merged or not is_over_shards(merged[cid].report):
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

"""A job over shards from request to report, on the embedded nodes: plans once, splits, verifies shard by shard, merges.

Every shard that is verified is kept at once, so a job that is interrupted or killed leaves what it had, and the next
one like it runs the rest. The job itself is kept when it has ended. Reads the clock.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from bacalhau.disputed_tasks import disputes_of
from bacalhau.input_check import check_inputs
from bacalhau.input_records import check_parents, parent_records
from bacalhau.known_report import Before
from bacalhau.known_session import KnownSession
from bacalhau.merge_statement import state_merge
from bacalhau.progress import Display
from bacalhau.report import origin_list, plan_report
from bacalhau.run_job import Order, make_engines, make_task
from bacalhau.run_spans import run_tracing
from bacalhau.services import Services
from bacalhau.shard_report import ShardTotals, job_of_shards, shard_of, sharding_node, shards_report
from bacalhau.taint_report import taint_of
from bacalhau.trust_report import own_trust_entry, planned_trust_entry, terms_among_own, trusted_session
from network.embedded import SessionResult, run_embedded
from network.embedded_shards import run_shards
from network.job_shards import JobShard
from network.result_store import Nodes
from runtime.content_givers import ContentGivers
from runtime.contents import Noted
from runtime.engine import Engine, Plan, Progress
from runtime.shard_plan import Sharding, ShardTask, shard_tasks
from runtime.shards import BATCH_FLAG
from storage.blocks import BatchingBlockStore, BlockStore
from storage.cid import CID, cid_text
from storage.errors import UserError
from storage.sqlite_pins import hold
from verifier.shard_merge import Merged, merge_shards

MAX_SHARDS: Final = 1 << 17
"""Of one job: their rows are in memory until the job ends, about 100 MB of them."""
MAX_PLANNED: Final = 10_000
"""Shards that a dry run lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardedOrder:
    """What is to be run over the shards of its input."""

    order: Order
    sharding: Sharding
    max_failures: int | None = None
    """Failed shards that are put up with; None: any number."""
    asks_first: bool = True
    """Whether shards that were verified before are taken as they are."""
    data_records: tuple[CID, ...] = ()
    """Records that the data is known to come from besides those that the request tells."""
    volume_records: tuple[CID, ...] = ()
    """The same of volumes."""


Verify = Callable[[Plan], SessionResult]
Count = Callable[[ShardTotals, int | None], None]
"""Called with the shards that have ended, and how many there are in all: None as long as the input is being split."""


def plan_shards(sharded: ShardedOrder, services: Services, display: Display) -> dict[str, Any]:
    """Return the report of the plan: of the whole, and of its shards up to MAX_PLANNED; nothing runs.

    Raises:
        UserError, UnavailableError, VerificationError: as `runtime.prepare.prepare` and `shard_tasks`.
    """
    noted: list[Noted] = []
    with services.open_store() as store:
        whole = make_task(sharded.order, services, store, services.make_engine(), display, noted)
        count = 0
        listed: list[dict[str, Any]] = []
        for task in _bounded(shard_tasks(whole, sharded.sharding, store)):
            count += 1
            if len(listed) < MAX_PLANNED:
                listed.append(_planned(task))
    order = sharded.order
    trust = planned_trust_entry(order.trust, order.rule)
    head = {**plan_report(whole, order.rule, noted), "trust": trust, "task": None}
    return {**head, "sharding": {**sharding_node(sharded.sharding), "shards": count}, "shards": listed}


def run_shards_job(sharded: ShardedOrder, services: Services, display: Display, count: Count) -> dict[str, Any]:
    """Run an order over shards to its end, keep the job and return its report without the list of shards.

    Raises:
        UserError, UnavailableError, VerificationError: as `runtime.prepare.prepare`, `shard_tasks`, `run_embedded` and
            `merge_shards`; no job is kept then, but all that was verified is.
    """
    order = sharded.order
    created_at, started = time.time(), time.perf_counter()
    noted: list[Noted] = []
    with ExitStack() as stack:
        traced = stack.enter_context(run_tracing(os.environ)).begin()
        store = stack.enter_context(services.open_store())
        jobs = stack.enter_context(services.open_jobs())
        results = stack.enter_context(services.open_results())
        engines = _engines(order, services, stack)
        whole = make_task(order, services, store, engines[0], traced.watched(display), noted)
        traced.prepared()
        engines = traced.timed(engines)
        # From here on a garbage collection leaves alone what shards have in common, and what they are made of; what is
        # made for each of them is put by this process and safe as long as it lives.
        for shared in (whole.function_cid, *(volume.cid for volume in whole.input.volumes), whole.task):
            # One by one: what is known to be held and whole is not walked again with each shard.
            hold(store, shared)
        parents = sorted(
            {
                *parent_records(order.request, whole, store, jobs, services),
                *sharded.data_records,
                *sharded.volume_records,
            }
        )
        required = None
        if order.require_verified:
            with services.open_lineage() as lineage:
                required = check_inputs((), parents, store, lineage)
            required.refuse_unless_verified()
        of_volumes = sorted(
            {*parent_records(order.request, whole, store, jobs, services, of_data=False), *sharded.volume_records}
        )
        givers = ContentGivers(store, parents, whole=whole.input.data)
        givers.look()  # before anything runs: too much of it is an answer
        run = _session(order, services, store, engines, _each_once(display.step))
        verify = KnownSession(
            store=store,
            results=results,
            rule=order.rule,
            terms=terms_among_own(order.trust),
            run=run,
            asks_first=sharded.asks_first,
        )

        def verify_shard(plan: Plan) -> SessionResult:
            gave = () if plan.input.data is None else givers.of(plan.input.data)
            named = tuple(sorted({*of_volumes, *gave}))
            check_parents(named)
            return replace(verify, run=partial(run, parents=named), parents=named)(plan)

        prepared = time.perf_counter()
        tasks = _Tasks(shard_tasks(whole, sharded.sharding, store))
        rows = _verified(sharded, tasks, verify_shard, engines, count)
        is_complete = tasks.are_all_taken()
        ran = time.perf_counter()
        display.step("merging the outputs of shards")
        merged = _merged(store, rows)
        finished = time.perf_counter()
        spent = {"prepare": prepared - started, "run": ran - prepared, "merge": finished - ran}
        report = shards_report(
            job=traced.job,
            created_at=created_at,
            labels=order.labels,
            whole=whole,
            rule=order.rule,
            sharding=sharded.sharding,
            max_failures=sharded.max_failures,
            rows=rows,
            is_complete=is_complete,
            merged=merged,
            parents=parents,
            origins=origin_list(noted),
            timings_s={**spent, "total": finished - started},
        )
        report["trust"] = own_trust_entry(order.trust, order.rule)
        report |= taint_of(parents, store)
        with services.open_lineage() as lineage:
            before = Before(results=results, lineage=lineage, nodes=Nodes.EMBEDDED)
            report |= disputes_of(rows, before, store)
            merge = None if merged is None else state_merge(merged.output, rows, store, lineage)
        report["merge"] = None if merge is None else cid_text(merge)
        report["require_verified"] = None if required is None else required.to_json()
        jobs.add(job_of_shards(report, created_at, whole, merged, rows))
        traced.ended(report, time.perf_counter() - prepared)
    return report


def _engines(order: Order, services: Services, stack: ExitStack) -> tuple[Engine, ...]:
    """Return the engines that nodes take in turn; they are stopped with the stack."""
    engines = make_engines(order, services)
    for each in engines:
        stack.callback(each.stop)
    return engines


def _session(
    order: Order,
    services: Services,
    store: BlockStore,
    engines: tuple[Engine, ...],
    progress: Progress,
) -> Callable[..., SessionResult]:
    """Return what verifies one task on the embedded nodes."""
    return partial(
        run_embedded,
        engine=engines[0],
        store=store,
        keys_dir=services.home.keys_dir,
        rule=order.rule,
        parallel=min(order.rule.replication, os.cpu_count() or 1),
        progress=progress,
        other_engines=engines[1:],
        **trusted_session(order.trust),
    )


class _Tasks:
    """The shards of a job as they are needed, and whether there are more."""

    def __init__(self, tasks: Iterator[ShardTask]) -> None:
        self._tasks = _bounded(tasks)
        self.taken = 0
        self.have_ended = False

    def __iter__(self) -> Iterator[ShardTask]:
        for task in self._tasks:
            self.taken += 1
            yield task
        self.have_ended = True

    def are_all_taken(self) -> bool:
        """Tell whether every shard of the input was taken; plans one more to know it."""
        return self.have_ended or next(self._tasks, None) is None


def _bounded(tasks: Iterator[ShardTask]) -> Iterator[ShardTask]:
    for task in tasks:
        if task.shard.index >= MAX_SHARDS:
            raise UserError(f"there are more than {MAX_SHARDS} shards", where=BATCH_FLAG, fix="choose larger batches")
        yield task


def _verified(
    sharded: ShardedOrder,
    tasks: _Tasks,
    verify: Verify,
    engines: Iterable[Engine],
    count: Count,
) -> list[JobShard]:
    """Run all shards and return their rows, in order."""

    def stop() -> None:
        for engine in engines:
            engine.stop()

    rows: list[JobShard] = []
    totals = ShardTotals()
    ended = run_shards(tasks, verify, at_once=max(1, os.cpu_count() or 1), max_failures=sharded.max_failures, stop=stop)
    with closing(ended):
        for result in ended:
            row = shard_of(result.task, result.session, sharded.order.rule)
            rows.append(row)
            totals = totals.plus(row)
            count(totals, tasks.taken if tasks.have_ended else None)
    return sorted(rows, key=lambda row: row.number)


def _merged(store: BlockStore, rows: list[JobShard]) -> Merged | None:
    outputs = {row.number: row.output for row in rows if row.output is not None}
    if not outputs:
        return None
    batch = BatchingBlockStore(store)
    merged = merge_shards(batch, outputs)
    batch.flush()
    return merged


def _each_once(step: Progress) -> Progress:
    """Tell each phrase once, and not of which node it is: thousands of shards would say the same."""
    told: set[str] = set()

    def tell(phrase: str) -> None:
        label, _, rest = phrase.partition(": ")
        said = rest if label.startswith("node ") and rest else phrase
        if said not in told:
            told.add(said)
            step(said)

    return tell


def _planned(task: ShardTask) -> dict[str, Any]:
    shard, plan = task.shard, task.plan
    return {
        "index": shard.index,
        "first": shard.first,
        "last": shard.last,
        "picks": shard.picks,
        "task": cid_text(plan.task),
        "input": cid_text(plan.input_cid),
    }

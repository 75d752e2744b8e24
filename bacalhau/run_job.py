"""One job from request to report: plans, runs it on the embedded nodes, keeps what came of it. Reads the clock."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

from bacalhau.input_check import check_inputs
from bacalhau.input_records import check_parents, parent_records
from bacalhau.known_report import Before
from bacalhau.known_session import KnownSession
from bacalhau.output_texts import read_texts
from bacalhau.planning import ONE_PART, host_name, jail_level
from bacalhau.progress import Display
from bacalhau.report import job_of, origin_list, plan_report, run_report
from bacalhau.run_spans import run_tracing
from bacalhau.services import Services
from bacalhau.taint_report import require_verified, taint_of, with_record
from bacalhau.trust_report import own_trust_entry, planned_trust_entry, terms_among_own, trusted_session
from network.embedded import run_embedded
from network.result_store import Nodes
from runtime.contents import Noted
from runtime.engine import Engine, Plan
from runtime.planner.stack import Part
from runtime.request import Request
from storage.cid import cid_text
from storage.sqlite_block_store import SqliteBlockStore
from storage.sqlite_pins import hold
from storage.unixfs_read import UnixfsReader
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
        parents = parent_records(order.request, plan, store, jobs, services)
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

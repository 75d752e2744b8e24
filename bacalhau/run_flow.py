"""A flow from its graph to its report: every task verified on the embedded nodes and kept at once. Reads the clock.

What was verified here before is taken instead of running it again, so a flow that was killed goes on where it was, and
one that was changed runs what the change reaches.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from bacalhau.clean_records import CleanRecords
from bacalhau.disputed_tasks import disputes_of
from bacalhau.flow_report import FlowRun, flow_report, job_of_flow, plan_report_of_flow, task_rows
from bacalhau.flow_spans import FlowSpans
from bacalhau.flow_steps import FlowSteps
from bacalhau.input_check import InputCheck, check_inputs
from bacalhau.known_report import Before
from bacalhau.merge_statement import state_maps
from bacalhau.planning import ONE_PART, host_name, jail_level
from bacalhau.prepared_parts import Fetching, PreparedParts
from bacalhau.progress import Display
from bacalhau.report import origin_list
from bacalhau.run_job import Order, make_engines
from bacalhau.run_spans import run_tracing
from bacalhau.services import Services
from bacalhau.shard_report import complete_report
from bacalhau.taint_report import taint_of
from bacalhau.task_verifier import TaskVerifier
from bacalhau.trust_report import own_trust_entry, planned_trust_entry
from network.embedded import SessionResult
from network.embedded_flow import StepEnded, TaskEnded, run_flow
from network.result_store import Nodes
from runtime.engine import Engine
from runtime.engine_by_kind import EngineByKind
from runtime.flow_graph import Graph
from runtime.flow_thunk import StepTask
from runtime.planner.stack import Part
from runtime.request import Request
from storage.counting import counted
from storage.sqlite_block_store import SqliteBlockStore
from storage.sqlite_pins import hold
from verifier.credibility import TrustGoal
from verifier.model import Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowOrder:
    """What is to be done and how it is to be verified."""

    graph: Graph
    rule: Rule
    labels: tuple[str, ...] = ()
    strict: bool = False
    """Run nothing outside of a whole jail."""
    parts: tuple[Part, ...] = ONE_PART
    """Engines of the nodes, which take them in turn, and what each runs in (`flow_stack`)."""
    modules: Part | None = None
    """Engine of steps that are modules, and what it runs in; None if there are no such steps."""
    at_once: int | None = None
    """Tasks at the same time; None: as many as there are cores."""
    is_cached: bool = True
    """Take what was verified here before."""
    fetching: Fetching = field(default_factory=Fetching)
    trust: TrustGoal | None = None
    """As `run_job.Order` has it of embedded nodes."""
    require_verified: bool = False
    """Refuse what comes from something unverified: content that steps take, and known results in place of tasks."""


def plan_flow(order: FlowOrder, services: Services, display: Display) -> dict[str, Any]:
    """Return the report of what would be done; nothing runs and no job is kept.

    Raises:
        UserError, UnavailableError, VerificationError: as `FlowSteps` and `run_flow`.
    """
    with ExitStack() as stack:
        store = stack.enter_context(services.open_store())
        engine = services.make_engine()
        stack.callback(engine.stop)
        steps = _steps(order, services, store, engine, display, stack)
        verifier = _verifier(order, services, store, (), display, stack)
        found = FlowRun(order.graph)
        for event in run_flow(
            order.graph.needs, steps.thunk, lambda task: verifier.known(task.plan), at_once=1, stop=engine.stop
        ):
            found.add(event)
        flow, asked = steps.definition()
        report = plan_report_of_flow(
            found, flow=flow, asked=asked, rule=order.rule, origins=origin_list(steps.parts.noted)
        )
        return {**report, "trust": planned_trust_entry(order.trust, order.rule)}


def run_flow_job(order: FlowOrder, services: Services, display: Display) -> dict[str, Any]:
    """Run a flow to its end, keep the job and return its report, whatever came of it.

    Raises:
        UserError, UnavailableError, VerificationError: as `FlowSteps` and `run_flow`; no job is kept, and what was
            verified until then is.
    """
    created_at, started = time.time(), time.perf_counter()
    with ExitStack() as stack:
        traced = stack.enter_context(run_tracing(os.environ)).begin()
        store = stack.enter_context(services.open_store())
        engines = _engines(order, services, stack)
        steps = _steps(order, services, store, engines[0], traced.watched(display), stack)
        traced.prepared()
        flow, asked = steps.definition()
        for cid in (flow, asked):
            hold(store, cid)
        clean = CleanRecords(store) if order.require_verified else None
        required = None if clean is None else _required(steps.parts, clean, services)
        prepared = time.perf_counter()
        verifier = _verifier(order, services, store, engines, display, stack)
        run = FlowRun(order.graph)
        at_once = order.at_once or os.cpu_count() or 1
        spans = FlowSpans(traced=traced)

        def verify(task: StepTask) -> SessionResult:
            session = spans.verify(task, verifier)
            if clean is not None and session.record is not None:
                clean.require(session.record)  # one that was known may come from what the task is not known to
            return session

        for event in run_flow(order.graph.needs, steps.thunk, verify, at_once=at_once, stop=verifier.stop):
            run.add(event)
            spans.ended(event)
            _tell(event, run, display)
        finished = time.perf_counter()
        rows = task_rows(run, order.rule)
        lineage = stack.enter_context(services.open_lineage())
        report = flow_report(
            job=traced.job,
            created_at=created_at,
            labels=order.labels,
            run=run,
            store=store,
            flow=flow,
            asked=asked,
            rule=order.rule,
            origins=origin_list(steps.parts.noted),
            timings_s={"prepare": prepared - started, "run": finished - prepared, "total": finished - started},
            merges=state_maps(run, store, lineage),
        )
        report["require_verified"] = None if required is None else required.to_json()
        report["trust"] = own_trust_entry(order.trust, order.rule)
        report |= taint_of(run.origins(), store)
        before = Before(results=verifier.results, lineage=lineage, nodes=Nodes.EMBEDDED)
        report |= disputes_of(rows, before, store)
        steps.parts.jobs.add(job_of_flow(report, created_at, run, rows, flow=flow, asked=asked))
        traced.flow_ended(report)
    return complete_report(report, rows)


def _required(parts: PreparedParts, clean: CleanRecords, services: Services) -> InputCheck:
    """Check what the content comes from that steps take, before anything runs.

    Raises:
        VerificationError: something unverified. UnavailableError: that cannot be told.
    """
    parents = frozenset(record for given in parts.given for record in given.parents)
    with services.open_lineage() as lineage:
        found = check_inputs((), parents, parts.store, lineage)
    found.refuse_unless_verified()
    clean.know(parents)
    return found


def _engines(order: FlowOrder, services: Services, stack: ExitStack) -> tuple[Engine, ...]:
    """Return the engines that nodes take in turn, each for steps of either kind; they are stopped with the stack."""
    engines = make_engines(Order(request=Request(), rule=order.rule, strict=order.strict, parts=order.parts), services)
    if order.modules is not None:
        name, level = host_name(order.modules), jail_level(order.modules)
        modules = services.make_engine(name, strict=order.strict, level=level)
        engines = tuple(EngineByKind(each, lambda: modules) for each in engines)
        stack.callback(modules.stop)
    for each in engines:
        stack.callback(each.stop)
    return engines


def _steps(
    order: FlowOrder, services: Services, store: SqliteBlockStore, engine: Engine, display: Display, stack: ExitStack
) -> FlowSteps:
    parts = PreparedParts(
        services=services,
        store=store,
        jobs=stack.enter_context(services.open_jobs()),
        engine=engine,
        display=display,
        fetching=order.fetching,
    )
    return FlowSteps(graph=order.graph, parts=parts)


def _verifier(
    order: FlowOrder,
    services: Services,
    store: SqliteBlockStore,
    engines: tuple[Engine, ...],
    display: Display,
    stack: ExitStack,
) -> TaskVerifier:
    return TaskVerifier(
        store=store,
        results=stack.enter_context(services.open_results()),
        engines=engines,
        keys_dir=services.home.keys_dir,
        rule=order.rule,
        trust=order.trust,
        is_cached=order.is_cached,
        progress=_only_images(display),
    )


def _only_images(display: Display) -> Any:
    """Leave out what every execution says: of hundreds of tasks nobody reads it."""

    def tell(phrase: str) -> None:
        if "image" in phrase:
            display.step(phrase)

    return tell


def _tell(event: TaskEnded | StepEnded, run: FlowRun, display: Display) -> None:
    if isinstance(event, StepEnded):
        problem = f": {event.problem}" if event.problem else ""
        display.step(
            f"step {event.step} {event.state.value}{problem} ({run.ended} of {counted(len(run.graph.steps), 'step')})"
        )

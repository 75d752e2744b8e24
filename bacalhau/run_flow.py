"""A flow from its graph to its report: every task verified on the embedded nodes and kept at once. Reads the clock.

What was verified here before is taken instead of running it again, so a flow that was killed goes on where it was, and
one that was changed runs what the change reaches.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from bacalhau.flow_report import FlowRun, flow_report, job_of_flow, plan_report_of_flow, task_rows
from bacalhau.flow_steps import Fetching, FlowSteps
from bacalhau.known_session import KnownSession
from bacalhau.planning import ONE_PART
from bacalhau.progress import Display
from bacalhau.report import origin_list
from bacalhau.run_job import Order, make_engines
from bacalhau.services import Services
from bacalhau.shard_report import complete_report
from bacalhau.trust_report import own_trust_entry, planned_trust_entry, terms_among_own, trusted_session
from network.embedded import SessionResult, run_embedded
from network.embedded_flow import StepEnded, TaskEnded, run_flow
from network.known_results import find_known
from network.result_store import Nodes, ResultStore
from runtime.engine import Engine, Plan
from runtime.flow_graph import Graph
from runtime.flow_thunk import StepTask
from runtime.planner.stack import Part
from runtime.request import Request
from storage.cid import CID
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
    at_once: int | None = None
    """Tasks at the same time; None: as many as there are cores."""
    is_cached: bool = True
    """Take what was verified here before."""
    fetching: Fetching = field(default_factory=Fetching)
    trust: TrustGoal | None = None
    """As `run_job.Order` has it of embedded nodes."""


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
        verifier = _Verifier(order, services, store, stack.enter_context(services.open_results()), (), display)
        found = FlowRun(order.graph)
        for event in run_flow(order.graph.needs, steps.thunk, verifier.known, at_once=1, stop=engine.stop):
            found.add(event)
        flow, asked = steps.definition()
        report = plan_report_of_flow(found, flow=flow, asked=asked, rule=order.rule, origins=origin_list(steps.noted))
        return {**report, "trust": planned_trust_entry(order.trust, order.rule)}


def run_flow_job(order: FlowOrder, services: Services, display: Display) -> dict[str, Any]:
    """Run a flow to its end, keep the job and return its report, whatever came of it.

    Raises:
        UserError, UnavailableError, VerificationError: as `FlowSteps` and `run_flow`; no job is kept, and what was
            verified until then is.
    """
    created_at, started = time.time(), time.perf_counter()
    with ExitStack() as stack:
        store = stack.enter_context(services.open_store())
        engines = make_engines(
            Order(request=Request(), rule=order.rule, strict=order.strict, parts=order.parts), services
        )
        for each in engines:
            stack.callback(each.stop)
        steps = _steps(order, services, store, engines[0], display, stack)
        flow, asked = steps.definition()
        for cid in (flow, asked):
            hold(store, cid)
        prepared = time.perf_counter()
        verifier = _Verifier(order, services, store, stack.enter_context(services.open_results()), engines, display)
        run = FlowRun(order.graph)
        at_once = order.at_once or os.cpu_count() or 1
        for event in run_flow(order.graph.needs, steps.thunk, verifier.verify, at_once=at_once, stop=verifier.stop):
            run.add(event)
            _tell(event, run, display)
        finished = time.perf_counter()
        rows = task_rows(run, order.rule)
        report = flow_report(
            job=uuid.uuid4().hex,
            created_at=created_at,
            labels=order.labels,
            run=run,
            store=store,
            flow=flow,
            asked=asked,
            rule=order.rule,
            origins=origin_list(steps.noted),
            timings_s={"prepare": prepared - started, "run": finished - prepared, "total": finished - started},
        )
        report["trust"] = own_trust_entry(order.trust, order.rule)
        steps.jobs.add(job_of_flow(report, created_at, run, rows, flow=flow, asked=asked))
    return complete_report(report, rows)


def _steps(
    order: FlowOrder, services: Services, store: SqliteBlockStore, engine: Engine, display: Display, stack: ExitStack
) -> FlowSteps:
    return FlowSteps(
        graph=order.graph,
        services=services,
        store=store,
        jobs=stack.enter_context(services.open_jobs()),
        engine=engine,
        display=display,
        fetching=order.fetching,
    )


class _Verifier:
    """Verifies tasks, and keeps each at once. Called by several threads."""

    def __init__(
        self,
        order: FlowOrder,
        services: Services,
        store: SqliteBlockStore,
        results: ResultStore,
        engines: tuple[Engine, ...],
        display: Display,
    ) -> None:
        self._order, self._store, self._results = order, store, results
        self._engines, self._progress = engines, _only_images(display)
        self._keys_dir = services.home.keys_dir
        self._turns: dict[CID, threading.Lock] = {}
        self._held: set[CID] = set()

    def stop(self) -> None:
        """End what is under way."""
        for engine in self._engines:
            engine.stop()

    def known(self, task: StepTask) -> SessionResult | None:
        """Return what a task gave before, None if that is not known."""
        cid = task.plan.task
        if not self._order.is_cached:
            return None
        self._hold(task.plan)
        records = self._results.records(cid, nodes=Nodes.EMBEDDED)
        terms = terms_among_own(self._order.trust)
        return find_known(cid, self._order.rule, records, self._store, terms=terms)

    def verify(self, task: StepTask) -> SessionResult:
        """Return what a task gives: known, or run now."""
        self._hold(task.plan)
        rule = self._order.rule
        run = partial(
            run_embedded,
            engine=self._engines[0],
            other_engines=self._engines[1:],
            store=self._store,
            keys_dir=self._keys_dir,
            rule=rule,
            parallel=min(rule.replication, os.cpu_count() or 1),
            progress=self._progress,
            parents=task.parents,
            **trusted_session(self._order.trust),
        )
        session = KnownSession(
            store=self._store,
            results=self._results,
            rule=rule,
            terms=terms_among_own(self._order.trust),
            run=run,
            asks_first=self._order.is_cached,
        )
        with self._turn(task.plan.task):
            return session(task.plan)

    def _hold(self, plan: Plan) -> None:
        """Have garbage collections leave a task alone from now on; what one has taken before is noticed now."""
        # What tasks have in common is held by itself first, and then not walked again with each of them.
        for shared in (plan.function_cid, *(volume.cid for volume in plan.input.volumes)):
            if shared not in self._held:
                hold(self._store, shared)
                self._held.add(shared)
        hold(self._store, plan.task)

    @contextmanager
    def _turn(self, task: CID) -> Iterator[None]:
        """Let two steps that are the same task not run it at the same time: the second finds what the first gave."""
        with self._turns.setdefault(task, threading.Lock()):
            yield


def _only_images(display: Display) -> Any:
    """Leave out what every execution says: of hundreds of tasks nobody reads it."""

    def tell(phrase: str) -> None:
        if "image" in phrase:
            display.step(phrase)

    return tell


def _tell(event: TaskEnded | StepEnded, run: FlowRun, display: Display) -> None:
    if isinstance(event, StepEnded):
        problem = f": {event.problem}" if event.problem else ""
        display.step(f"step {event.step} {event.state.value}{problem} ({run.ended} of {len(run.graph.steps)} steps)")

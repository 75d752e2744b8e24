"""Runs calls of the Python API: prepares what they are made of, has them verified, keeps them as jobs. Reads the clock.

For several threads at once. Opened once for many calls: the stores, the engines and what their workers hold are kept.
Where a node runs, it gets the calls (`call_on_node`), as it gets the runs of the command.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, TypeVar

from bacalhau.call_cluster import open_call_cluster
from bacalhau.call_errors import NotVerifiedError, function_error
from bacalhau.call_inputs import CallInputs
from bacalhau.call_on_node import CallsOnNode
from bacalhau.call_terms import EXECUTOR, CallTerms
from bacalhau.output_texts import read_texts
from bacalhau.planning import ONE_PART, load_policy
from bacalhau.prepared_parts import PreparedParts
from bacalhau.progress import Display
from bacalhau.report import job_of, run_report
from bacalhau.run_job import Order, make_engines
from bacalhau.run_spans import RunTracing, TracedRun, run_tracing
from bacalhau.services import Services
from bacalhau.taint_report import taint_of, with_record
from bacalhau.task_verifier import TaskVerifier
from bacalhau.trust_report import own_trust_entry
from bacalhau.verified import Verified
from runtime.engine import Engine, Plan
from runtime.planner.stack import Part
from runtime.request import Request
from storage.cid import CID, cid_text
from storage.errors import UnavailableError, UserError
from storage.unixfs_read import UnixfsReader
from verifier.credibility import TrustGoal

if TYPE_CHECKING:
    from distributed import Client

    from bacalhau.function_options import Data
    from bacalhau.python_function import Function
    from bacalhau.run_shards_job import ShardedOrder
    from bacalhau.sharded import Sharded
    from network.job_store import JobStore
    from network.result_store import ResultStore
    from runtime.planner.rules import Rule as PolicyRule

R = TypeVar("R")
CALLS_ON_NODE: Final = 16
"""At the same time: they cost this process little."""


@dataclass(kw_only=True)
class CallRunner:
    """What runs calls; made by `open`, and closed by whoever opened it."""

    services: Services
    terms: CallTerms
    inputs: CallInputs
    jobs: JobStore
    results: ResultStore
    on_node: CallsOnNode
    tracing: RunTracing
    at_once: int
    """Calls at the same time that make sense here."""
    cluster: Engine | None
    """Executes instead of engines of this machine."""
    stack: ExitStack
    policy: tuple[PolicyRule, ...]
    _engines: dict[tuple[Part, ...], tuple[Engine, ...]] = field(default_factory=dict)
    _verifiers: dict[tuple[tuple[Part, ...], TrustGoal | None], TaskVerifier] = field(default_factory=dict)
    _opening: Lock = field(default_factory=Lock)
    _stopped: bool = False

    @staticmethod
    def open(
        services: Services,
        terms: CallTerms,
        *,
        dask: Client | str | None = None,
        progress: Callable[[str], None] | None = None,
    ) -> CallRunner:
        """Open the stores of a home, and a cluster if one is named, to which calls go then and to no node.

        Raises:
            UserError: the home or the policy cannot be used, or both a cluster and a node are named.
            UnavailableError: no scheduler answers, or its workers are of another release.
        """
        display = Display(step=progress or _silent, transfer=lambda _what, _done, _total: None)
        with ExitStack() as stack:
            store = stack.enter_context(services.open_store())
            cluster, at_once = None, os.cpu_count() or 1
            if dask is not None:
                if terms.node:
                    fix = "leave one of them out"
                    raise UserError("and node both say where calls run", where=f"{EXECUTOR}: dask", fix=fix)
                terms = replace(terms, node=False)
                cluster, at_once = open_call_cluster(dask, services, store, strict=terms.strict)
                stack.callback(cluster.stop)
            elif terms.expects_node(services):
                at_once = max(at_once, CALLS_ON_NODE)
            jobs = stack.enter_context(services.open_jobs())
            tracing = stack.enter_context(run_tracing(os.environ))
            # Of its own: what looks at sources before anything runs; it starts nothing unless a source is doubtful.
            checking = services.make_engine(strict=terms.strict)
            stack.callback(checking.stop)
            return CallRunner(
                services=services,
                terms=terms,
                inputs=CallInputs(
                    PreparedParts(services=services, store=store, jobs=jobs, engine=checking, display=display)
                ),
                jobs=jobs,
                results=stack.enter_context(services.open_results()),
                tracing=tracing,
                on_node=CallsOnNode(services=services, store=store, jobs=jobs, display=display),
                at_once=at_once,
                cluster=cluster,
                policy=load_policy(services.home),
                stack=stack.pop_all(),
            )
        raise AssertionError("unreachable")

    def call(self, made: Function[R], data: Data, arguments: Mapping[str, Any]) -> Verified[R]:
        """Run a call and return what it gave.

        arguments: those behind the first one, by name.

        Raises:
            FunctionError: the function failed, as the nodes agree. NotVerifiedError: they do not agree.
            UserError, UnavailableError, VerificationError: as `runtime.prepare.prepare`, `run_embedded` and
                `CallsOnNode.call`.
        """
        traced, started = self.tracing.begin(), time.perf_counter()
        terms = self._terms(made)
        request = self.inputs.request(made, arguments)
        plan, parents = self.inputs.plan(request, data, made)
        traced.prepared(cid_text(plan.task))
        with terms.found_node(self.services, made.where) as node:
            order, terms, goes_out = self._order(request, terms, has_node=node is not None)
            plan = replace(plan, wall_clock_s=order.request.timeout_s)
            if node is not None and goes_out:
                report = self.on_node.call(order, plan, parents, terms, node, traced.job)
            else:
                report = self._call_here(order, plan, parents, traced, time.perf_counter() - started)
        if report["output"] is None:
            raise NotVerifiedError(report)
        gave: Verified[R] = Verified(
            report=report, returns=made.options.get("returns", "auto"), home=self.services.home.root
        )
        if gave.exit_code != 0:
            raise function_error(gave, gave.stderr)
        return gave

    def _call_here(
        self, order: Order, plan: Plan, parents: Sequence[CID], traced: TracedRun, prepare_s: float
    ) -> dict[str, Any]:
        """Have a task verified on nodes of this process, keep the job and return its report."""
        verifier, started = self._verifier(order), time.perf_counter()
        session = verifier.verify(plan, tuple(parents), order.rule, traced.timed)
        run_s = time.perf_counter() - started
        store = self.inputs.parts.store
        report = run_report(
            job=traced.job,
            created_at=traced.began_s,
            labels=(),
            plan=plan,
            rule=order.rule,
            session=session,
            texts=None if session.output is None else read_texts(UnixfsReader(store), session.output),
            origins=(),
            timings_s={"prepare": prepare_s, "run": run_s, "total": prepare_s + run_s},
        )
        report["trust"] = own_trust_entry(order.trust, order.rule)
        report |= taint_of(with_record(parents, session.record), store)
        self.jobs.add(job_of(report, traced.began_s, plan, session))
        traced.ended(report, time.perf_counter() - started)
        return report

    def shard(
        self,
        made: Function[Any],
        data: Data,
        glob: str,
        *,
        base: str,
        batch: int,
        max_failures: int | None,
        arguments: Mapping[str, Any],
    ) -> Sharded:
        """Run a function over the shards of a directory; raises as `call`, but not for shards that fail."""
        from bacalhau.run_shards_job import ShardedOrder
        from bacalhau.sharded import Sharded
        from runtime.shard_pattern import parse_pattern
        from runtime.shard_plan import Sharding
        from runtime.shards import MAX_BATCH

        if self.cluster is not None:
            raise UserError("shards do not run on a cluster from here", where=made.where, fix="map over the files")
        if not 1 <= batch <= MAX_BATCH:
            raise UserError(f"batch is {batch}", where=made.where, fix=f"give a number from 1 to {MAX_BATCH}")
        terms = self._terms(made)
        sharding = Sharding(pattern=parse_pattern(glob), base=base, batch_size=batch)
        request, data_records, volume_records = self._brought(made, data, arguments)
        with terms.found_node(self.services, made.where) as node:
            order, terms, goes_out = self._order(request, terms, has_node=node is not None)
            sharded = ShardedOrder(
                order=order,
                sharding=sharding,
                max_failures=max_failures,
                asks_first=terms.cache,
                data_records=data_records,
                volume_records=volume_records,
            )
            if node is not None and goes_out:
                report = self.on_node.shard(sharded, terms, node)
            else:
                report = self._shard_here(sharded)
        return Sharded(report=report, returns=made.options.get("returns", "auto"), home=self.services.home.root)

    def _brought(
        self, made: Function[Any], data: Data, arguments: Mapping[str, Any]
    ) -> tuple[Request, tuple[CID, ...], tuple[CID, ...]]:
        """Return the request of a call with all that it is given by CID, and the records of data and of volumes."""
        request = self.inputs.request(made, arguments)
        given, data_records = self.inputs.given(data, made.where, is_data=True)
        brought = [(path, self.inputs.given(one, made.where, is_data=False)) for path, one in self.inputs.volumes(made)]
        volumes = [(path, cid) for path, (cid, _) in brought]
        volume_records = frozenset[CID]().union(*(records for _, (_, records) in brought))
        request = replace(
            request,
            data=None if given is None else cid_text(given),
            volumes=tuple(f"{cid_text(cid)}:{path}" for path, cid in volumes if cid is not None),
        )
        return request, tuple(data_records), tuple(volume_records)

    def _shard_here(self, sharded: ShardedOrder) -> dict[str, Any]:
        from bacalhau.run_shards_job import run_shards_job
        from bacalhau.shard_report import complete_report

        report = run_shards_job(sharded, self.services, self.inputs.parts.display, lambda _totals, _count: None)
        return complete_report(report, self.jobs.each_shard(report["job"]))

    def stop(self) -> None:
        """End what is under way: it is given up, and says so. For an interrupt; may be called from any thread."""
        with self._opening:
            self._stopped = True
            verifiers = list(self._verifiers.values())
        for verifier in verifiers:
            verifier.stop()
        self.on_node.stop()

    def close(self) -> None:
        """End the engines and close the stores; nothing may be under way. May be called twice."""
        self.stop()
        self.stack.close()

    def _terms(self, made: Function[Any]) -> CallTerms:
        """Return what a function's calls go by.

        Raises:
            UserError: its options do not go together, or with where this runs calls.
        """
        terms = self.terms.of(made.options, made.where)
        if self.cluster is not None and terms.node:
            fix = "leave it out, or use another executor"
            raise UserError("this executor's calls run on a cluster", where=f"{made.where}: node", fix=fix)
        return terms if self.cluster is None else replace(terms, node=False)

    def _order(self, request: Request, terms: CallTerms, *, has_node: bool) -> tuple[Order, CallTerms, bool]:
        """Return the order of a request as the policy lets it be had, its terms, and whether it goes to a node."""
        chosen, terms, request = terms.stack(request, self.policy, self.services, has_node=has_node)
        order = Order(
            request=request,
            rule=terms.rule,
            strict=terms.strict,
            parts=chosen.stack.parts or ONE_PART,
            no_cache=not terms.cache,
            trust=terms.trust,
        )
        return order, terms, not chosen.stack.parts

    def _verifier(self, order: Order) -> TaskVerifier:
        """Return what verifies tasks on the stack of an order."""
        key = (order.parts, order.trust)
        with self._opening:
            if self._stopped:
                raise UnavailableError("the executor was stopped", where=EXECUTOR)
            if order.parts not in self._engines:
                engines = (self.cluster,) if self.cluster is not None else make_engines(order, self.services)
                for engine in engines:
                    self.stack.callback(engine.stop)
                self._engines[order.parts] = engines
            if key not in self._verifiers:
                self._verifiers[key] = TaskVerifier(
                    store=self.inputs.parts.store,
                    results=self.results,
                    engines=self._engines[order.parts],
                    keys_dir=self.services.home.keys_dir,
                    rule=order.rule,
                    trust=order.trust,
                    is_cached=not order.no_cache,
                    progress=self.inputs.parts.display.step,
                )
            return self._verifiers[key]


def _silent(_phrase: str) -> None:
    """Tell nobody."""

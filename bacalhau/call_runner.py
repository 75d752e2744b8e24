"""Runs calls of the Python API: prepares what they are made of, has them verified, keeps them as jobs. Reads the clock.

For several threads at once. Opened once for many calls: the stores, the engines and what their workers hold are kept.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from bacalhau.call_errors import NotVerifiedError, function_error
from bacalhau.call_inputs import CallInputs
from bacalhau.output_texts import read_texts
from bacalhau.planning import ONE_PART, load_policy, plan_run
from bacalhau.prepared_parts import PreparedParts
from bacalhau.progress import Display
from bacalhau.report import job_of, run_report
from bacalhau.run_job import Order, make_engines
from bacalhau.services import Services
from bacalhau.taint_report import taint_of, with_record
from bacalhau.task_verifier import TaskVerifier
from bacalhau.verified import Verified
from runtime.engine import Engine
from runtime.planner.stack import Part
from runtime.planner.wishes import Wish, Wishes
from runtime.quantity import parse_bytes
from runtime.request import DEFAULT_TIMEOUT_S, Request
from storage.cid import CID, cid_text
from storage.errors import UnavailableError, UserError
from storage.sqlite_block_store import SqliteBlockStore
from storage.unixfs_read import UnixfsReader
from verifier.compare import make_rule
from verifier.model import Rule

if TYPE_CHECKING:
    from distributed import Client

    from bacalhau.function_options import Data
    from bacalhau.python_function import Function
    from bacalhau.sharded import Sharded
    from network.job_store import JobStore
    from network.result_store import ResultStore
    from runtime.planner.rules import Rule as PolicyRule

R = TypeVar("R")


@dataclass(kw_only=True)
class CallRunner:
    """What runs calls; made by `open`, and closed by whoever opened it."""

    services: Services
    rule: Rule
    strict: bool
    inputs: CallInputs
    jobs: JobStore
    results: ResultStore
    at_once: int
    """Calls at the same time that make sense here."""
    cache: bool
    cluster: Engine | None
    """Executes instead of engines of this machine."""
    stack: ExitStack
    policy: tuple[PolicyRule, ...]
    _verifiers: dict[tuple[Part, ...], TaskVerifier] = field(default_factory=dict)
    _opening: Lock = field(default_factory=Lock)
    _stopped: bool = False

    @staticmethod
    def open(
        services: Services,
        rule: Rule,
        *,
        strict: bool = False,
        cache: bool = True,
        dask: Client | str | None = None,
        progress: Callable[[str], None] | None = None,
    ) -> CallRunner:
        """Open the stores of a home, and a cluster if one is named.

        Raises:
            UserError: the home or the policy cannot be used.
            UnavailableError: no scheduler answers, or its workers are of another release.
        """
        display = Display(step=progress or _silent, transfer=lambda _what, _done, _total: None)
        with ExitStack() as stack:
            store = stack.enter_context(services.open_store())
            cluster, at_once = None, os.cpu_count() or 1
            if dask is not None:
                cluster, at_once = _open_cluster(dask, services, store, strict=strict)
                stack.callback(cluster.stop)
            jobs = stack.enter_context(services.open_jobs())
            # Of its own: what looks at sources before anything runs; it starts nothing unless a source is doubtful.
            checking = services.make_engine(strict=strict)
            stack.callback(checking.stop)
            return CallRunner(
                services=services,
                rule=rule,
                strict=strict,
                inputs=CallInputs(
                    PreparedParts(services=services, store=store, jobs=jobs, engine=checking, display=display)
                ),
                jobs=jobs,
                results=stack.enter_context(services.open_results()),
                at_once=at_once,
                cache=cache,
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
            UserError, UnavailableError, VerificationError: as `runtime.prepare.prepare` and `run_embedded`.
        """
        created_at, started = time.time(), time.perf_counter()
        request = self.inputs.request(made, arguments)
        plan, parents = self.inputs.plan(request, data, made)
        verifier, rule, timeout_s = self._verifier(request)
        prepared = time.perf_counter()
        session = verifier.verify(replace(plan, wall_clock_s=timeout_s), parents, rule)
        finished = time.perf_counter()
        store = self.inputs.parts.store
        texts = None if session.output is None else read_texts(UnixfsReader(store), session.output)
        report = run_report(
            job=uuid.uuid4().hex,
            created_at=created_at,
            labels=(),
            plan=plan,
            rule=rule,
            session=session,
            texts=texts,
            origins=(),
            timings_s={"prepare": prepared - started, "run": finished - prepared, "total": finished - started},
        )
        report |= taint_of(with_record(parents, session.record), store)
        self.jobs.add(job_of(report, created_at, plan, session))
        if session.output is None:
            raise NotVerifiedError(report)
        gave: Verified[R] = Verified(
            report=report, returns=made.options.get("returns", "auto"), home=self.services.home.root
        )
        if gave.exit_code != 0:
            raise function_error(gave, gave.stderr)
        return gave

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
        from bacalhau.run_shards_job import ShardedOrder, run_shards_job
        from bacalhau.shard_report import complete_report
        from bacalhau.sharded import Sharded
        from runtime.shard_pattern import parse_pattern
        from runtime.shard_plan import Sharding
        from runtime.shards import MAX_BATCH

        if self.cluster is not None:
            raise UserError("shards do not run on a cluster from here", where=made.where, fix="map over the files")
        if not 1 <= batch <= MAX_BATCH:
            raise UserError(f"batch is {batch}", where=made.where, fix=f"give a number from 1 to {MAX_BATCH}")
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
        order = Order(request=request, rule=self.rule, strict=self.strict)
        parts, rule, timeout_s = self._stack(request)
        order = replace(order, request=replace(request, timeout_s=timeout_s), rule=rule, parts=parts)
        sharding = Sharding(pattern=parse_pattern(glob), base=base, batch_size=batch)
        report = run_shards_job(
            ShardedOrder(
                order=order,
                sharding=sharding,
                max_failures=max_failures,
                asks_first=self.cache,
                data_records=tuple(data_records),
                volume_records=tuple(volume_records),
            ),
            self.services,
            self.inputs.parts.display,
            lambda _totals, _count: None,
        )
        report = complete_report(report, self.jobs.each_shard(report["job"]))
        return Sharded(report=report, returns=made.options.get("returns", "auto"), home=self.services.home.root)

    def stop(self) -> None:
        """End what is under way: it is given up, and says so. For an interrupt; may be called from any thread."""
        with self._opening:
            self._stopped = True
            verifiers = list(self._verifiers.values())
        for verifier in verifiers:
            verifier.stop()

    def close(self) -> None:
        """End the engines and close the stores; nothing may be under way. May be called twice."""
        self.stop()
        self.stack.close()

    def _verifier(self, request: Request) -> tuple[TaskVerifier, Rule, float]:
        """Return what verifies a request on the stack that the policy lets it have, its rule and its time-out."""
        parts, allowed, timeout_s = self._stack(request)
        with self._opening:
            if self._stopped:
                raise UnavailableError("the executor was stopped", where="Executor")
            if parts not in self._verifiers:
                self._verifiers[parts] = self._open_verifier(parts)
            return self._verifiers[parts], allowed, timeout_s

    def _stack(self, request: Request) -> tuple[tuple[Part, ...], Rule, float]:
        """Return the stack that the policy lets a request have, its rule and its time-out."""
        rule = self.rule
        wishes = Wishes(
            nodes=Wish(value=rule.replication, said=True),
            confidence=Wish(value=rule.confidence, said=True),
            timeout=Wish(value=request.timeout_s, said=request.timeout_s != DEFAULT_TIMEOUT_S),
            memory=Wish(value=parse_bytes(request.memory, where="memory"), said=True),
            diverse=rule.diverse,
            strict=self.strict,
            local=True,
        )
        chosen = plan_run(wishes, self.policy, self.services).stack
        allowed = make_rule(
            replication=int(chosen.numbers["nodes"]),
            confidence=int(chosen.numbers["confidence"]),
            diverse=chosen.diverse,
        )
        return chosen.parts or ONE_PART, allowed, float(chosen.numbers["timeout"])

    def _open_verifier(self, parts: tuple[Part, ...]) -> TaskVerifier:
        order = Order(request=Request(), rule=self.rule, strict=self.strict, parts=parts)
        engines = (self.cluster,) if self.cluster is not None else make_engines(order, self.services)
        for engine in engines:
            self.stack.callback(engine.stop)
        return TaskVerifier(
            store=self.inputs.parts.store,
            results=self.results,
            engines=engines,
            keys_dir=self.services.home.keys_dir,
            rule=self.rule,
            is_cached=self.cache,
            progress=self.inputs.parts.display.step,
        )


def _open_cluster(
    dask: Client | str, services: Services, store: SqliteBlockStore, *, strict: bool
) -> tuple[Engine, int]:
    """Return an engine on the workers of a cluster, and how many calls keep them busy.

    Raises:
        UserError: it is no client and no address.
        UnavailableError: no scheduler answers, or its workers are of another release.
    """
    from bacalhau.cluster import ClusterOptions, open_cluster
    from runtime.machine_room import RoomFlags, cluster_limit

    address = dask if isinstance(dask, str) else getattr(getattr(dask, "scheduler", None), "address", None)
    if not isinstance(address, str) or not address:
        raise UserError(f"{dask!r} is no Dask client", where="Executor(dask=…)", fix="give a Client or tcp://host:port")
    limit = cluster_limit(services.home.store_path, RoomFlags())
    runtime = services.make_runtime(store)
    engine, total = open_cluster(
        ClusterOptions(scheduler=address), runtime, store, limit=limit, engine="node", strict=strict
    )
    return engine, max(1, total.total().cpu_milli // 1000)


def _silent(_phrase: str) -> None:
    """Tell nobody."""

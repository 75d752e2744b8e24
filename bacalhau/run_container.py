"""One container from request to report: plans, runs it as often as asked, keeps what came of it. Reads the clock."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

from bacalhau.container_report import FailedRun, Repeated, container_job, container_report
from bacalhau.input_records import check_parents, parent_records
from bacalhau.output_texts import read_texts
from bacalhau.progress import Display
from bacalhau.services import Services
from bacalhau.taint_report import require_verified
from runtime.container_engine import ContainerEngine, ContainerRun, IncompleteRunError
from runtime.container_outcome import judge
from runtime.container_plan import ContainerPlan
from runtime.container_prepare import find_image_anywhere, prepare_container
from runtime.container_request import ContainerRequest
from runtime.contents import Noted
from runtime.engine import UndeterminedError
from storage.blocks import BlockStore
from storage.cid import CID, cid_text
from storage.sqlite_block_store import SqliteBlockStore
from storage.sqlite_pins import hold
from storage.unixfs_read import UnixfsReader
from verifier.model import store_node
from verifier.taint import find_taint
from verifier.unverified_types import TIER, UnverifiedRecord, UnverifiedRun


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerOrder:
    """What is to be run, and how often."""

    request: ContainerRequest
    times: int = 1
    labels: tuple[str, ...] = ()
    require_verified: bool = False
    """Refuse inputs that come from something unverified."""
    selector: tuple[tuple[str, str], ...] = ()
    """Labels (name, value) that nodes must have."""


def plan_container(order: ContainerOrder, services: Services, display: Display) -> dict[str, Any]:
    """Return what would run; nothing does, but an image that is not here is pulled.

    Raises:
        UserError, UnavailableError, VerificationError: as `prepare_container`.
    """
    noted: list[Noted] = []
    with services.open_store() as store:
        plan = prepare_order(order, services.make_containers(services.home), services, store, display, noted)
    x = plan.input
    return {
        "task": cid_text(plan.task),
        "function": cid_text(plan.function_cid),
        "input": cid_text(plan.input_cid),
        "tier": TIER,
        **{name: value for name, value in plan.function.to_node().items() if name != "v"},
        "data": None if x.data is None else cid_text(x.data),
        "volumes": [{"path": volume.path, "cid": cid_text(volume.cid)} for volume in x.volumes],
        "outputs": [{"name": output.name, "path": output.path} for output in x.outputs],
        "env": dict(x.env),
        "limits": x.limits.to_node(),
        "timeout_s": plan.wall_clock_s,
        "times": order.times,
    }


def run_container(order: ContainerOrder, services: Services, display: Display) -> dict[str, Any]:
    """Run an order to its end, keep the job and return its report, whatever came of it.

    Raises:
        UserError, UnavailableError, VerificationError: as `prepare_container` and `ContainerEngine.run`; no job is kept
            then.
    """
    created_at, started = time.time(), time.perf_counter()
    noted: list[Noted] = []
    with ExitStack() as stack, services.open_store() as store, services.open_jobs() as jobs:
        engine = services.make_containers(services.home)
        stack.callback(engine.stop)
        for name in engine.sweep():
            display.step(f"removed what a run left behind: {name}")
        plan = prepare_order(order, engine, services, store, display, noted)
        hold(store, plan.task)
        parents = parent_records(order.request.content, plan, store, jobs, services)
        check_parents(parents)
        if order.require_verified:
            require_verified(parents, store)
        prepared = time.perf_counter()
        repeated = _repeat(plan, engine, store, order.times, display)
        finished = time.perf_counter()
        record = _keep_record(plan, repeated, parents, store)
        taint = find_taint(store, parents if record is None else [record])
        report = container_report(
            job=uuid.uuid4().hex,
            created_at=created_at,
            labels=order.labels,
            image=order.request.image,
            plan=plan,
            repeated=repeated,
            record=record,
            texts=None if repeated.output is None else read_texts(UnixfsReader(store), repeated.output),
            taint=taint,
            noted=noted,
            timings_s={"prepare": prepared - started, "run": finished - prepared, "total": finished - started},
        )
        jobs.add(container_job(report, created_at, plan, record, repeated.output))
    return report


def prepare_order(
    order: ContainerOrder,
    engine: ContainerEngine,
    services: Services,
    store: SqliteBlockStore,
    display: Display,
    noted: list[Noted],
    *,
    may_be_elsewhere: bool = False,
) -> ContainerPlan:
    """Return the plan of an order; what was fetched for it is noted.

    may_be_elsewhere: an image that is named by its id need not be known here, as long as somebody else has it.

    Raises:
        UserError, UnavailableError, VerificationError: as `prepare_container`.
    """
    return prepare_container(
        order.request,
        find_image=partial(find_image_anywhere, engine) if may_be_elsewhere else engine.find_image,
        store=store,
        cache_dir=services.home.cache_dir,
        progress=display.step,
        report=display.transfer,
        note=noted.append,
        hold=partial(hold, store),
    )


def _repeat(plan: ContainerPlan, engine: ContainerEngine, store: BlockStore, times: int, display: Display) -> Repeated:
    """Run a plan several times, as many at once as there are cores and the engine has room for."""

    def run(number: int) -> ContainerRun:
        label = f"node {number}"  # a line of its own on a terminal
        return engine.run(plan, store, lambda phrase: display.step(f"{label}: {phrase}"))

    pool = ThreadPoolExecutor(max_workers=min(times, os.cpu_count() or 1), thread_name_prefix="container")
    futures = [pool.submit(run, number) for number in range(1, times + 1)]
    try:
        ended = [_ended(number, future) for number, future in enumerate(futures, 1)]
    except BaseException:  # an interrupt as well: containers end before the command does
        engine.stop()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    runs = tuple(one for one in ended if isinstance(one, ContainerRun))
    return Repeated(
        asked=times,
        runs=runs,
        failed=tuple(one for one in ended if isinstance(one, FailedRun)),
        verdict=judge(runs, asked=times),
    )


def _ended(number: int, future: Future[ContainerRun]) -> ContainerRun | FailedRun:
    try:
        return future.result()
    except IncompleteRunError as error:
        return FailedRun(number=number, reason=str(error), stdout=error.stdout, stderr=error.stderr)
    except UndeterminedError as error:
        return FailedRun(number=number, reason=str(error), stdout=b"", stderr=b"")


def _keep_record(plan: ContainerPlan, repeated: Repeated, parents: Sequence[CID], store: BlockStore) -> CID | None:
    """Store the record, if every run gave the same, and return its CID."""
    output, exit_code = repeated.output, repeated.exit_code
    if output is None or exit_code is None:
        return None
    runs = tuple(UnverifiedRun(output=run.output, exit_code=run.exit_code, engine=run.engine) for run in repeated.runs)
    record = UnverifiedRecord(
        tier=TIER,
        task=plan.task,
        function=plan.function_cid,
        input=plan.input_cid,
        output=output,
        exit_code=exit_code,
        runs=runs,
        parents=tuple(sorted(set(parents))),
    )
    return store_node(store, record)

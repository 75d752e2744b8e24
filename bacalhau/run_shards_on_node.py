"""A job over shards on a running node: planned and split here, submitted as one list, followed to its end.

The function and its runtime travel once, if the node lacks them, and not with every shard.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bacalhau.input_records import parent_records
from bacalhau.job_events import event_phrase
from bacalhau.run_job import make_task
from bacalhau.run_on_node import common_body, find_present, follow_job, parent_blocks, refuse_strict
from bacalhau.run_spans import run_tracing
from bacalhau.shard_report import ShardTotals
from bacalhau.taint_report import require_verified
from network.shard_list import MAX_SHARDS, ListedShard, listed, store_shards
from runtime.shard_plan import shard_tasks
from runtime.shards import BATCH_FLAG
from storage.car import car_pieces
from storage.cid import CID, cid_text
from storage.dag_walk import VisitKey, visit_key, walk
from storage.errors import UnavailableError, UserError
from storage.gateway_answer import gathered
from storage.sqlite_pins import hold
from verifier.wasm_types import parts_of

if TYPE_CHECKING:
    from bacalhau.node_client import NodeClient
    from bacalhau.progress import Display
    from bacalhau.run_shards_job import Count, ShardedOrder
    from bacalhau.services import Services
    from runtime.contents import Noted
    from runtime.engine import Plan
    from storage.blocks import BlockStore


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmittedShards:
    """A job over shards that the node has accepted."""

    job: str
    function: CID
    input: CID
    shards: int
    root: CID
    """The list of its shards, in the store here."""
    parents: tuple[CID, ...]
    """Records that every shard comes from."""
    data: CID
    """What was split."""
    data_parents: tuple[CID, ...]
    """Records that it comes from; a shard names those that gave something of it."""

    def to_json(self) -> dict[str, Any]:
        """Return what `run --no-wait --json` prints."""
        cids = {"function": cid_text(self.function), "input": cid_text(self.input)}
        return {"job": self.job, "state": "running", "task": None, **cids, "shards": self.shards}


def submit_shards_to_node(
    sharded: ShardedOrder, services: Services, display: Display, node: NodeClient, announce: Callable[[str], None]
) -> SubmittedShards:
    """Plan and split an order, and have the node accept it; announce its id before the node is asked.

    Raises:
        UserError, UnavailableError, VerificationError: as `runtime.prepare.prepare`, `shard_tasks` and `NodeClient`.
    """
    order, sharding = sharded.order, sharded.sharding
    refuse_strict(order)
    noted: list[Noted] = []
    with run_tracing(os.environ) as tracing, services.open_store() as store, services.open_jobs() as jobs:
        traced = tracing.begin()
        whole = make_task(order, services, store, services.make_engine(), traced.watched(display), noted)
        traced.prepared()
        hold(store, whole.task)
        if whole.input.data is None:
            raise UserError("there is no input to split", where="--sharding-glob-pattern", fix="give one with -i")
        display.step("splitting the input")
        shards = list(_bounded(sharded, whole, store))
        cid = store_shards(
            store,
            shards,
            data=whole.input.data,
            pattern=sharding.pattern.text,
            base=sharding.base,
            batch_size=sharding.batch_size,
        )
        hold(store, cid)
        parents = sorted(
            {*parent_records(order.request, whole, store, jobs, services, of_data=False), *sharded.volume_records}
        )
        of_data = sorted(
            {*parents, *parent_records(order.request, whole, store, jobs, services), *sharded.data_records}
        )
        if order.require_verified:
            require_verified(of_data, store)
        job = traced.job
        body = {"shards": cid_text(cid), "no_cache": not sharded.asks_first} | common_body(order, job, parents, noted)
        if of_data != parents:
            body["data_parents"] = [cid_text(parent) for parent in of_data if parent not in parents]
        if sharded.max_failures is not None:
            body["max_failures"] = sharded.max_failures
        announce(job)
        _submit(node, store, body, cid, whole, of_data, display)
    return SubmittedShards(
        job=job,
        function=whole.function_cid,
        input=whole.input_cid,
        shards=len(shards),
        root=cid,
        parents=tuple(parents),
        data=whole.input.data,
        data_parents=tuple(parent for parent in of_data if parent not in parents),
    )


def _bounded(sharded: ShardedOrder, whole: Plan, store: BlockStore) -> Iterator[ListedShard]:
    for task in shard_tasks(whole, sharded.sharding, store):
        if task.shard.index >= MAX_SHARDS:
            problem = f"there are more than {MAX_SHARDS} shards, which is what a node takes"
            raise UserError(problem, where=BATCH_FLAG, fix="choose larger batches")
        yield listed(task.plan.task, picks=task.shard.picks, first=task.shard.first)


def _submit(
    node: NodeClient,
    store: BlockStore,
    body: dict[str, Any],
    shards: CID,
    whole: Plan,
    parents: Iterable[CID],
    display: Display,
) -> None:
    if not node.is_elsewhere:
        node.submit(body)
        return
    display.step("sending the shards to the node")
    parts = {visit_key(part) for part in parts_of(whole.function)}
    is_there = node.has_block(whole.function_cid)
    _upload(node, _blocks(store, shards, parents, without=parts if is_there else set()), shards)
    try:
        node.submit(body)
    except UnavailableError:
        if not is_there:
            raise
        # It has the function, and not all that it consists of.
        _upload(node, _blocks(store, whole.function_cid, (), without=set()), whole.function_cid)
        node.submit(body)


def _upload(node: NodeClient, blocks: Iterator[tuple[CID, bytes]], root: CID) -> None:
    node.put_blocks(gathered(car_pieces([root], blocks)))


def _blocks(
    store: BlockStore, root: CID, parents: Iterable[CID], *, without: set[VisitKey]
) -> Iterator[tuple[CID, bytes]]:
    """Yield what is below a root, and the proofs of inputs, each block once; nothing below `without`."""
    seen = set(without)
    for source in (walk(store, root, skip=without), parent_blocks(store, parents)):
        for cid, data in source:
            if visit_key(cid) not in seen:
                seen.add(visit_key(cid))
                yield cid, data


def wait_for_shards(
    job: str,
    node: NodeClient,
    display: Display,
    count: Count,
    find_again: Callable[[], NodeClient | None],
    pause: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """Follow a job over shards to its end, counting, and return its report.

    Raises:
        UnavailableError: the node stays away, or the job ended without a report.
    """
    for event in follow_job(job, node, find_again, pause):
        if event["kind"] == "shards":
            count(totals_of(event["detail"]), _number(event["detail"], "of"))
        else:
            display.step(event_phrase(event))
    with find_present(job, find_again) as present:
        view = present.job(job)
    report = view["report"]
    if not isinstance(report, dict):
        raise UnavailableError("ended without a report", where=job, fix=f"see `bacalhau events {job[:8]}`")
    return report


def totals_of(detail: dict[str, Any]) -> ShardTotals:
    """Return the counts of an event `shards`."""
    ended, agreed = _number(detail, "ended"), _number(detail, "agreed")
    return ShardTotals(
        shards=ended,
        verified=agreed,
        cached=_number(detail, "cached"),
        failed=max(0, _number(detail, "failed") - (ended - agreed)),
    )


def _number(detail: dict[str, Any], name: str) -> int:
    value = detail.get(name)
    return value if isinstance(value, int) and value >= 0 else 0

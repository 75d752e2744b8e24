"""One job from request to report on a running node: plans here, submits there, follows it to its end.

A connection that ends is taken up again where it was: a node that is killed goes on with its jobs when it is back.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bacalhau.input_records import check_parents, parent_records
from bacalhau.job_events import event_phrase
from bacalhau.proof import proof_blocks
from bacalhau.report import origin_list
from bacalhau.run_job import make_task
from bacalhau.run_spans import run_tracing
from bacalhau.taint_report import require_verified
from storage.car import car_pieces
from storage.cid import CID, cid_text
from storage.dag_walk import VisitKey, links_of, visit_key, walk
from storage.errors import UnavailableError, UserError
from storage.gateway_answer import gathered
from storage.sqlite_pins import hold
from verifier.unverified_types import UnverifiedRecord, load_any_record

if TYPE_CHECKING:
    from bacalhau.node_client import NodeClient
    from bacalhau.progress import Display
    from bacalhau.run_job import Order
    from bacalhau.services import Services
    from runtime.contents import Noted
    from runtime.engine import Plan
    from storage.blocks import BlockStore

RETURN_S: Final = 60.0
"""How long a node may be away before one gives up on following it; the job goes on when it is back."""
_PAUSE_S: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmittedJob:
    """A job that the node has accepted."""

    job: str
    task: CID
    function: CID
    input: CID

    def to_json(self) -> dict[str, Any]:
        """Return what `run --no-wait --json` prints."""
        cids = {"task": self.task, "function": self.function, "input": self.input}
        return {"job": self.job, "state": "running", **{name: cid_text(cid) for name, cid in cids.items()}}


def submit_to_node(
    order: Order, services: Services, display: Display, node: NodeClient, announce: Callable[[str], None]
) -> SubmittedJob:
    """Plan an order and have the node accept it; announce its id before the node is asked.

    Raises:
        UserError, UnavailableError, VerificationError: as `runtime.prepare.prepare` and `NodeClient`.
    """
    refuse_strict(order)
    noted: list[Noted] = []
    with run_tracing(os.environ) as tracing, services.open_store() as store, services.open_jobs() as jobs:
        traced = tracing.begin()
        plan = make_task(order, services, store, services.make_engine(), traced.watched(display), noted)
        traced.prepared(cid_text(plan.task))
        hold(store, plan.task)
        parents = parent_records(order.request, plan, store, jobs, services)
        check_parents(parents)
        if order.require_verified:
            require_verified(parents, store)
        submit_plan(order, plan, parents, noted, store, display, node, announce, traced.job)
    return SubmittedJob(job=traced.job, task=plan.task, function=plan.function_cid, input=plan.input_cid)


def submit_plan(
    order: Order,
    plan: Plan,
    parents: Sequence[CID],
    noted: Sequence[Noted],
    store: BlockStore,
    display: Display,
    node: NodeClient,
    announce: Callable[[str], None],
    job: str,
) -> None:
    """Have the node accept a plan that is held here, as the job of an id, which is announced before it is asked.

    Raises:
        UnavailableError: a block of it is not here.
        BacalhauError: as `NodeClient`.
    """
    is_there = False
    if node.is_elsewhere:
        display.step("sending the task to the node")
        # A function and its runtime are tens of megabytes, and travel once rather than with every task.
        is_there = node.has_block(plan.function_cid)
        parts = links_of(plan.function_cid, store.get(plan.function_cid)) if is_there else ()
        upload(node, store, plan.task, parents, without={visit_key(part) for part in parts})
    announce(job)
    body = {"task": cid_text(plan.task), "no_cache": order.no_cache, **common_body(order, job, parents, noted)}
    try:
        node.submit(body)
    except UnavailableError:
        if not is_there:
            raise
        # It has the function, and not all that it consists of.
        upload(node, store, plan.function_cid, ())
        node.submit(body)


def refuse_strict(order: Order) -> None:
    """Refuse what no node can be held to.

    Raises:
        UserError: the order asks for a whole jail.
    """
    if order.strict:
        fix = "leave it out, or run with --local"
        raise UserError("is about this machine, and a node chooses others", where="--isolation strict", fix=fix)


def common_body(order: Order, job: str, parents: Sequence[CID], noted: Sequence[Noted]) -> dict[str, Any]:
    """Return what `POST /jobs` is told of every job, one task or many."""
    return {
        "job": job,
        "rule": order.rule.to_node(),
        "min_bids": order.min_bids,
        "labels": list(order.labels),
        "selector": dict(order.selector),
        "timeout_s": order.request.timeout_s,
        "parents": [cid_text(parent) for parent in parents],
        "origins": origin_list(noted),
        **({"require_verified": True} if order.require_verified else {}),
        **({} if order.trust is None else {"trust": order.trust.asked, "bad_nodes": order.trust.bad}),
    }


def wait_for_report(
    job: str,
    node: NodeClient,
    display: Display,
    find_again: Callable[[], NodeClient | None],
    pause: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """Follow a job to its end and return its report.

    find_again: finds the node when it was away, perhaps at another address.

    Raises:
        UnavailableError: the node stays away, or the job ended without a verdict.
    """
    for event in follow_job(job, node, find_again, pause):
        display.step(event_phrase(event))
    with find_present(job, find_again) as present:
        view = present.job(job)
    report = view["report"]
    if not isinstance(report, dict):
        said = "was cancelled" if view["cancelled"] else "ended without a verdict"
        raise UnavailableError(said, where=job, fix=f"see `bacalhau events {job[:8]}`")
    return report


def follow_job(
    job: str,
    node: NodeClient,
    find_again: Callable[[], NodeClient | None],
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[dict[str, Any]]:
    """Yield the events of a job as they happen, to the last.

    Raises:
        UnavailableError: the node stays away.
        BacalhauError: as `NodeClient.follow`.
    """
    after, owned = 0, False
    while True:
        try:
            for event in node.follow(job, after=after):
                after = event["number"]
                yield event
        except UnavailableError:
            if owned:
                node.close()
            node, owned = _await_node(job, find_again, pause), True
            continue
        if owned:
            node.close()
        return


def _await_node(job: str, find_again: Callable[[], NodeClient | None], pause: Callable[[float], None]) -> NodeClient:
    for _ in range(round(RETURN_S / _PAUSE_S)):
        pause(_PAUSE_S)
        try:
            node = find_again()
        except UnavailableError:
            continue
        if node is not None:
            return node
    raise UnavailableError(
        "the node is away", where=job, fix=f"start it again; then `bacalhau events -f {job[:8]}` goes on"
    )


def find_present(job: str, find_again: Callable[[], NodeClient | None]) -> NodeClient:
    """Return the node after the end of a job; the caller closes it.

    Raises:
        UnavailableError: it is away.
    """
    node = find_again()
    if node is None:
        raise UnavailableError("the node is away", where=job, fix="start it again; the job has ended")
    return node


def parent_blocks(store: BlockStore, parents: Iterable[CID]) -> Iterator[tuple[CID, bytes]]:
    """Yield what a node needs of records that inputs come from: their proofs, or of unverified ones what they gave.

    What the proofs have in common, such as the runtime, is read once for all of them.
    """
    verified: list[CID] = []
    for parent in parents:
        record = load_any_record(store, parent)
        if isinstance(record, UnverifiedRecord):
            yield parent, store.get(parent)
            yield from walk(store, record.output)
        else:
            verified.append(parent)
    yield from proof_blocks(store, *verified)


def upload(
    node: NodeClient, store: BlockStore, root: CID, parents: Iterable[CID], *, without: Collection[VisitKey] = ()
) -> None:
    """Send a node all that it needs of a task, or of another root, and of the records that its inputs come from."""
    node.put_blocks(gathered(car_pieces([root], _blocks(store, root, parents, without=without))))


def _blocks(
    store: BlockStore, root: CID, parents: Iterable[CID], *, without: Collection[VisitKey]
) -> Iterator[tuple[CID, bytes]]:
    """Yield what a node needs: a root with everything below it, and the proofs of inputs; nothing below `without`."""
    seen = set(without)
    for source in (walk(store, root, skip=without), parent_blocks(store, parents)):
        for cid, data in source:
            if visit_key(cid) not in seen:
                seen.add(visit_key(cid))
                yield cid, data

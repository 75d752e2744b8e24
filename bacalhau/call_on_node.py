"""Calls of the Python API on a running node: submitted, followed, and brought here.

For several threads at once. Where the node keeps its blocks elsewhere, what it says is audited and then kept in this
home, so that a result can be read, and be another call's input, as one of a call that ran here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import TYPE_CHECKING, Any

from bacalhau.call_terms import EXECUTOR, CallTerms
from bacalhau.remote_proof import Claimed, take_proof
from bacalhau.run_on_node import find_present, submit_plan, wait_for_report
from storage.cid import CID, cid_text
from storage.errors import BacalhauError, UnavailableError, UserError, VerificationError
from storage.sqlite_pins import hold
from verifier.model import Input, Task, load_node

if TYPE_CHECKING:
    from bacalhau.node_client import NodeClient
    from bacalhau.progress import Display
    from bacalhau.run_job import Order
    from bacalhau.run_shards_job import ShardedOrder
    from bacalhau.run_shards_on_node import SubmittedShards
    from bacalhau.services import Services
    from network.job_shards import JobShard
    from network.job_store import JobStore
    from runtime.engine import Plan
    from storage.sqlite_block_store import SqliteBlockStore


@dataclass(kw_only=True)
class CallsOnNode:
    """What has calls run on nodes, and knows which are under way."""

    services: Services
    store: SqliteBlockStore
    jobs: JobStore
    display: Display
    _under_way: dict[str, CallTerms] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)
    _sending: Lock = field(default_factory=Lock)
    """A node takes few CARs at a time, and the next task needs less when it has the function of this one."""
    _stopped: Event = field(default_factory=Event)

    def call(
        self, order: Order, plan: Plan, parents: Sequence[CID], terms: CallTerms, node: NodeClient, job: str
    ) -> dict[str, Any]:
        """Run a task on a node and return its report; its output and record are in this home then, if there are any.

        terms: by which the node is found again where it was away; job: its id.

        Raises:
            BacalhauError: as `submit_plan`, `wait_for_report` and `take_proof`.
            UnavailableError: what was agreed is not there, or this was stopped.
        """
        # From here on a garbage collection leaves the task alone; what one has taken before is noticed now.
        hold(self.store, plan.task)
        with self._known(terms) as announce:
            with self._turn(node):
                submit_plan(order, plan, parents, (), self.store, self.display, node, announce, job)
            self._cancel_if_stopped(job, terms)
            report = wait_for_report(job, node, self.display, self._again(terms), self._pause)
        if report["task"] != cid_text(plan.task):
            raise VerificationError("answers with the report of another task", where=node.name)
        if report["output"] is not None and report["stdout"] is None:
            raise UnavailableError(report["reason"] or "the agreed output is not here", where=job)
        if node.is_elsewhere:
            self._take(report, plan.task, order, parents, terms)
        return report

    def shard(self, sharded: ShardedOrder, terms: CallTerms, node: NodeClient) -> dict[str, Any]:
        """Run an order over shards on a node and return its report with all shards; raises as `call`."""
        from bacalhau.run_shards_on_node import submit_shards_to_node, wait_for_shards
        from bacalhau.shard_report import complete_report

        with self._known(terms) as announce:
            with self._turn(node):
                sent = submit_shards_to_node(sharded, self.services, self.display, node, announce)
            self._cancel_if_stopped(sent.job, terms)
            report = wait_for_shards(
                sent.job, node, self.display, lambda _totals, _count: None, self._again(terms), self._pause
            )
        if report["tier"] == "verified" and report["reason"]:
            # What was agreed is not all there: the output is less than what the shards gave.
            raise UnavailableError(report["reason"], where=sent.job)
        if not node.is_elsewhere:
            return complete_report(report, self.jobs.each_shard(sent.job))
        return self._take_shards(report, sent, sharded, terms)

    def stop(self) -> None:
        """Have nodes give up what is under way; those that wait for it say so. May be called from any thread."""
        self._stopped.set()
        with self._lock:
            under_way = dict(self._under_way)
        for job, terms in under_way.items():
            self._cancel(job, terms)

    def _turn(self, node: NodeClient) -> AbstractContextManager[object]:
        """Return what lets one task at a time be sent to a node elsewhere."""
        return self._sending if node.is_elsewhere else nullcontext()

    @contextmanager
    def _known(self, terms: CallTerms) -> Iterator[Any]:
        """Give what is told the id of a job, which is under way inside; given up if a person interrupts."""
        announced: list[str] = []

        def announce(job: str) -> None:
            announced.append(job)
            with self._lock:
                self._under_way[job] = terms
            if self._stopped.is_set():
                raise UnavailableError("the executor was stopped", where=EXECUTOR)

        try:
            yield announce
        except Exception:
            raise
        except BaseException:
            for job in announced:
                self._cancel(job, terms)
            raise
        finally:
            with self._lock:
                for job in announced:
                    self._under_way.pop(job, None)

    def _cancel_if_stopped(self, job: str, terms: CallTerms) -> None:
        """Give a job up that the node had not accepted yet when this was stopped."""
        if self._stopped.is_set():
            self._cancel(job, terms)

    def _cancel(self, job: str, terms: CallTerms) -> None:
        # It may not have begun, or have ended, or the node be away: then there is nothing to give up.
        with suppress(BacalhauError):
            node = terms.find_node(self.services, EXECUTOR)
            if node is not None:
                with node:
                    node.cancel(job)

    def _again(self, terms: CallTerms) -> Any:
        return lambda: terms.find_node(self.services, EXECUTOR)

    def _pause(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise UnavailableError("the executor was stopped", where=EXECUTOR)

    def _take(
        self, report: Mapping[str, Any], task: CID, order: Order, parents: Sequence[CID], terms: CallTerms
    ) -> None:
        if report["output"] is not None:
            with find_present(report["job"], self._again(terms)) as node:
                claim = Claimed.of(report, task, order.rule, parents, node.name)
                take_proof(node, report["job"], [claim], self.store, self.services.home.cache_dir)
        self._keep(report)

    def _take_shards(
        self, report: Mapping[str, Any], sent: SubmittedShards, sharded: ShardedOrder, terms: CallTerms
    ) -> dict[str, Any]:
        from bacalhau.remote_shards import check_said, rows_from_node
        from bacalhau.shard_report import complete_report, shard_entry
        from network.shard_list import load_shards

        _, listed = load_shards(self.store, sent.root)
        tasks = {number: one.task for number, one in enumerate(listed)}
        with find_present(report["job"], self._again(terms)) as node:
            rows = tuple(rows_from_node(node, report["job"]))
            if any(tasks.get(row.number) != row.task for row in rows):
                raise VerificationError("lists shards of other tasks", where=node.name)
            rule, proven = sharded.order.rule, [row for row in rows if row.output is not None]
            parents = _ParentsOfShards(sent, self.store)
            claims = [Claimed.of(shard_entry(row), row.task, rule, parents.of(row.task), node.name) for row in proven]
            if claims:
                take_proof(node, report["job"], claims, self.store, self.services.home.cache_dir)
            check_said(report, rows, self.store, node.name)
        self._keep(report, rows)
        return complete_report(report, rows)

    def _keep(self, report: Mapping[str, Any], rows: tuple[JobShard, ...] = ()) -> None:
        """Keep the row of a job that ended elsewhere."""
        from bacalhau.remote_shards import job_from_node

        try:
            job = job_from_node(report, rows)
        except (KeyError, TypeError, ValueError, UserError) as error:
            fix = "is the node of this version?"
            raise UnavailableError("answers with what is no report", where=str(report["job"]), fix=fix) from error
        self.jobs.add(job)


class _ParentsOfShards:
    """Which records the input of a shard comes from: the same that a node finds, of what it was told."""

    def __init__(self, sent: SubmittedShards, store: SqliteBlockStore) -> None:
        from runtime.content_givers import ContentGivers

        self._store = store
        self._of_all = sent.parents
        self._givers = ContentGivers(store, sent.data_parents, whole=sent.data)

    def of(self, task: CID) -> tuple[CID, ...]:
        """Return them; raises as `ContentGivers.of`."""
        data = load_node(self._store, load_node(self._store, task, Task).input, Input).data
        return tuple(sorted({*self._of_all, *(() if data is None else self._givers.of(data))}))

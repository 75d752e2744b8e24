"""From the verdicts of all shards to a finished job: their outputs here, merged, with a row for each shard.

Every shard was settled on its own when it ended, so what is left is to bring what is not here yet, and to have the
report made. Begun again after a restart, and doing half of it twice is fine.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

import trio

from network.embedded import SessionResult
from network.job_store import Job
from network.node.datastore import (
    AddEvent,
    Change,
    Datastore,
    Finish,
    JobState,
    Machine,
    Move,
    RemoveBelow,
    Submission,
)
from network.node.job_events import ENDED, FETCHING, MISSING, unverified_words
from network.node.outcome import session_result
from network.node.shard_entry import ShardEntry, read_shard, shards_of
from network.node.shard_outputs import MANY, ShardOutputs, held
from network.protocol_events import TaskEnded
from network.shard_list import ListedShard, ShardList, load_shards
from storage.blocks import BlockMissingError
from storage.cid import CID
from storage.counting import counted
from storage.dag_fetch import fetch_dag
from storage.errors import BacalhauError, UserError, VerificationError
from storage.sqlite_block_store import SqliteBlockStore
from storage.sqlite_pins import hold
from verifier.model import PeerId, Receipt, load_node
from verifier.shard_merge import Merged, merge_shards

TRIES: Final = 6
FIRST_PAUSE_S: Final = 2.0
AT_ONCE: Final = 8
"""Outputs that are fetched one by one at the same time."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SettledShard:
    """A shard that has a verdict."""

    number: int
    listed: ListedShard
    session: SessionResult


class MakeShardsJob(Protocol):
    """Makes the row that `bacalhau list` shows of a job over shards, with its report and their rows. Blocks."""

    def __call__(
        self,
        submission: Submission,
        shards: ShardList,
        settled: Sequence[SettledShard],
        merged: Merged | None,
        *,
        problem: str,
    ) -> Job:
        """Return the job.

        settled: by number; those that were given up are not among them. merged: of the outputs that are here; None if
        there are none. problem: why agreed outputs are not here, or not merged; empty if they are.
        """
        ...


@dataclass(slots=True, kw_only=True)
class ShardSettlement:
    """Jobs over shards, on their way to their ends."""

    store: SqliteBlockStore
    datastore: Datastore
    in_thread: Callable[[Callable[[], Any]], Any]
    outputs: ShardOutputs
    make_job: MakeShardsJob

    def ended(self, news: TaskEnded) -> None:
        """Bring the output of a shard here while others run, if it has one."""
        if news.decision.claim is not None and not news.session.withdrawn:
            self.outputs.want(news.decision.claim[0], [receipt.node for receipt in news.decision.agreeing])

    async def finish(self, submission: Submission, commit: Callable[[Sequence[Change]], Any]) -> None:
        """Finish a job all of whose shards have ended. Blocks that are damaged or gone end it without a verdict.

        Raises:
            UnavailableError: the disk is full.
        """
        job = submission.job
        kept: Mapping[str, bytes] = await self.in_thread(
            lambda: self.datastore.entries_below(Machine.SETTLEMENT, shards_of(job))
        )
        changes: tuple[Change, ...]
        try:
            entries = [entry for entry in map(read_shard, kept.values()) if not entry.outcome.cancelled]
            missing, problem = await self._bring(job, entries, commit)
            finished = await trio.to_thread.run_sync(self._finished, submission, entries, missing, problem)
        except (VerificationError, UserError, BlockMissingError) as error:
            log.warning("job %s ends without a verdict: %s", job, error, extra={"job": job})
            changes, words = (), unverified_words(str(error))
        else:
            changes, words = (Finish(job=finished),), {"verdict": finished.verdict, "shards": len(entries)}
        await commit([
            *changes,
            Move(job=job, state=JobState.ENDED),
            AddEvent(job=job, at=time.time(), kind=ENDED, detail=words),
            RemoveBelow(machine=Machine.SETTLEMENT, prefix=shards_of(job)),
        ])  # fmt: skip

    def _finished(
        self, submission: Submission, entries: Sequence[ShardEntry], missing: frozenset[CID], problem: str
    ) -> Job:
        shards, listed = load_shards(self.store, submission.root)
        outputs = {
            entry.number: entry.outcome.output
            for entry in entries
            if entry.outcome.output is not None and entry.outcome.output not in missing
        }
        merged = None
        if outputs:
            try:
                merged = merge_shards(self.store, outputs)
                hold(self.store, merged.output)
                self.store.sync()
            except (UserError, VerificationError) as error:  # agreed, and no outputs of functions, or too many to merge
                problem = f"they cannot be merged: {error}"
        settled = [
            SettledShard(
                number=entry.number,
                listed=listed[entry.number],
                session=replace(session_result(entry.outcome, submission, self.store), record=entry.record),
            )
            for entry in entries
        ]
        return self.make_job(submission, shards, settled, merged, problem=problem)

    # The outputs

    async def _bring(
        self, job: str, entries: Sequence[ShardEntry], commit: Callable[[Sequence[Change]], Any]
    ) -> tuple[frozenset[CID], str]:
        """Bring what lacks; return the outputs that nobody gives, and why."""
        wanted = {entry.outcome.output: entry for entry in entries if entry.outcome.output is not None}
        missing = await trio.to_thread.run_sync(self._absent, list(wanted))
        if not missing:
            return frozenset(), ""
        await commit([AddEvent(job=job, at=time.time(), kind=FETCHING, detail={"outputs": len(missing)})])
        problem, pause_s = "", FIRST_PAUSE_S
        for attempt in range(TRIES):
            if attempt:
                await trio.sleep(pause_s)
                pause_s *= 2
            for some in _in_parts(missing):
                nodes = await trio.to_thread.run_sync(self._givers, [wanted[output] for output in some])
                await self.outputs.bring(some, nodes)
            missing = await trio.to_thread.run_sync(self._absent, missing)
            problem = await self._bring_singly(missing, wanted)
            missing = await trio.to_thread.run_sync(self._absent, missing)
            if not missing:
                return frozenset(), ""
        detail = {"outputs": len(missing), "reason": problem}
        await commit([AddEvent(job=job, at=time.time(), kind=MISSING, detail=detail)])
        return frozenset(missing), f"those of {counted(len(missing), 'shard')}: {problem}"

    async def _bring_singly(self, missing: Sequence[CID], wanted: Mapping[CID, ShardEntry]) -> str:
        """Fetch outputs one by one, several at a time; return the last problem."""
        problems: list[str] = []
        limiter = trio.CapacityLimiter(AT_ONCE)

        async def bring(output: CID) -> None:
            async with limiter:
                nodes = await trio.to_thread.run_sync(self._givers, [wanted[output]])
                sources = self.outputs.sources(nodes)
                try:
                    await trio.to_thread.run_sync(fetch_dag, self.store, output, sources, abandon_on_cancel=True)
                except BacalhauError as error:
                    problems.append(str(error))

        async with trio.open_nursery() as nursery:
            for output in missing:
                nursery.start_soon(bring, output)
        return problems[-1] if problems else ""

    def _givers(self, entries: Sequence[ShardEntry]) -> list[PeerId]:
        """Return the nodes that agreed on outputs."""
        receipts = [
            load_node(self.store, cid, Receipt)
            for entry in entries
            for cid in entry.outcome.receipts
            if cid not in entry.outcome.dissent
        ]
        return list(dict.fromkeys(receipt.node for receipt in receipts))

    def _absent(self, outputs: Sequence[CID]) -> list[CID]:
        """Hold what is here, and return what is not."""
        return [output for some in _in_parts(outputs) for output in held(self.store, some, self._is_held)]

    def _is_held(self, output: CID) -> bool:
        try:
            hold(self.store, output)
        except BacalhauError:
            return False
        return True


def _in_parts(outputs: Sequence[CID]) -> Iterator[Sequence[CID]]:
    for start in range(0, len(outputs), MANY):
        yield outputs[start : start + MANY]

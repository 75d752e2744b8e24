"""From a verdict to a finished job: makes the record, brings the agreed output here, has the report made.

Begun when the verdict is on disk, and begun again after a restart, so doing half of it twice is fine. What was agreed
stays agreed when nobody gives its bytes any more: then the job says so, and its record can still be checked. A task or
a receipt that cannot be read any more ends the job as well, without a verdict and with the reason.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Protocol

import trio

from network.embedded import SessionResult
from network.job_store import Job
from network.node.container_outcome import ContainerOutcome, read_container_outcome
from network.node.datastore import AddEvent, AddResult, Change, Datastore, Finish, JobState, KeptJob, Move, Submission
from network.node.job_events import ENDED, FETCHING, MISSING, ended_words, unverified_words
from network.node.outcome import read_outcome, session_result
from network.node.shard_settlement import ShardSettlement
from network.node.span import JOB, PUBLICATION, Span, Tell
from network.node.trust_book import TrustBook, witness_in
from network.protocol_events import TaskEnded
from storage.block_source import BlockSource
from storage.blocks import BlockMissingError
from storage.cid import CID, cid_text
from storage.dag_fetch import fetch_dag
from storage.errors import BacalhauError, UnavailableError, UserError, VerificationError
from storage.sqlite_block_store import SqliteBlockStore
from storage.sqlite_pins import check_whole, hold
from verifier.model import PeerId

TRIES: Final = 6
"""To bring an output here, with pauses that double: about a minute in all."""
FIRST_PAUSE_S: Final = 2.0
DISK_PAUSE_S: Final = 10.0
AT_ONCE: Final = 8
"""Outputs that are fetched at the same time."""
log = logging.getLogger(__name__)


class MakeJob(Protocol):
    """Makes the row that `bacalhau list` shows, with its report. Blocks."""

    def __call__(self, submission: Submission, session: SessionResult, *, problem: str) -> Job:
        """Return the job.

        problem: why the output is not here, though it was agreed; empty if it is.
        """
        ...


class MakeContainerJob(Protocol):
    """Makes the row of a container's job, with its record and its report. Blocks."""

    def __call__(self, submission: Submission, outcome: ContainerOutcome, *, problem: str) -> Job:
        """Return the job; problem: as of `MakeJob`."""
        ...


class Sources(Protocol):
    """Finds who may have an output."""

    def __call__(self, first: Sequence[PeerId]) -> Sequence[BlockSource]:
        """Return sources, those of `first` before all others. Called in the node's loop."""
        ...


@dataclass(slots=True, kw_only=True)
class Settlement:
    """All jobs whose verdict is there."""

    store: SqliteBlockStore
    datastore: Datastore
    in_thread: Callable[[Callable[[], object]], object]
    """Runs what uses the datastore."""
    sources: Sources
    make_job: MakeJob
    shards: ShardSettlement
    trust: TrustBook
    nursery: trio.Nursery
    kept: Callable[[], None]
    """Called in the loop when something was kept."""
    make_container_job: MakeContainerJob | None = None
    """None: no job of a container is ever accepted here."""
    tell_span: Tell | None = None
    _limiter: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(AT_ONCE))
    _under_way: set[str] = field(default_factory=set)

    def begin(self, job: str) -> None:
        """Settle a job whose verdict is on disk, in the background."""
        if job not in self._under_way:
            self._under_way.add(job)
            self.nursery.start_soon(self._settle, job)

    def shard_ended(self, news: TaskEnded) -> None:
        """Take a shard's verdict, which is on disk; the job goes on."""
        self.shards.ended(news)

    async def _settle(self, job: str) -> None:
        try:
            while True:
                async with self._limiter:
                    if await self._try(job):
                        return
                await trio.sleep(DISK_PAUSE_S)  # without a place: what one job lacks keeps no other waiting
        finally:
            self._under_way.discard(job)

    async def _try(self, job: str) -> bool:
        """Settle a job; tell whether that is done. A disk that is full now may not be later."""
        began_s = time.time()
        try:
            kept: KeptJob | None = await self.in_thread(lambda: self.datastore.job(job))  # type: ignore[misc]
            if kept is not None and kept.state is JobState.SETTLING and kept.submission.shards is not None:
                await self.shards.finish(kept.submission, lambda changes: self._commit(*changes))
            elif kept is not None and kept.state is JobState.SETTLING:
                await self._commit(*await self._ending(kept))
        except UnavailableError as error:
            log.warning("job %s cannot be finished yet: %s", job, error, extra={"job": job})
            return False
        except Exception:  # one job that cannot be finished does not end the node, now and after each restart
            log.exception("job %s cannot be finished", job, extra={"job": job})
        else:
            if kept is not None and kept.state is JobState.SETTLING:
                self._tell_ended(kept.submission, began_s)
        return True

    def _tell_ended(self, submission: Submission, began_s: float) -> None:
        if self.tell_span is not None:
            job, now_s = submission.job, time.time()
            self.tell_span(Span(job=job, name=PUBLICATION, began_s=began_s, ended_s=now_s))
            self.tell_span(Span(job=job, name=JOB, began_s=submission.created_at, ended_s=now_s))

    async def _ending(self, kept: KeptJob) -> tuple[Change, ...]:
        """Bring and make what a job is finished with, and return what finishes it.

        Blocks that are damaged or gone end it as well, without a verdict: trying again would change nothing.
        """
        job = kept.submission.job
        if kept.submission.unverified:
            return await self._ending_of_container(kept)
        try:
            outcome = read_outcome(kept.outcome)
            session = await trio.to_thread.run_sync(session_result, outcome, kept.submission, self.store)
            agreeing = [receipt.node for receipt in session.receipts if receipt not in session.dissent]
            problem = await self._bring(job, session.output, agreeing)
            finished = await trio.to_thread.run_sync(self._finished, kept.submission, session, problem)
        except (VerificationError, UserError, BlockMissingError) as error:
            log.warning("job %s ends without a verdict: %s", job, error, extra={"job": job})
            return Move(job=job, state=JobState.ENDED), _last_event(job, unverified_words(str(error)))
        words = ended_words(outcome.verdict, session.record)
        changes = (Finish(job=finished), Move(job=job, state=JobState.ENDED), _last_event(job, words))
        if session.record is None or session.cached or kept.submission.task is None:
            return changes
        seen = self.trust.note(witness_in(session, kept.submission.task), session.record)
        task, is_open = kept.submission.task, not kept.submission.selector
        return AddResult(task=task, record=session.record, at=time.time(), is_open=is_open), *seen, *changes

    async def _ending_of_container(self, kept: KeptJob) -> tuple[Change, ...]:
        """Do the same for a container: its output is brought from those who say that it is theirs."""
        submission, make = kept.submission, self.make_container_job or _no_containers
        try:
            outcome = read_container_outcome(kept.outcome)
            said = [one.node for one in outcome.statements if one.statement.output == outcome.output]
            problem = await self._bring(submission.job, outcome.output, said)
            try:
                finished = await trio.to_thread.run_sync(partial(make, submission, outcome, problem=problem))
            except (UserError, VerificationError) as error:
                if problem or outcome.output is None:
                    raise
                why = f"it is no output of a container: {error}"
                finished = await trio.to_thread.run_sync(partial(make, submission, outcome, problem=why))
            await trio.to_thread.run_sync(self.store.sync)
        except (VerificationError, UserError, BlockMissingError) as error:
            log.warning("job %s ends without a report: %s", submission.job, error, extra={"job": submission.job})
            words = unverified_words(str(error))
            return Move(job=submission.job, state=JobState.ENDED), _last_event(submission.job, words)
        words = ended_words(outcome.verdict, finished.record)
        ended = Move(job=submission.job, state=JobState.ENDED)
        return Finish(job=finished), ended, _last_event(submission.job, words)

    def _finished(self, submission: Submission, session: SessionResult, problem: str) -> Job:
        try:
            job = self.make_job(submission, session, problem=problem)
        except (UserError, VerificationError) as error:
            if problem or session.output is None:
                raise
            # Nodes may agree on blocks that are whole, and are not what a function writes.
            job = self.make_job(submission, session, problem=f"it is no output of a function: {error}")
        self.store.sync()  # the row names the record and the output
        return job

    async def _bring(self, job: str, output: CID | None, agreeing: Sequence[PeerId]) -> str:
        """Bring the output here; return why that is not possible, empty if it is here, or there is none."""
        if output is None or await trio.to_thread.run_sync(self._is_here, output):
            return ""
        await self._commit(AddEvent(job=job, at=time.time(), kind=FETCHING, detail={"output": cid_text(output)}))
        problem, pause_s = "", FIRST_PAUSE_S
        for attempt in range(TRIES):
            if attempt:
                await trio.sleep(pause_s)
                pause_s *= 2
            try:
                sources = self.sources(agreeing)
                await trio.to_thread.run_sync(self._fetch, output, sources, abandon_on_cancel=True)
            except BacalhauError as error:
                problem = str(error)
                log.info("job %s: its output is not here yet: %s", job, error, extra={"job": job})
            else:
                return ""
        await self._commit(AddEvent(job=job, at=time.time(), kind=MISSING, detail={"reason": problem}))
        return problem

    def _is_here(self, output: CID) -> bool:
        try:
            hold(self.store, output)
        except BacalhauError:
            return False
        return True

    def _fetch(self, output: CID, sources: Sequence[BlockSource]) -> None:
        fetch_dag(self.store, output, sources)
        check_whole(self.store, [output])

    async def _commit(self, *changes: Change) -> None:
        await self.in_thread(lambda: self.datastore.commit(changes))  # type: ignore[misc]
        self.kept()


def _no_containers(submission: Submission, _outcome: ContainerOutcome, *, problem: str) -> Job:  # noqa: ARG001
    raise VerificationError("this node takes no jobs of containers", where=submission.job)


def _last_event(job: str, words: Mapping[str, Any]) -> AddEvent:
    return AddEvent(job=job, at=time.time(), kind=ENDED, detail=words)

"""The jobs of a requester that have not ended, and what is kept of each when its machine says something.

What the machine reports is kept in the transaction of the machine's own entries. Of a job over shards no single step is
told: thousands of shards are one small entry each, and one event for all that ended at a time.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from network.embedded import SessionResult
from network.message_codec import session_id
from network.node.container_outcome import container_outcome, container_words, write_container_outcome
from network.node.datastore import (
    AddEvent,
    AddResult,
    Change,
    Datastore,
    JobState,
    KeptJob,
    Machine,
    MarkCancelled,
    Move,
    Put,
    Submission,
    Submit,
)
from network.node.job_events import CANCELLED, GIVEN_UP, SHARDS, SUBMITTED, outcome_words, shard_words, step_words
from network.node.open_job import OpenJob
from network.node.outcome import Outcome, keep_outcome, keep_record, known_outcome, without_agreement, write_outcome
from network.node.shard_entry import ShardEntry, read_shard, shard_key, shards_of, write_shard
from network.node.spot_checks import SpotChecks
from network.node.trust_book import TrustBook, witness_by
from network.protocol_events import Action, JobEnded, KeepList, Persist, Report, TaskEnded
from network.requester_entries import read_job, read_step
from network.shard_list import load_shards
from runtime.checkpoint_model import may_resume
from runtime.content_givers import ContentGivers
from storage.blocks import BatchingBlockStore, BlockMissingError
from storage.cid import CID, cid_text, parse_cid
from storage.errors import BacalhauError, UserError, VerificationError
from storage.sqlite_block_store import SqliteBlockStore
from verifier.model import Input, PeerId, Task, load_node, store_node

log = logging.getLogger(__name__)
_KEPT: Final = (KeepList, Report)
MAX_REFUSALS: Final = 64
"""Of one container's session that are told: as many nodes are seldom asked."""


@dataclass(slots=True, kw_only=True)
class RequesterLedger:
    """Open jobs, by id. Functions that read or write the disk are called by one thread at a time."""

    peer: PeerId
    """Ours."""
    store: SqliteBlockStore
    datastore: Datastore
    trust: TrustBook
    checks: SpotChecks
    open: dict[str, OpenJob] = field(default_factory=dict)
    """Jobs whose verdict is not there."""
    sessions: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Job and number of the shard by session, of open jobs; 0 of a job without shards."""

    refusals: dict[str, dict[PeerId, str]] = field(default_factory=dict)
    """By session, of open jobs of containers: why nodes did not take them. In memory alone."""
    has_told: bool = False
    """Events of jobs were kept since this was last set to False."""
    has_counted: bool = False
    """Shards were counted since then: that can wait a little."""

    def add(self, job: OpenJob) -> None:
        """Note a job that is open."""
        name = job.submission.job
        self.open[name] = job
        self.trust.begin(name, job.submission.trust)
        for number, task in enumerate(job.tasks):
            self.sessions[session_id(self.peer, name, task)] = (name, number)

    def remove(self, name: str) -> OpenJob | None:
        """Forget a job that has its verdict."""
        job = self.open.pop(name, None)
        self.trust.end(name)
        for task in () if job is None else job.tasks:
            session = session_id(self.peer, name, task)
            self.sessions.pop(session, None)
            self.refusals.pop(session, None)
        return job

    def refused(self, session: str, peer: PeerId, why: str) -> str:
        """Note why a node does not take a container; return the name of the job if that is new, else nothing."""
        found = self.sessions.get(session)
        if found is None or not self.open[found[0]].submission.unverified:
            return ""
        known = self.refusals.setdefault(session, {})
        if peer in known or len(known) >= MAX_REFUSALS:
            return ""
        known[peer] = why
        return found[0]

    # Reading

    def load(self) -> list[str]:
        """Read the open jobs anew; return the names of those whose verdict is there."""
        unfinished = self.datastore.unfinished()
        self.open, self.sessions = {}, {}
        for kept in unfinished:
            if kept.state is JobState.RUNNING:
                try:
                    self.add(self._read_job(kept))
                except BacalhauError as error:  # its blocks are gone: the others go on
                    log.warning(
                        "job %s cannot be taken up: %s", kept.submission.job, error, extra={"job": kept.submission.job}
                    )
        return [one.submission.job for one in unfinished if one.state is JobState.SETTLING]

    def open_job(self, submission: Submission) -> OpenJob:
        """Return a job that is new.

        Raises:
            UnavailableError, VerificationError: its list of shards cannot be read.
        """
        if submission.shards is None:
            resumes = self._resumes(submission, submission.root)
            return OpenJob(submission=submission, tasks=(submission.root,), resumes=resumes)
        listed, shards = load_shards(self.store, submission.shards)
        tasks = tuple(shard.task for shard in shards)
        # Of one job the inputs differ in their data alone.
        resumes = self._resumes(submission, tasks[0])
        job = OpenJob(submission=submission, tasks=tasks, is_begun=False, resumes=resumes)
        if submission.data_parents:
            job.givers = ContentGivers(self.store, submission.data_parents, whole=parse_cid(listed.data))
        return job

    def _resumes(self, submission: Submission, task: CID) -> bool:
        """Tell whether nodes may go on from checkpoints in a job: a run that is made to compare is whole."""
        if submission.no_cache or submission.unverified:
            return False
        try:
            return may_resume(load_node(self.store, load_node(self.store, task, Task).input, Input))
        except BacalhauError:  # it cannot be read: whoever needs it says so
            return False

    def _read_job(self, kept: KeptJob) -> OpenJob:
        job = self.open_job(kept.submission)
        job.is_cancelled = kept.cancelled
        if job.has_shards:
            entries = self.datastore.entries_below(Machine.SETTLEMENT, shards_of(kept.submission.job))
            job.count(map(read_shard, entries.values()))
        return job

    # Writing

    def keep(self, actions: tuple[Action, ...], changes: list[Change]) -> None:
        """Keep what a batch of the machine's actions wants kept: blocks first, then everything else at once."""
        blocks = BatchingBlockStore(self.store)
        more: list[Change] = []
        told: dict[str, list[ShardEntry]] = {}
        for action in actions:
            if isinstance(action, Persist):
                more += self._told_by(action)
            elif isinstance(action, KeepList):
                store_node(blocks, action.commitments)
            elif isinstance(action, Report) and isinstance(action.news, TaskEnded):
                more += self._ended(action.news, blocks, told)
            elif isinstance(action, Report) and isinstance(action.news, JobEnded):
                more += self._all_ended(action.news.job)
        blocks.flush()
        if any(isinstance(action, _KEPT) for action in actions):
            self.store.sync()  # what is committed below names blocks: of a job, of its lists, of its verdict
        counted = [change for job, entries in told.items() for change in self._count(job, entries)]
        if changes or more or counted:
            # A job is there before its events are, and ends after them.
            first = [change for change in more if isinstance(change, Submit)]
            last = [change for change in more if isinstance(change, Move)]
            rest = [change for change in more if not isinstance(change, Submit | Move)]
            self.datastore.commit([*first, *changes, *rest, *counted, *last])
            self.has_told |= any(isinstance(change, AddEvent) for change in rest)
            self.has_counted |= bool(counted)

    def accept(self, submission: Submission) -> None:
        """Keep a job over shards, before anything is known of them."""
        self.store.sync()
        self.datastore.commit(_submitted(submission))

    def answer(self, job: OpenJob, known: dict[int, SessionResult]) -> None:
        """Keep what was verified before of some shards."""
        entries = [
            ShardEntry(
                number=number, exit_code=exit_code_of(session), record=session.record, outcome=known_outcome(session)
            )
            for number, session in known.items()
        ]
        changes = [change for entry in entries for change in self._kept(job, entry)]
        self.store.sync()  # records that name more parents than those of before
        kept = self.open[job.submission.job]
        tally, is_given_up = copy.deepcopy(kept.tally), kept.is_given_up
        try:
            self.datastore.commit([*changes, *self._count(job.submission.job, entries)])
        except BaseException:  # nothing was kept, and here nobody reads it anew
            kept.tally, kept.is_given_up = tally, is_given_up
            raise

    def answer_whole(self, submission: Submission, known: SessionResult) -> None:
        """Keep a job that is one task, and what was verified of it before."""
        self.store.sync()
        outcome = known_outcome(known)
        move = Move(job=submission.job, state=JobState.SETTLING, outcome=write_outcome(outcome))
        self.datastore.commit([*_submitted(submission), *_events(submission.job, outcome), move])

    def all_known(self, name: str) -> None:
        """Keep that nothing of a job is to be run."""
        self.datastore.commit([Move(job=name, state=JobState.SETTLING)])

    def cancel(self, name: str) -> None:
        """Keep that a job is cancelled that the machine does not have yet."""
        self.datastore.commit(_cancelled(name))

    def _told_by(self, action: Persist) -> list[Change]:
        kind, _, rest = action.key.partition("/")
        if kind == "job" and (job := self.open.get(rest)) is not None:
            if read_job(action.value).cancelled:
                return _cancelled(rest)
            return [] if job.has_shards else _submitted(job.submission)
        found = self.sessions.get(rest.partition("/")[0]) if kind == "step" else None
        if found is None or self.open[found[0]].has_shards:
            return []
        words, detail = step_words(read_step(action.value))
        return [AddEvent(job=found[0], at=time.time(), kind=words, detail=detail)]

    def _ended(self, news: TaskEnded, blocks: BatchingBlockStore, told: dict[str, list[ShardEntry]]) -> list[Change]:
        job = self.open.get(news.job)
        found = self.sessions.get(news.session_id)
        if job is None or found is None:  # told again after a restart, and kept the first time; or nobody's but ours
            return self.checks.ended(news, blocks)
        if job.submission.unverified:
            said = container_outcome(news, self.refusals.get(news.session_id, {}))
            move = Move(job=news.job, state=JobState.SETTLING, outcome=write_container_outcome(said))
            now = time.time()
            words = [AddEvent(job=news.job, at=now, kind=kind, detail=detail) for kind, detail in container_words(said)]
            return [*words, move]
        number, task = found[1], job.tasks[found[1]]
        outcome = keep_outcome(news, blocks)
        if not job.has_shards:
            move = Move(job=news.job, state=JobState.SETTLING, outcome=write_outcome(outcome))
            return [*_events(news.job, outcome), move]
        if number in job.tally.ended:
            return []
        try:
            receipts = (*news.decision.agreeing, *news.decision.dissenting)
            parents = job.parents_of(task, self.store) if outcome.commitments is not None else ()
            record = keep_record(outcome, task, job.submission, blocks, receipts, parents=parents)
        except (
            VerificationError,
            BlockMissingError,
            UserError,
            ValueError,
        ) as error:  # the disk has lost it: not again and again
            log.warning(
                "shard %d of job %s cannot be checked: %s",
                number,
                news.job,
                error,
                extra={"job": news.job, "task": cid_text(task)},
            )
            outcome, record = without_agreement(outcome), None
        exit_code = news.decision.agreeing[0].exit_code if record is not None else None
        entry = ShardEntry(number=number, exit_code=exit_code, record=record, outcome=outcome)
        told.setdefault(news.job, []).append(entry)
        is_open = not job.submission.selector
        result = [] if record is None else [AddResult(task=task, record=record, at=time.time(), is_open=is_open)]
        seen = [] if record is None else self.trust.note(witness_by(news.decision, task), record)
        return [*self._kept(job, entry), *result, *seen]

    def _all_ended(self, name: str) -> list[Change]:
        job = self.open.get(name)
        return [] if job is None or not job.has_shards else [Move(job=name, state=JobState.SETTLING)]

    def _kept(self, job: OpenJob, entry: ShardEntry) -> Iterable[Change]:
        name = job.submission.job
        yield Put(machine=Machine.SETTLEMENT, key=shard_key(name, entry.number), value=write_shard(entry))
        for kind, detail in shard_words(entry):
            yield AddEvent(job=name, at=time.time(), kind=kind, detail=detail)

    def _count(self, name: str, entries: Iterable[ShardEntry]) -> Iterable[Change]:
        """Count shards, before it is known that they are kept: if they are not, all is read anew."""
        job = self.open[name]
        job.count(entries)
        yield AddEvent(job=name, at=time.time(), kind=SHARDS, detail=job.progress())
        if job.has_too_many_failures and not job.is_given_up:
            job.is_given_up = True
            yield AddEvent(job=name, at=time.time(), kind=GIVEN_UP, detail={"failed": job.tally.failed})


def exit_code_of(session: SessionResult) -> int | None:
    """Return the function's exit code, as agreed; None without agreement."""
    if session.record is None:
        return None
    return next(one.exit_code for one in session.receipts if one not in session.dissent)


def _submitted(submission: Submission) -> list[Change]:
    what = {"shards": submission.shard_count} if submission.task is None else {"task": cid_text(submission.task)}
    event = AddEvent(job=submission.job, at=submission.created_at, kind=SUBMITTED, detail=what)
    return [Submit(submission=submission), event]


def _cancelled(name: str) -> list[Change]:
    return [MarkCancelled(job=name), AddEvent(job=name, at=time.time(), kind=CANCELLED)]


def _events(name: str, outcome: Outcome) -> list[Change]:
    return [AddEvent(job=name, at=time.time(), kind=kind, detail=detail) for kind, detail in outcome_words(outcome)]

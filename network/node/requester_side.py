"""The requester's half of a node: its machine, and the jobs behind it.

A job is durable when `submit` returns; a node that was killed finds it in one state and not in two, and begins again
what is left to do. What was verified before is looked up first and asked of nobody.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, Final

import trio

from network.message_codec import decode, encode, version_of
from network.messages import Refuse
from network.node.announcement import Announcement
from network.node.datastore import AddEvent, Change, Datastore, JobState, KeptJob, Machine, Submission
from network.node.job_events import REFUSED
from network.node.known_answers import FindKnown, FindPrior, KnownAnswers, takes_known
from network.node.machine_host import MachineHost, StateMachine, World
from network.node.measures import Measures
from network.node.open_job import OpenJob
from network.node.peer_book import PeerBook
from network.node.requester_ledger import RequesterLedger
from network.node.settlement import Settlement
from network.node.span import Tell
from network.node.spans import SessionSpans
from network.node.spot_checks import SpotChecks
from network.node.trust_book import TrustBook
from network.parcel import pack
from network.protocol_errors import RemoteProtocolError
from network.protocol_events import (
    Accuse,
    Action,
    CancelRequested,
    Heard,
    JobEnded,
    Lost,
    Misbehaved,
    Received,
    Report,
    Send,
    Submitted,
    TaskEnded,
)
from network.requester import Requester
from network.session_events import Phase
from network.session_state import Prior
from storage.cid import CID
from storage.counting import counted
from storage.errors import BacalhauError, UnavailableError, UserError
from storage.sqlite_block_store import SqliteBlockStore
from storage.sqlite_pins import hold
from verifier.identity import Identity
from verifier.model import PeerId

MAX_OPEN: Final = 10_000
"""Jobs that have not ended."""
MAX_OPEN_TASKS: Final = 131_072
"""Tasks of all of them: four jobs of as many shards as one may have, some 1 KiB of memory each."""
MAX_PRIORS: Final = 2_048
"""Shards of one job that are begun from earlier evidence, some 10 KiB of memory each; the others run whole."""
KNOWN_AT_ONCE: Final = 64
"""Shards that are looked up between two commits."""
REVEAL_MS: Final = 30_000
OFFER_MS: Final = 2_000
AROUND_MS: Final = 60_000
"""To fetch a container's inputs, make it, and collect what it gave; a requester waits twice that (`_assign`)."""
DISK_PAUSE_S: Final = 10.0
COUNT_S: Final = 1.0
"""Between two times that followers of a job over shards are told how many have ended."""
log = logging.getLogger(__name__)


class RequesterSide:
    """A requester; `run` is its life."""

    def __init__(
        self,
        *,
        identity: Identity,
        store: SqliteBlockStore,
        datastore: Datastore,
        in_thread: Callable[[Callable[[], Any]], Any],
        book: PeerBook,
        settlement: Settlement,
        trust: TrustBook,
        checks: SpotChecks,
        find_known: FindKnown,
        find_prior: FindPrior,
        check_inputs: Callable[[Submission], None],
        nursery: trio.Nursery,
        say: Callable[[PeerId, bytes], None],
        count_offence: Callable[[Misbehaved], None],
        kept: Callable[[], None],
        measures: Measures,
        tell_span: Tell | None = None,
        queue_s: float = 300.0,
    ) -> None:
        """Make a requester that does not run yet. queue_s: longest search for nodes.

        kept: called in the loop when something was kept that a job's followers may wait for.
        """
        self._identity = identity
        self._store = store
        self._datastore = datastore
        self._in_thread = in_thread
        self._book = book
        self._settlement = settlement
        self._known = KnownAnswers(store=store, book=book, trust=trust, find_known=find_known, find_prior=find_prior)
        self._check_inputs = check_inputs
        self._nursery = nursery
        self._say = say
        self._count_offence = count_offence
        self._kept = kept
        self._measures = measures
        self._spans = None if tell_span is None else SessionSpans(tell=tell_span, own=identity.peer, clock=time.time)
        self._queue_ms = int(queue_s * 1000)
        self._trust, self._checks = trust, checks
        self._ledger = RequesterLedger(peer=identity.peer, store=store, datastore=datastore, trust=trust, checks=checks)
        self._claimed: set[str] = set()
        """Jobs that are being submitted; of those that come with the same id, one goes on and the others wait."""
        self._released = trio.Event()
        self._pending: dict[str, OpenJob] = {}
        """Told to the machine and not durable yet."""
        self._beginning: set[str] = set()
        """Jobs over shards that are being looked up."""
        self._settling: list[str] = []
        self._is_counting = False
        self._parcels: dict[CID, bytes] = {}
        """Blocks of the tasks that the batch at hand tells nodes of."""
        world = World(
            load=self._load,
            keep=self._keep,
            kept=self._tell_followers,
            act=self._act,
            restarted=_nothing,
            in_thread=in_thread,
        )
        self.host = MachineHost(Machine.REQUESTER, self._make, world)

    @property
    def known_nodes(self) -> int:
        """Return how many nodes it has heard of."""
        machine = self.host.machine
        return len(machine.book) if isinstance(machine, Requester) else 0

    @property
    def open(self) -> Mapping[str, OpenJob]:
        """Return the jobs whose verdict is not there."""
        return self._ledger.open

    @property
    def unassigned(self) -> int:
        """Return how many tasks wait for nodes."""
        machine = self.host.machine
        tasks = machine.tasks.values() if isinstance(machine, Requester) else ()
        return sum(task.phase is Phase.ASSIGNING for task in tasks)

    @property
    def _shunned(self) -> frozenset[PeerId]:
        machine = self.host.machine
        return machine.shunned if isinstance(machine, Requester) else frozenset()

    async def run(self) -> None:
        """Run until cancelled."""
        await self.host.run()

    async def submit(self, submission: Submission) -> None:
        """Accept a job; see `NodeControl.submit`."""
        job = submission.job
        while job in self._claimed:
            await self._released.wait()
        self._claimed.add(job)
        try:
            kept: KeptJob | None = await self._in_thread(lambda: self._datastore.job(job))
            if kept is not None:
                _check_same(kept.submission, submission)
            elif submission.shards is None:
                await self._accept(submission)
            else:
                await self._accept_shards(submission)
            self._measures.jobs += kept is None
        finally:
            self._claimed.remove(job)
            self._released.set()
            self._released = trio.Event()

    async def _open_job(self, submission: Submission) -> OpenJob:
        # From here on a collection leaves the task alone; what one has taken before is noticed now.
        await trio.to_thread.run_sync(hold, self._store, submission.root)
        if submission.require_verified:
            await trio.to_thread.run_sync(self._check_inputs, submission)
        job: OpenJob = await trio.to_thread.run_sync(self._ledger.open_job, submission)
        # What it comes from is looked into now, so that too much of it is an answer and no shard's end.
        await trio.to_thread.run_sync(job.parents_of, job.tasks[0], self._store)
        tasks = sum(len(one.tasks) for one in self.open.values()) + len(job.tasks)
        if len(self.open) >= MAX_OPEN or tasks > MAX_OPEN_TASKS:
            problem = f"{counted(len(self.open), 'job')} of {counted(tasks - len(job.tasks), 'task')} are open here"
            raise UserError(problem, where="submit", fix="wait until some have ended")
        return job

    async def _accept(self, submission: Submission) -> None:
        job = await self._open_job(submission)
        known, priors = await self._known.of(job, [submission.root], self._shunned)
        if known:
            await self._in_thread(lambda: self._ledger.answer_whole(submission, known[0]))
            self._measures.known()
            self._kept()
            self._settlement.begin(submission.job)
            return
        self._pending[submission.job] = job
        self._ledger.add(job)
        try:
            # A submitter that goes away now has submitted.
            with trio.CancelScope(shield=True):
                await self.host.ask(self._submitted(job, job.tasks, priors))
            self._mix_in(submission, 1)
        except BacalhauError:
            self._ledger.remove(submission.job)
            raise
        finally:
            del self._pending[submission.job]

    async def _accept_shards(self, submission: Submission) -> None:
        job = await self._open_job(submission)
        with trio.CancelScope(shield=True):
            await self._in_thread(lambda: self._ledger.accept(submission))
        self._kept()
        self._ledger.add(job)
        self._begin(submission.job)

    # Jobs over shards: on disk, and not told to the machine

    def _begin(self, name: str) -> None:
        if name not in self._beginning:
            self._beginning.add(name)
            self._nursery.start_soon(self._begin_soon, name)

    async def _begin_soon(self, name: str) -> None:
        """Look up what is known, and have the machine begin the rest; as often as it takes."""
        try:
            while not await self._try_to_begin(name):
                await trio.sleep(DISK_PAUSE_S)
        finally:
            self._beginning.discard(name)

    async def _try_to_begin(self, name: str) -> bool:
        try:
            if (job := self.open.get(name)) is None:
                return True
            priors = await self._answer_known(job)
            # Read again: meanwhile it may have been made anew.
            if (job := self.open.get(name)) is None or job.is_begun:
                return True
            rest = [task for number, task in enumerate(job.tasks) if number not in job.tally.ended]
            if job.is_cancelled or job.has_too_many_failures or not rest:
                await self._in_thread(lambda: self._ledger.all_known(name))
                self._kept()
                self._ledger.remove(name)
                self._settlement.begin(name)
                return True
            await self.host.ask(self._submitted(job, tuple(rest), priors))
            self._mix_in(job.submission, len(rest))
            if (begun := self.open.get(name)) is not None:
                begun.is_begun = True
                if begun.is_cancelled:
                    self.host.feed(CancelRequested(job=name))
        except BacalhauError as error:
            log.warning("job %s cannot begin yet: %s", name, error, extra={"job": name})
            return False
        return True

    async def _answer_known(self, job: OpenJob) -> dict[CID, Prior]:
        """Keep what is known of shards, and return what is to be added to of others."""
        priors: dict[CID, Prior] = {}
        if not takes_known(job.submission):
            return priors
        for start in range(0, len(job.tasks), KNOWN_AT_ONCE):
            numbers = range(start, min(start + KNOWN_AT_ONCE, len(job.tasks)))
            some = [number for number in numbers if number not in job.tally.ended]
            if job.is_cancelled or job.has_too_many_failures:
                break
            found, more = await self._known.of(job, [job.tasks[number] for number in some], self._shunned)
            priors |= dict(islice(more.items(), MAX_PRIORS - len(priors)))
            if found:
                known = {some[place]: session for place, session in found.items()}
                await self._in_thread(partial(self._ledger.answer, job, known))
                self._measures.known(len(known))
                self._kept()
        return priors

    # Checks among the work

    def _mix_in(self, submission: Submission, tasks: int) -> None:
        count = self._checks.due(tasks) if submission.trust is not None else 0
        for _ in range(count):
            self._nursery.start_soon(self._check_soon)

    async def _check_soon(self) -> None:
        await trio.sleep(self._checks.pause_s())
        make = partial(self._checks.make, 1, reveal_ms=REVEAL_MS, offer_ms=OFFER_MS, queue_ms=self._queue_ms)
        try:
            for check in await trio.to_thread.run_sync(make):
                try:
                    await self.host.ask(check)
                except BaseException:
                    self._checks.forget(check.job)
                    raise
        except BacalhauError as error:  # the disk is full: the next job brings another one
            log.info("a check was not made: %s", error)

    async def cancel(self, job: str) -> None:
        """Give a job up; see `NodeControl.cancel`."""
        kept: KeptJob | None = await self._in_thread(lambda: self._datastore.job(job))
        if kept is None:
            raise UserError("no job here has this id", where=job, fix="see `bacalhau list`")
        if kept.state is not JobState.RUNNING:
            return
        if (known := self.open.get(job)) is not None and not known.is_begun:
            await self._in_thread(lambda: self._ledger.cancel(job))
            self._kept()
            known.is_cancelled = True
        await self.host.ask(CancelRequested(job=job))

    async def receive(self, peer: PeerId, messages: Sequence[bytes]) -> None:
        """Take messages of a node."""
        for message in messages:
            if version_of(message) == Refuse.VERSION:
                await self._note_refusal(peer, message)
            await self.host.bring(Received(peer=peer, message=message))

    async def _note_refusal(self, peer: PeerId, message: bytes) -> None:
        """Tell a container's followers why a node does not take it: they can do something about that."""
        try:
            said = decode(message, peer)
        except RemoteProtocolError:
            return  # the machine counts it
        if isinstance(said, Refuse) and (job := self._ledger.refused(said.session, peer, said.reason)):
            detail = {"node": peer, "reason": said.reason}
            event = AddEvent(job=job, at=time.time(), kind=REFUSED, detail=detail)
            try:
                await self._in_thread(lambda: self._datastore.commit([event]))
            except UnavailableError as error:
                log.info("%s", error)
            else:
                self._kept()

    async def hear(self, said: Announcement) -> None:
        """Take a node's announcement."""
        await self.host.bring(Heard(message=encode(said.capacity), via=said.capacity.node))

    def awaited(self) -> frozenset[PeerId]:
        """Return the other nodes that tasks wait for."""
        machine = self.host.machine
        return machine.awaited - {machine.identity.peer} if isinstance(machine, Requester) else frozenset()

    def lose(self, peer: PeerId) -> None:
        """Wait for a node no longer."""
        self.host.feed(Lost(peer=peer))

    def hear_own(self, said: Announcement) -> None:
        """Take the announcement of the compute node in this process."""
        self.host.feed(Heard(message=encode(said.capacity), via=said.capacity.node))

    # The machine

    def _load(self) -> Mapping[str, bytes]:
        self._trust.load(self._datastore.entries(Machine.TRUST))
        self._settling = self._ledger.load()
        for job in self._pending.values():
            self._ledger.add(job)
        entries = self._datastore.entries(Machine.REQUESTER)
        for name, job in self.open.items():
            job.is_begun = not job.has_shards or f"job/{name}" in entries
        return entries

    def _make(self, entries: Mapping[str, bytes]) -> tuple[StateMachine, tuple[Action, ...]]:
        for name in self._settling:  # also when a commit was made, and said that it was not
            self._settlement.begin(name)
        machine = Requester(self._identity, lambda job: self._unfit(job, machine.book.peers), trust=self._trust)
        actions = machine.restore(entries)
        for said in self._book.announcements():
            actions += machine.handle(Heard(message=encode(said.capacity), via=said.capacity.node))
        for name, job in self.open.items():
            if not job.is_begun:
                self._begin(name)
            elif job.has_too_many_failures:
                actions += machine.handle(CancelRequested(job=name))
        return machine, actions

    def _keep(self, actions: tuple[Action, ...], changes: list[Change]) -> None:
        self._ledger.keep(actions, changes)
        tasks = {action.task for action in actions if isinstance(action, Send) and action.task is not None}
        self._parcels = {task: pack(task, self._store) for task in tasks}

    def _tell_followers(self) -> None:
        if self._ledger.has_told:
            self._ledger.has_told = self._ledger.has_counted = False
            self._kept()
        elif self._ledger.has_counted:
            self._ledger.has_counted = False
            if not self._is_counting:
                self._is_counting = True
                self._nursery.start_soon(self._tell_counts)

    async def _tell_counts(self) -> None:
        """Tell followers how many shards have ended, now and then: each time they look into the datastore."""
        await trio.sleep(COUNT_S)
        self._is_counting = False
        self._kept()

    def _unfit(self, job: str, peers: Sequence[PeerId]) -> frozenset[PeerId]:
        found = self.open.get(job)
        if found is None:
            return self._checks.unfit(job, peers)
        unlike = self._book.unlike(found.submission.selector, peers)
        return unlike | self._book.without_containers(peers) if found.submission.unverified else unlike

    def _act(self, action: Action) -> None:
        if self._spans is not None:
            self._spans.saw(action)
        if isinstance(action, Send):
            if action.task is not None and (parcel := self._parcels.get(action.task)):
                self._say(action.peer, parcel)
            self._say(action.peer, action.message)
        elif isinstance(action, Report):
            self._report(action.news)
        elif isinstance(action, Misbehaved):
            self._count_offence(action)
        elif isinstance(action, Accuse):
            self._measures.convictions[action.blame.kind] += 1
            log.warning(
                "%s is proven to have broken the rules: %s",
                action.blame.node,
                action.blame.kind,
                extra={"peer": action.blame.node},
            )

    def _report(self, news: object) -> None:
        if not isinstance(news, TaskEnded | JobEnded) or (job := self.open.get(news.job)) is None:
            return
        if isinstance(news, TaskEnded):
            self._measures.decided(news.decision, withdrawn=news.session.withdrawn)
        if not job.has_shards or isinstance(news, JobEnded):
            self._ledger.remove(news.job)
            self._settlement.begin(news.job)
        else:
            self._settlement.shard_ended(news)
            if job.is_given_up and not job.is_cancelled:
                job.is_cancelled = True
                self.host.feed(CancelRequested(job=news.job))

    def _submitted(self, job: OpenJob, tasks: tuple[CID, ...], priors: Mapping[CID, Prior]) -> Submitted:
        submission = job.submission
        return Submitted(
            job=submission.job,
            tasks=tasks,
            rule=submission.rule,
            demand=submission.demand,
            seed=secrets.token_hex(32),
            min_bids=submission.min_bids,
            # A container's task says itself how long it runs: this is for what comes before and behind that.
            execute_ms=max(1, int(submission.timeout_s * 1000)) + (AROUND_MS if submission.unverified else 0),
            reveal_ms=REVEAL_MS,
            offer_ms=OFFER_MS,
            queue_ms=self._queue_ms,
            priors=priors,
            unverified=submission.unverified,
            resumes=job.resumes,
        )


def _check_same(known: Submission, new: Submission) -> None:
    if (known.root, known.rule, known.trust) != (new.root, new.rule, new.trust):
        raise UserError("another job has this id", where=new.job, fix="draw a new one")


def _nothing() -> None:
    return

"""The requester's half of a node: its machine, the jobs behind it, and what is kept of them.

A job is durable when `submit` returns. What a machine reports is kept in the transaction of the machine's own entries,
so a node that was killed finds a job in one state and not in two; what is left to do then is begun again.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import trio

from network.message_codec import encode, session_id
from network.node.announcement import Announcement
from network.node.datastore import (
    AddEvent,
    Change,
    Datastore,
    JobState,
    KeptJob,
    Machine,
    MarkCancelled,
    Move,
    Submission,
    Submit,
)
from network.node.job_events import CANCELLED, SUBMITTED, outcome_words, step_words
from network.node.machine_host import MachineHost, StateMachine, World
from network.node.outcome import keep_outcome, write_outcome
from network.node.peer_book import PeerBook
from network.node.settlement import Settlement
from network.protocol_events import (
    Accuse,
    Action,
    CancelRequested,
    Heard,
    KeepList,
    Lost,
    Misbehaved,
    Persist,
    Received,
    Report,
    Send,
    Submitted,
    TaskEnded,
)
from network.requester import Requester
from network.requester_entries import StepEntry, read
from storage.cid import cid_text
from storage.errors import BacalhauError, UserError
from storage.sqlite_block_store import SqliteBlockStore
from storage.sqlite_pins import hold
from verifier.identity import Identity
from verifier.model import PeerId, store_node

MAX_OPEN: Final = 10_000
"""Jobs that have not ended."""
REVEAL_MS: Final = 30_000
OFFER_MS: Final = 2_000
log = logging.getLogger(__name__)


class RequesterSide:
    """A requester; `run` is its life."""

    def __init__(
        self,
        *,
        identity: Identity,
        store: SqliteBlockStore,
        datastore: Datastore,
        in_thread: Callable[[Callable[[], object]], object],
        book: PeerBook,
        settlement: Settlement,
        say: Callable[[PeerId, bytes], None],
        count_offence: Callable[[Misbehaved], None],
        kept: Callable[[], None],
        queue_s: float = 300.0,
    ) -> None:
        """Make a requester that does not run yet. queue_s: longest search for nodes.

        kept: called in the loop when something was kept that a job's followers may wait for.
        """
        self.open: dict[str, Submission] = {}
        """Jobs whose verdict is not there."""
        self._identity = identity
        self._store = store
        self._datastore = datastore
        self._in_thread = in_thread
        self._book = book
        self._settlement = settlement
        self._say = say
        self._count_offence = count_offence
        self._queue_ms = int(queue_s * 1000)
        self._claimed: set[str] = set()
        """Jobs that are being submitted; of those that come with the same id, one goes on and the others wait."""
        self._released = trio.Event()
        self._pending: dict[str, Submission] = {}
        """Told to the machine and not durable yet."""
        self._settling: list[str] = []
        self._sessions: dict[str, str] = {}
        """Job by session, of open jobs."""
        world = World(
            load=self._load, keep=self._keep, kept=kept, act=self._act, restarted=_nothing, in_thread=in_thread
        )
        self.host = MachineHost(Machine.REQUESTER, self._make, world)

    @property
    def known_nodes(self) -> int:
        """Return how many nodes it has heard of."""
        machine = self.host.machine
        return len(machine.book) if isinstance(machine, Requester) else 0

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
            known = await self._known(job)
            if known is not None:
                _check_same(known, submission)
            else:
                await self._accept(submission)
        finally:
            self._claimed.remove(job)
            self._released.set()
            self._released = trio.Event()

    async def _accept(self, submission: Submission) -> None:
        if len(self.open) >= MAX_OPEN:
            raise UserError(f"{MAX_OPEN} jobs are open here", where="submit", fix="wait until some have ended")
        # From here on a collection leaves the task alone; what one has taken before is noticed now.
        await trio.to_thread.run_sync(hold, self._store, submission.task)
        self._pending[submission.job] = submission
        self._add(submission)
        try:
            # A submitter that goes away now has submitted.
            with trio.CancelScope(shield=True):
                await self.host.ask(_submitted(submission, self._queue_ms))
        except BacalhauError:
            self._remove(submission.job)
            raise
        finally:
            del self._pending[submission.job]

    async def cancel(self, job: str) -> None:
        """Give a job up; see `NodeControl.cancel`."""
        kept = await self._in_thread(lambda: self._datastore.job(job))  # type: ignore[misc]
        if kept is None:
            raise UserError("no job here has this id", where=job, fix="see `bacalhau list`")
        if kept.state is JobState.RUNNING:
            await self.host.ask(CancelRequested(job=job))

    async def receive(self, peer: PeerId, message: bytes) -> None:
        """Take a message of a node."""
        await self.host.bring(Received(peer=peer, message=message))

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
        unfinished = self._datastore.unfinished()
        kept = [one for one in unfinished if one.state is JobState.RUNNING]
        self._settling = [one.submission.job for one in unfinished if one.state is JobState.SETTLING]
        self.open, self._sessions = {}, {}
        for submission in (*(one.submission for one in kept), *self._pending.values()):
            self._add(submission)
        return self._datastore.entries(Machine.REQUESTER)

    def _make(self, entries: Mapping[str, bytes]) -> tuple[StateMachine, tuple[Action, ...]]:
        for job in self._settling:  # also when a commit was made, and said that it was not
            self._settlement.begin(job)
        machine = Requester(self._identity, lambda job: self._unfit(job, machine.book.peers))
        actions = machine.restore(entries)
        for said in self._book.announcements():
            actions += machine.handle(Heard(message=encode(said.capacity), via=said.capacity.node))
        return machine, actions

    def _unfit(self, job: str, peers: Sequence[PeerId]) -> frozenset[PeerId]:
        submission = self.open.get(job)
        return frozenset() if submission is None else self._book.unlike(submission.selector, peers)

    def _keep(self, actions: tuple[Action, ...], changes: list[Change]) -> None:
        """Keep blocks first, then everything else at once: entries, jobs, events."""
        more: list[Change] = []
        for action in actions:
            if isinstance(action, Persist):
                more += self._told_by(action)
            elif isinstance(action, KeepList):
                store_node(self._store, action.commitments)
            elif isinstance(action, Report) and isinstance(action.news, TaskEnded):
                more += self._ended(action.news)
        if any(isinstance(action, KeepList | Report) for action in actions):
            self._store.sync()  # what is committed below names blocks: of a job, of its lists, of its verdict
        if changes or more:
            # A job is there before its events are.
            first = [change for change in more if isinstance(change, Submit)]
            self._datastore.commit([*first, *changes, *(change for change in more if not isinstance(change, Submit))])

    def _told_by(self, action: Persist) -> list[Change]:
        kind, _, rest = action.key.partition("/")
        if kind == "job" and (submission := self.open.get(rest)) is not None:
            if self._datastore.job(rest) is not None:  # kept again, because it was cancelled
                return [MarkCancelled(job=rest), AddEvent(job=rest, at=time.time(), kind=CANCELLED)]
            task = cid_text(submission.task)
            event = AddEvent(job=rest, at=submission.created_at, kind=SUBMITTED, detail={"task": task})
            return [Submit(submission=submission), event]
        if kind == "step" and (job := self._sessions.get(rest.partition("/")[0])) is not None:
            words, detail = step_words(read(StepEntry, action.value))
            return [AddEvent(job=job, at=time.time(), kind=words, detail=detail)]
        return []

    def _ended(self, news: TaskEnded) -> list[Change]:
        if news.job not in self.open:
            return []  # told again after a restart, and kept the first time
        outcome = keep_outcome(news, self._store)
        events = [
            AddEvent(job=news.job, at=time.time(), kind=kind, detail=detail) for kind, detail in outcome_words(outcome)
        ]
        return [*events, Move(job=news.job, state=JobState.SETTLING, outcome=write_outcome(outcome))]

    def _act(self, action: Action) -> None:
        if isinstance(action, Send):
            self._say(action.peer, action.message)
        elif isinstance(action, Report):
            if isinstance(action.news, TaskEnded):
                self._remove(action.news.job)
                self._settlement.begin(action.news.job)
        elif isinstance(action, Misbehaved):
            self._count_offence(action)
        elif isinstance(action, Accuse):
            log.warning("%s is proven to have broken the rules: %s", action.blame.node, action.blame.kind)

    # The jobs

    def _add(self, submission: Submission) -> None:
        self.open[submission.job] = submission
        self._sessions[session_id(self._identity.peer, submission.job, submission.task)] = submission.job

    def _remove(self, job: str) -> None:
        submission = self.open.pop(job, None)
        if submission is not None:
            self._sessions.pop(session_id(self._identity.peer, job, submission.task), None)

    async def _known(self, job: str) -> Submission | None:
        kept: KeptJob | None = await self._in_thread(lambda: self._datastore.job(job))  # type: ignore[misc]
        return None if kept is None else kept.submission


def _submitted(submission: Submission, queue_ms: int) -> Submitted:
    return Submitted(
        job=submission.job,
        tasks=(submission.task,),
        rule=submission.rule,
        demand=submission.demand,
        seed=secrets.token_hex(32),
        min_bids=submission.min_bids,
        execute_ms=max(1, int(submission.timeout_s * 1000)),
        reveal_ms=REVEAL_MS,
        offer_ms=OFFER_MS,
        queue_ms=queue_ms,
    )


def _check_same(known: Submission, new: Submission) -> None:
    if (known.task, known.rule) != (new.task, new.rule):
        raise UserError("another job has this id", where=new.job, fix="draw a new one")


def _nothing() -> None:
    return

"""A requester without its world: jobs in, verdicts out, over any number of tasks and nodes. No clock, no I/O.

Every task follows `requester_task`; this keeps the tasks by session, lets as many of them be under way as the known
nodes can take, and looks nodes up in the capacity book. Bytes that are no message, and messages of no session, change
nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final, TypeAlias

from network import requester_steps, requester_task
from network.blame import Blame
from network.capacity_book import GOSSIP_MS, CapacityBook
from network.message_codec import check_signed, decode, encode, session_id
from network.messages import Accepted, Bid, Cancel, Capacity, Commit, Failed, Message, Refuse, Reveal, Settled
from network.protocol_errors import LocalProtocolError, RemoteProtocolError
from network.protocol_events import (
    Accuse,
    Action,
    CancelRequested,
    Event,
    Heard,
    JobAccepted,
    JobEnded,
    Misbehaved,
    Persist,
    Received,
    Report,
    Send,
    SetTimer,
    Submitted,
    Timer,
)
from network.requester_entries import MAX_TASKS, JobEntry, OutcomeEntry, StepEntry, read, write
from network.requester_state import Found, RequesterTask, Seek
from network.session_events import Phase, Withdrawn
from storage.cid import CID
from storage.errors import UserError
from verifier.identity import Identity
from verifier.model import PeerId

UNKNOWN_WINDOW: Final = 16
"""Tasks that look for nodes while none are known."""
PERIOD: Final = "period"
"""The timer of the machine itself: in a period every node that is there says once what it has."""
WITHDRAWN: Final = requester_steps.WITHDRAWN
FromNode: TypeAlias = Bid | Refuse | Accepted | Commit | Failed | Reveal


def nobody(_job: str) -> frozenset[PeerId]:
    """Exclude no node."""
    return frozenset()


class Requester:
    """The requester's machine. `handle` is its only way in and what it returns its only way out."""

    def __init__(
        self,
        identity: Identity,
        unfit: Callable[[str], frozenset[PeerId]] = nobody,
        *,
        gossip_ms: int = GOSSIP_MS,
        grace_ms: int | None = None,
    ) -> None:
        """Make a machine that knows nobody.

        unfit: of a job, the nodes that it must not be offered to, by what they say of themselves. Who is asked is kept
        on disk, so a restart does not depend on it.
        gossip_ms: between two records of a node; grace_ms: how long newcomers are waited for when nobody else is left
        who could bid, by default twice that.
        """
        self.identity = identity
        self.unfit = unfit
        self.gossip_ms = gossip_ms
        self.grace_ms = 2 * gossip_ms if grace_ms is None else grace_ms
        self.book = CapacityBook()
        self.jobs: dict[str, JobEntry] = {}
        self.tasks: dict[str, RequesterTask] = {}
        """Under way, by session."""
        self.ended: dict[str, str] = {}
        """Outcome by session."""
        self.shunned: frozenset[PeerId] = frozenset()
        """Nodes that are proven to have broken the rules: they are offered nothing any more."""
        self._waiting: deque[tuple[str, CID, str]] = deque()
        self._open: dict[str, set[str]] = {}

    def window(self, job: JobEntry) -> int:
        """Return how many tasks may be under way, so that they cannot keep each other from beginning.

        Each waits with at most one bid less than it needs. While all of those together are fewer than the slots that
        there are, one more bid is always possible, and somebody begins. (Other requesters are not counted: there a bid
        that runs out is what helps.)
        """
        slots, held = self.book.slots(job.demand), max(job.rule.replication, job.min_bids) - 1
        if not slots:
            return UNKNOWN_WINDOW
        return max(1, (slots - 1) // held if held else 2 * slots)

    def handle(self, event: Event) -> tuple[Action, ...]:
        """Take one event and return what to do now, in this order. A peer's mistake becomes `Misbehaved`.

        Raises:
            UserError: a submission that is not possible.
            LocalProtocolError: the driver sent an event that a requester does not have.
        """
        if isinstance(event, Received):
            return self._received(event)
        if isinstance(event, Heard):
            return self._heard(event)
        if isinstance(event, Timer):
            if event.about == PERIOD:
                self.book.period_passed()
                return (self._period(),)
            task = self.tasks.get(event.session)
            return () if task is None else self._step(task, event.about)
        if isinstance(event, Submitted):
            return self._submit(event)
        if isinstance(event, CancelRequested):
            return self._cancel(event.job)
        raise LocalProtocolError(f"{type(event).__name__} sent to a requester")

    def restore(self, entries: Mapping[str, bytes]) -> tuple[Action, ...]:
        """Take up what a datastore holds, on a machine just made; return what to do now.

        Raises:
            VerificationError: the datastore holds something else.
        """
        told = {key.partition("/")[2] for key in entries if key.startswith("job-ended/")}
        steps: dict[str, list[StepEntry]] = {}
        for key in sorted(key for key in entries if key.startswith("step/")):
            name = key.split("/")[1]
            if f"outcome/{name}" not in entries:
                steps.setdefault(name, []).append(read(StepEntry, entries[key]))
        for key in sorted(entries):
            if key.startswith("job/"):
                job = read(JobEntry, entries[key])
                self.jobs[job.job] = job
            elif key.startswith("blame/"):
                self.shunned |= {read(Blame, entries[key]).node}
            elif key.startswith("outcome/"):
                self.ended[key.partition("/")[2]] = read(OutcomeEntry, entries[key]).outcome
        actions: list[Action] = []
        for job in self.jobs.values():
            if job.job not in told:
                actions += self._take_up(job, steps)
        return (*actions, *self._fill(), self._period())

    def _period(self) -> SetTimer:
        return SetTimer(session="", about=PERIOD, delay_ms=self.gossip_ms)

    def _take_up(self, job: JobEntry, steps: Mapping[str, list[StepEntry]]) -> Iterable[Action]:
        names = {session_id(self.identity.peer, job.job, task): task for task in job.tasks}
        self._open[job.job] = {name for name in names if name not in self.ended}
        if not self._open[job.job]:
            yield from self._job_ended(job.job)
        for name in sorted(self._open[job.job]):
            if name not in steps:
                self._waiting.append((job.job, names[name], name))
        # A job without steps may wait its turn; one with steps has nodes that wait for it.
        for name in sorted(self._open[job.job] & steps.keys()):
            task, actions = requester_task.resume(self.identity, job, names[name], name, self.grace_ms, steps[name])
            yield from self._keep(task, actions)
        if job.cancelled:
            yield from self._withdraw(job)

    # What comes in.

    def _received(self, event: Received) -> tuple[Action, ...]:
        try:
            message = _of_a_node(decode(event.message, event.peer), event.peer)
            return self._message(message, event.peer)
        except RemoteProtocolError as error:
            return (Misbehaved(peer=event.peer, problem=error.problem),)

    def _message(self, message: FromNode, peer: PeerId) -> tuple[Action, ...]:
        task = self.tasks.get(message.session)
        if task is not None:
            return self._step(task, message, peer)
        if isinstance(message, Refuse):
            return ()
        # What was withdrawn, or never was here, is not to be worked on.
        is_over = self.ended.get(message.session, WITHDRAWN) != WITHDRAWN
        answer = (Settled if is_over else Cancel)(session=message.session)
        return (Send(peer=peer, message=encode(answer)),)

    def _heard(self, event: Heard) -> tuple[Action, ...]:
        try:
            record = _capacity(decode(event.message, event.via), event.via)
            if record.sequence <= self.book.sequence_of(record.node):
                return ()
            check_signed(record, record.node)
        except RemoteProtocolError as error:
            return (Misbehaved(peer=event.via, problem=error.problem),)
        self.book.note(record)
        return self._fill()

    def _submit(self, event: Submitted) -> tuple[Action, ...]:
        entry = _entry(event)
        known = self.jobs.get(event.job)
        if known is not None:
            if replace(known, cancelled=False) != entry:
                raise UserError("another job has this id", where=event.job, fix="draw a new one")
            return (Report(news=JobAccepted(job=event.job)),)
        self.jobs[event.job] = entry
        self._open[event.job] = set()
        for task in event.tasks:
            name = session_id(self.identity.peer, event.job, task)
            self._open[event.job].add(name)
            self._waiting.append((event.job, task, name))
        kept = Persist(key=f"job/{event.job}", value=write(entry))
        return (kept, Report(news=JobAccepted(job=event.job)), *self._fill())

    def _cancel(self, name: str) -> tuple[Action, ...]:
        job = self.jobs.get(name)
        if job is None or job.cancelled or not self._open.get(name):
            return ()
        self.jobs[name] = replace(job, cancelled=True)
        kept = Persist(key=f"job/{name}", value=write(self.jobs[name]))
        return (kept, *self._withdraw(job), *self._fill())

    def _withdraw(self, job: JobEntry) -> tuple[Action, ...]:
        waiting = [one for one in self._waiting if one[0] == job.job]
        self._waiting = deque(one for one in self._waiting if one[0] != job.job)
        for _, task, name in waiting:
            self.tasks[name], _ = self._begin(job, task, name)
        running = [self.tasks[name] for name in sorted(self._open[job.job]) if name in self.tasks]
        return tuple(action for task in running for action in self._advance(task, Withdrawn()))

    # The tasks.

    def _step(self, task: RequesterTask, event: object, peer: PeerId | None = None) -> tuple[Action, ...]:
        return (*self._advance(task, event, peer), *self._fill())

    def _advance(self, task: RequesterTask, event: object, peer: PeerId | None = None) -> tuple[Action, ...]:
        return self._keep(*requester_task.step(task, event, peer))

    def _keep(self, task: RequesterTask, actions: Iterable[Action | Seek]) -> tuple[Action, ...]:
        """Keep a task as it is now, and answer its search for nodes."""
        done: list[Action] = []
        todo = deque(actions)
        while todo:
            action = todo.popleft()
            if isinstance(action, Seek):
                task, offers = requester_task.step(task, self._found(task.job, action))
                todo.extendleft(reversed(offers))
                continue
            if isinstance(action, Accuse) and action.blame.node not in self.shunned:
                self.shunned |= {action.blame.node}
                done.append(Persist(key=f"blame/{action.blame.node}", value=write(action.blame)))
            done.append(action)
        self._engage(self.tasks.get(task.session_id), task)
        if task.phase is Phase.DONE:
            return (*done, *self._task_ended(task))
        self.tasks[task.session_id] = task
        return tuple(done)

    def _found(self, job: JobEntry, seek: Seek) -> Found:
        exclude = seek.exclude | self.shunned | self.unfit(job.job)
        peers = self.book.pick(seek.count, job.demand, seed=seek.seed, exclude=exclude)
        # Who knows nobody at all is not told who there is: that is no reason to end a search early.
        nobody_left = seek.is_all and not peers and len(self.book) > 0
        return Found(peers=peers, nobody_left=nobody_left, is_last=seek.is_last)

    def _engage(self, before: RequesterTask | None, after: RequesterTask) -> None:
        """Count what this requester itself keeps each node busy with: gossip is older than that."""
        was = frozenset() if before is None else before.engaged
        for peer in was - after.engaged:
            self.book.engage(peer, -1)
        for peer in after.engaged - was:
            self.book.engage(peer, +1)

    def _task_ended(self, task: RequesterTask) -> tuple[Action, ...]:
        self.tasks.pop(task.session_id, None)
        self.ended[task.session_id] = requester_steps.outcome(task)
        self._open[task.job.job].discard(task.session_id)
        return () if self._open[task.job.job] else self._job_ended(task.job.job)

    def _job_ended(self, job: str) -> tuple[Action, ...]:
        """Tell, then keep that it was told."""
        return Report(news=JobEnded(job=job)), Persist(key=f"job-ended/{job}", value=b"")

    def _fill(self) -> tuple[Action, ...]:
        actions: list[Action] = []
        while self._waiting and len(self.tasks) < self.window(self.jobs[self._waiting[0][0]]):
            job, task, name = self._waiting.popleft()
            actions += self._keep(*self._begin(self.jobs[job], task, name))
        return tuple(actions)

    def _begin(self, job: JobEntry, task: CID, name: str) -> requester_steps.Step:
        return requester_task.begin(self.identity, job, task, name, self.grace_ms)


def _entry(event: Submitted) -> JobEntry:
    if not event.tasks or len(set(event.tasks)) != len(event.tasks) or len(event.tasks) > MAX_TASKS:
        raise UserError(f"a job has 1 to {MAX_TASKS} distinct tasks", where=event.job)
    return JobEntry(
        job=event.job,
        tasks=event.tasks,
        rule=event.rule,
        demand=event.demand,
        seed=event.seed,
        min_bids=event.min_bids,
        max_nodes=event.max_nodes,
        execute_ms=event.execute_ms,
        reveal_ms=event.reveal_ms,
        offer_ms=event.offer_ms,
        queue_ms=event.queue_ms,
        cancelled=False,
    )


def _of_a_node(message: Message, peer: PeerId) -> FromNode:
    if not isinstance(message, FromNode):
        raise RemoteProtocolError(f"sent a {message.VERSION}, which nodes do not send", peer=peer)
    return message


def _capacity(message: Message, via: PeerId) -> Capacity:
    if not isinstance(message, Capacity):
        raise RemoteProtocolError(f"gossiped a {message.VERSION}", peer=via)
    return message

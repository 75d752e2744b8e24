"""A requester without its world: jobs in, verdicts out, over any number of tasks and nodes. No clock, no I/O.

Every task follows `requester_task`; this keeps the tasks by session, lets as many of them be under way as the known
nodes can take, of all jobs in turn, and looks nodes up in the capacity book. Bytes that are no message, and messages of
no session, change nothing.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final, TypeAlias

from network import requester_steps, requester_task
from network.bid_choice import Kind
from network.capacity_book import GOSSIP_MS, CapacityBook
from network.message_codec import check_signed, decode, encode, session_id
from network.messages import Accepted, Bid, Cancel, Capacity, Commit, Failed, Message, Refuse, Reveal, Say, Settled
from network.protocol_errors import LocalProtocolError, RemoteProtocolError
from network.protocol_events import (
    Accuse,
    Action,
    CancelRequested,
    Event,
    Forget,
    Heard,
    JobAccepted,
    JobEnded,
    Lost,
    Misbehaved,
    Persist,
    Received,
    Report,
    Send,
    SetTimer,
    Submitted,
    Timer,
)
from network.requester_candidates import UNKNOWN_WINDOW, Candidates
from network.requester_entries import MAX_TASKS, JobEntry, prior_entry, write
from network.requester_memory import JOB, OUTCOME, PRIOR, KeptRequester, read_kept
from network.requester_state import RequesterTask, Seek
from network.session_events import DeadlinePassed, Phase, Withdrawn
from network.session_state import Prior
from network.standing_nodes import StandingNodes
from network.trust_terms import TrustSource, Untrusting
from storage.cid import CID
from storage.errors import UserError
from verifier.identity import Identity
from verifier.model import PeerId

MAX_ENDED: Final = 10_000
"""Sessions remembered after their end, so that a node that speaks of one hears that it is settled. To one that is older
it is all the same: it forgets a session that is settled and one that is cancelled alike."""
MAX_UNDER_WAY: Final = 512
"""Tasks above which none is begun without bids: what a node holds of one requester is bounded as well."""
LEAST_EXECUTE_MS: Final = 20_000
"""Of a job whose tasks are given to nodes without bids: beside it the four seconds that they wait there are short."""
PERIOD: Final = "period"
"""The timer of the machine itself: in a period every node that is there says once what it has."""
WITHDRAWN: Final = requester_steps.WITHDRAWN
FromNode: TypeAlias = Bid | Refuse | Accepted | Commit | Failed | Reveal | Say


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
        trust: TrustSource | None = None,
    ) -> None:
        """Make a machine that knows nobody.

        unfit: of a job, the nodes that it must not be offered to, by what they say of themselves. Who is asked is kept
        on disk, so a restart does not depend on it.
        gossip_ms: between two records of a node; grace_ms: how long newcomers are waited for when nobody else is left
        who could bid, by default twice that.
        trust: of a job, how far its answers are to be trusted, and what is known of nodes; what comes of that is kept
        on disk with each session as well.
        """
        self.identity = identity
        self.unfit = unfit
        self.trust = trust or Untrusting()
        self.gossip_ms = gossip_ms
        self.grace_ms = 2 * gossip_ms if grace_ms is None else grace_ms
        self.book = CapacityBook()
        self._candidates = Candidates(book=self.book, trust=self.trust, unfit=unfit)
        self.jobs: dict[str, JobEntry] = {}
        self.tasks: dict[str, RequesterTask] = {}
        """Under way, by session."""
        self.ended: OrderedDict[str, str] = OrderedDict()
        """Outcome by session, of the last MAX_ENDED and since the start; of all others nodes hear `cancel`."""
        self.shunned: frozenset[PeerId] = frozenset()
        """Nodes that are proven to have broken the rules: they are offered nothing any more."""
        self._waiting: dict[str, deque[tuple[CID, str]]] = {}
        """Tasks with their sessions that have not begun, by job; the job whose turn is next is first."""
        self._seeking: set[str] = set()
        """Sessions that look for nodes."""
        self._priors: dict[str, Prior] = {}
        """What sessions that have not ended go on from."""
        self._open: dict[str, set[str]] = {}
        self._standing = StandingNodes()

    def window(self, job: JobEntry) -> int:
        """Return how many tasks of a job may look for nodes."""
        return self._candidates.window(job, self._candidates.terms(job, self.shunned))

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
            if task is None:
                return ()
            if isinstance(event.about, DeadlinePassed) and self._has_its_turn_to_come(task, event.about):
                return (SetTimer(session=event.session, about=event.about, delay_ms=2 * task.job.execute_ms),)
            return self._step(task, event.about)
        if isinstance(event, Submitted):
            return self._submit(event)
        if isinstance(event, CancelRequested):
            return self._cancel(event.job)
        if isinstance(event, Lost):
            return self._lose(event)
        raise LocalProtocolError(f"{type(event).__name__} sent to a requester")

    def restore(self, entries: Mapping[str, bytes]) -> tuple[Action, ...]:
        """Take up what a datastore holds, on a machine just made; return what to do now.

        Raises:
            VerificationError: the datastore holds something else.
        """
        kept = read_kept(entries, self.identity.peer)
        self.shunned = kept.convicted
        self.jobs = {job.job: job for job in kept.jobs}
        self._priors = dict(kept.priors)
        actions: list[Action] = [Forget(key=key) for key in kept.left_over]
        for job in kept.jobs:
            actions += self._take_up(job, kept)
        return (*actions, *self._fill(), self._period())

    def _period(self) -> SetTimer:
        return SetTimer(session="", about=PERIOD, delay_ms=self.gossip_ms)

    def _take_up(self, job: JobEntry, kept: KeptRequester) -> Iterable[Action]:
        names, steps = kept.tasks[job.job], kept.steps
        for name in names:
            if name in kept.outcomes:
                self._note_end(name, kept.outcomes[name])
        self._open[job.job] = still = {name for name in names if name not in kept.outcomes}
        if not still:
            yield from self._job_ended(job.job)
            return
        for name in sorted(still - steps.keys()):
            self._waiting.setdefault(job.job, deque()).append((names[name], name))
        # A job without steps may wait its turn; one with steps has nodes that wait for it.
        for name in sorted(still & steps.keys()):
            task, actions = requester_task.resume(
                self.identity, job, names[name], name, self.grace_ms, steps[name], self._priors.get(name)
            )
            yield from self._keep(task, actions)
        for name in still & steps.keys() & self.tasks.keys():
            self._standing.line_up(name, job.job, _at_work(self.tasks[name]))
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
            self._note_standing(task, message, peer)
            return self._step(task, message, peer)
        if isinstance(message, Refuse):
            return ()
        # What was withdrawn, or never was here, is not to be worked on.
        is_over = self.ended.get(message.session, WITHDRAWN) != WITHDRAWN
        answer = (Settled if is_over else Cancel)(session=message.session)
        return (Send(peer=peer, message=encode(answer)),)

    def _note_standing(self, task: RequesterTask, message: FromNode, peer: PeerId) -> None:
        if isinstance(message, Accepted) and peer in task.session.asked and task.job.execute_ms >= LEAST_EXECUTE_MS:
            self._standing.note(task.job.job, peer, task.kinds.get(peer), message.in_hand)
        elif isinstance(message, Failed | Refuse):
            self._standing.drop(peer, task.job.job)

    def _has_its_turn_to_come(self, task: RequesterTask, deadline: DeadlinePassed) -> bool:
        """Tell whether nodes that are to commit had others of the job to do first, as this requester wanted it."""
        is_current = deadline.phase is task.phase and deadline.round_number == task.session.round_number
        waits = is_current and task.phase is Phase.COMMITTING
        return waits and self._standing.is_served(task.session_id, task.job.job, task.session.pending)

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
        kept: list[Action] = []
        for task in event.tasks:
            name = session_id(self.identity.peer, event.job, task)
            self._open[event.job].add(name)
            self._waiting.setdefault(event.job, deque()).append((task, name))
            if (prior := event.priors.get(task)) is not None:
                self._priors[name] = prior
                kept.append(Persist(key=f"{PRIOR}/{name}", value=write(prior_entry(prior))))
        # Behind them: without its job such an entry is one that is left over, and a job without it would run whole.
        kept.append(Persist(key=f"{JOB}/{event.job}", value=write(entry)))
        return (*kept, Report(news=JobAccepted(job=event.job)), *self._fill())

    def _cancel(self, name: str) -> tuple[Action, ...]:
        job = self.jobs.get(name)
        if job is None or job.cancelled or not self._open.get(name):
            return ()
        self.jobs[name] = replace(job, cancelled=True)
        kept = Persist(key=f"job/{name}", value=write(self.jobs[name]))
        return (kept, *self._withdraw(job), *self._fill())

    def _withdraw(self, job: JobEntry) -> tuple[Action, ...]:
        for task, name in self._waiting.pop(job.job, ()):
            self.tasks[name], _ = self._begin(job, task, name)
        running = [self.tasks[name] for name in sorted(self._open.get(job.job, ())) if name in self.tasks]
        return tuple(action for task in running for action in self._advance(task, Withdrawn()))

    def _lose(self, event: Lost) -> tuple[Action, ...]:
        """Wait no longer for a node in any task: others are asked in its place, or those that answered are enough."""
        self._standing.drop(event.peer)
        waiting = [
            task
            for task in self.tasks.values()
            if event.peer in task.session.pending or event.peer in task.offered or event.peer in task.bids
        ]
        actions = [action for task in waiting for action in self._advance(task, event, event.peer)]
        return (*actions, *self._fill())

    @property
    def awaited(self) -> frozenset[PeerId]:
        """Return the nodes that tasks wait for: they were asked to execute, or to reveal."""
        return frozenset().union(*(task.session.pending for task in self.tasks.values()))

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
                task, offers = self._as_known_now(task)
                if task.phase is Phase.ASSIGNING:
                    task, more = requester_task.step(task, self._candidates.found(task, action, self.shunned))
                    offers = (*offers, *more)
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
        (self._seeking.add if task.phase is Phase.ASSIGNING else self._seeking.discard)(task.session_id)
        return tuple(done)

    def _as_known_now(self, task: RequesterTask) -> requester_steps.Step:
        """Plan a task anew that was given to nobody yet: when it began, few nodes may have been known."""
        terms = None if task.terms is None or task.steps else self._candidates.terms(task.job, self.shunned)
        if terms is None or terms == task.terms:
            return task, ()
        return requester_task.plan_anew(task, self.jobs[task.job.job], terms)

    def _engage(self, before: RequesterTask | None, after: RequesterTask) -> None:
        """Count what this requester itself keeps each node busy with: gossip is older than that."""
        was = frozenset() if before is None else before.engaged
        for peer in was - after.engaged:
            self.book.engage(peer, -1)
        for peer in after.engaged - was:
            self.book.engage(peer, +1)
        late = _late(after)
        self._standing.engage(after.job.job, _at_work(before), _at_work(after), late)
        for peer in (_at_work(before) - _at_work(after)) & late:
            self._standing.drop(peer, after.job.job)

    def _task_ended(self, task: RequesterTask) -> tuple[Action, ...]:
        self.tasks.pop(task.session_id, None)
        self._standing.leave(task.session_id)
        self._seeking.discard(task.session_id)
        self._note_end(task.session_id, requester_steps.outcome(task))
        self._open[task.job.job].discard(task.session_id)
        gone = () if self._priors.pop(task.session_id, None) is None else (Forget(key=f"{PRIOR}/{task.session_id}"),)
        return gone if self._open[task.job.job] else (*gone, *self._job_ended(task.job.job))

    def _note_end(self, session: str, outcome: str) -> None:
        self.ended[session] = outcome
        if len(self.ended) > MAX_ENDED:
            self.ended.popitem(last=False)

    def _job_ended(self, name: str) -> tuple[Action, ...]:
        """Tell, then forget: the job first, for without it nothing else of it means anything."""
        job = self.jobs.pop(name)
        del self._open[name]
        self._standing.forget(name)
        sessions = (session_id(self.identity.peer, name, task) for task in job.tasks)
        keys = (f"{JOB}/{name}", *(f"{OUTCOME}/{session}" for session in sessions))
        return Report(news=JobEnded(job=name)), *(Forget(key=key) for key in keys)

    def _fill(self) -> tuple[Action, ...]:
        actions: list[Action] = []
        while (chosen := self._next_job()) is not None:
            name, standing = chosen
            waiting = self._waiting.pop(name)
            task, session = waiting.popleft()
            if waiting:  # behind the others: a job of thousands keeps no other waiting
                self._waiting[name] = waiting
            actions += self._drop_doubted(self.jobs[name], session)
            begun = self._begin(self.jobs[name], task, session, standing)
            actions += self._keep(*begun)
            if standing:
                self._standing.line_up(session, name, _at_work(self.tasks.get(session)))
        return tuple(actions)

    def _next_job(self) -> tuple[str, Mapping[PeerId, Kind]] | None:
        """Return the job of which a task is to begin, and the nodes that take it without a bid, if they are enough.

        The first one waits for room and nobody passes it, but for tasks that need no bids: they take none of it away.
        """
        for place, (name, waiting) in enumerate(self._waiting.items()):
            job = self.jobs[name]
            if standing := self._enough_standing(job, waiting[0][1]):
                return name, standing
            if not place and self._has_room(job):
                return name, {}
        return None

    def _enough_standing(self, job: JobEntry, session: str) -> Mapping[PeerId, Kind]:
        """Return nodes that take a task of the job without a bid, if those are as many as there have to be.

        Nodes are drawn as for an offer, and only those count: nobody gets more tasks by saying that it takes many.
        """
        needed = max(job.rule.replication, job.min_bids)
        standing = self._standing.of(job.job)
        if session in self._priors:  # it needs fewer, and not those that it has had
            return {}
        if len(standing) < needed or len(self.tasks) >= MAX_UNDER_WAY:
            return {}
        found = self._candidates.drawn(job, session, needed, standing, self.shunned)
        # Whom a task that is to be trusted asks depends on what is known of them, task by task.
        return found if self._candidates.terms(job, self.shunned) is None else {}

    def _has_room(self, job: JobEntry) -> bool:
        """Tell whether one more task may begin. Those that nobody answers are bounded as well."""
        window = self.window(job)
        most = window + max(self._candidates.slots(job), UNKNOWN_WINDOW)
        return len(self._seeking) < window and len(self.tasks) < most

    def _drop_doubted(self, job: JobEntry, session: str) -> tuple[Action, ...]:
        """Let a task that waited run whole if a node of its earlier evidence has been found out since."""
        prior = self._priors.get(session)
        if prior is None:
            return ()
        is_by_trust = self._candidates.terms(job, self.shunned) is not None
        doubted = self.shunned | (self._candidates.trust.barred() if is_by_trust else frozenset())
        if doubted.isdisjoint(prior.nodes):
            return ()
        del self._priors[session]
        return (Forget(key=f"{PRIOR}/{session}"),)

    def _begin(
        self, job: JobEntry, task: CID, name: str, standing: Mapping[PeerId, Kind] = MappingProxyType({})
    ) -> requester_steps.Step:
        if standing:
            readers = self.book.readers(standing)
            return requester_task.begin_with(self.identity, job, task, name, self.grace_ms, standing, readers)
        prior = self._priors.get(name)
        return requester_task.begin(
            self.identity, job, task, name, self.grace_ms, self._candidates.terms(job, self.shunned), prior
        )


def _at_work(task: RequesterTask | None) -> frozenset[PeerId]:
    """Return the nodes that are to commit in a task."""
    return task.session.pending if task is not None and task.phase is Phase.COMMITTING else frozenset()


def _late(task: RequesterTask) -> frozenset[PeerId]:
    """Return the nodes that a task waits for no longer, and that said nothing."""
    session = task.session
    answered = frozenset(session.commitments) | frozenset(session.statements)
    return session.asked - answered - {peer for peer, _ in session.undetermined}


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
        unverified=event.unverified,
        resumes=event.resumes,
    )


def _of_a_node(message: Message, peer: PeerId) -> FromNode:
    if not isinstance(message, FromNode):
        raise RemoteProtocolError(f"sent a {message.VERSION}, which nodes do not send", peer=peer)
    return message


def _capacity(message: Message, via: PeerId) -> Capacity:
    if not isinstance(message, Capacity):
        raise RemoteProtocolError(f"gossiped a {message.VERSION}", peer=via)
    return message

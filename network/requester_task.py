"""One task at its requester, as a transition table around the table of `session`. No clock, no sockets, no randomness.

Rule 1: a step of the session is persisted before anything that tells about it: `Ack`, `Assign`, `Close`, `Settled`.
Rule 2: what is sent is repeated until it is confirmed or no longer wanted; every answer to a repetition is the same.
Rule 3: a deadline is counted from when nodes could answer: after a restart it begins anew, so that no node pays for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from network import session as core
from network.bid_choice import choose_bids, is_diverse_enough
from network.blame import blame_of
from network.message_codec import check_signed, encode, sign_close
from network.messages import (
    Accepted,
    Ack,
    Assign,
    Bid,
    Cancel,
    Commit,
    Decline,
    Failed,
    Message,
    Offer,
    Refuse,
    Reveal,
    Settled,
)
from network.protocol_events import Accuse, Action, Persist, Report, Send, SetTimer, TaskEnded
from network.requester_entries import JobEntry, OutcomeEntry, StepEntry, step_entry, step_event, write
from network.requester_state import Found, OfferAgain, QueueOver, Repeat, RequesterTask, Seek
from network.session_events import Action as CoreAction
from network.session_events import (
    AskNodes,
    Assigned,
    Committed,
    DeadlinePassed,
    Event,
    Execute,
    Phase,
    PublishRound,
    Revealed,
    Undetermined,
    Withdrawn,
)
from network.session_state import with_entry, without_entry
from network.transition_table import Table, Transition, held_to
from storage.cid import CID
from verifier.compare import Decision, compare
from verifier.identity import Identity
from verifier.model import PeerId

Step: TypeAlias = tuple[RequesterTask, tuple[Action | Seek, ...]]

REPEAT_MS: Final = 1_000
"""Until the first repetition; doubled each time, up to `MAX_REPEAT_MS`."""
MAX_REPEAT_MS: Final = 30_000
SPARE_OFFERS: Final = 2
"""Nodes offered a task beyond those wanted, so that one refusal costs no round trip."""
MAX_DOUBLINGS: Final = 5
WITHDRAWN: Final = "withdrawn"
"""Outcome of a task that was cancelled; no verdict."""


def begin(identity: Identity, job: JobEntry, task: CID, session_id: str) -> Step:
    """Begin a task: nodes are sought."""
    session, actions = core.start(task, job.rule, max_nodes=job.max_nodes)
    blank = RequesterTask(
        identity=identity, job=job, task=task, session_id=session_id, session=session, wanted=job.rule.replication
    )
    return _translate(blank, actions)


def resume(identity: Identity, job: JobEntry, task: CID, session_id: str, kept: Iterable[StepEntry]) -> Step:
    """Take a task up again from the steps in the datastore: what is under way is said again.

    Raises:
        VerificationError: the steps are not whole.
    """
    state, _ = begin(identity, job, task, session_id)
    session, last = core.start(task, job.rule, max_nodes=job.max_nodes)
    for entry in kept:
        session, actions = core.step(session, step_event(entry))
        last = actions or last
        commits = state.commits
        if entry.commit is not None and entry.commit.node not in commits:
            commits = with_entry(commits, entry.commit.node, entry.commit)
        state = replace(state, session=session, commits=commits, steps=state.steps + 1)
    # The action that led into this phase is still to be done, but for the nodes that have answered it.
    return _translate(state, tuple(_remaining(action, session.pending) for action in last))


def _remaining(action: CoreAction, pending: frozenset[PeerId]) -> CoreAction:
    if isinstance(action, Execute | PublishRound):
        return replace(action, nodes=tuple(node for node in action.nodes if node in pending))
    return action


def step(state: RequesterTask, event: object, peer: PeerId | None = None) -> Step:
    """Return the task after an event, and what to do now. `peer` sent it; None for timers and the submitter.

    Raises:
        RemoteProtocolError: the message is not one that a node may send, or not signed by its sender.
        LocalProtocolError: the event is of no kind that this table has.
    """
    transition = TRANSITIONS.get((state.phase, type(event)))
    if transition is None:
        raise core.LocalProtocolError(f"{type(event).__name__} while {state.phase}")
    after, actions = transition.handle(state, event, peer)
    held_to(transition, after.phase)
    return after, actions


# The session's steps.


def _advance(state: RequesterTask, event: Event, commit: Commit | None = None) -> Step:
    """Step the session. If that changed it, the event goes to disk before anything else is done."""
    session, actions = core.step(state.session, event)
    if session == state.session:
        return state, ()
    key = f"step/{state.session_id}/{state.steps:06}"
    kept = Persist(key=key, value=write(step_entry(event, commit)))
    accusations = _accusations(state, session.faults[len(state.session.faults) :], commit)
    after, more = _translate(replace(state, session=session, steps=state.steps + 1), actions)
    return after, (kept, *accusations, *more)


def _accusations(state: RequesterTask, faults: Iterable[Any], commit: Commit | None) -> tuple[Accuse, ...]:
    proofs = (blame_of(fault, state.commits.get(fault.peer), commit) for fault in faults)
    return tuple(Accuse(blame=proof) for proof in proofs if proof is not None)


def _translate(state: RequesterTask, actions: Iterable[CoreAction]) -> Step:
    done: tuple[Action | Seek, ...] = ()
    for action in actions:
        if isinstance(action, AskNodes):
            state, more = _seek(state, action.count)
        elif isinstance(action, Execute):
            more = _assign(state, action.nodes)
        elif isinstance(action, PublishRound):
            more = _close(state, action.nodes)
        else:
            more = _end(state, action.decision)
        done += more
    return state, done


def _seek(state: RequesterTask, count: int) -> Step:
    after = replace(state, wanted=count, searches=state.searches + 1, offered=frozenset(), bids=MappingProxyType({}))
    return after, (_timer(after, QueueOver(search=after.searches), state.job.queue_ms), *_search(after, 0))


def _search(state: RequesterTask, attempt: int) -> tuple[Action | Seek, ...]:
    count = max(_bids_needed(state) - len(state.bids), 1) + SPARE_OFFERS
    again = OfferAgain(search=state.searches, attempt=attempt + 1)
    delay_ms = state.job.offer_ms << min(attempt, MAX_DOUBLINGS)
    exclude = state.session.asked | state.refused | frozenset(state.bids)
    if attempt % 2 == 0:  # new ones and, in turn, those that were silent: an offer may have been lost
        exclude |= state.offered
    seed = f"{state.job.seed}/{state.session_id}/{state.searches}/{attempt}"
    return _timer(state, again, delay_ms), Seek(count=count, exclude=exclude, seed=seed)


def _bids_needed(state: RequesterTask) -> int:
    return max(state.wanted, 0 if state.session.asked else state.job.min_bids)


def _assign(state: RequesterTask, nodes: tuple[PeerId, ...]) -> tuple[Action, ...]:
    return (*_to(nodes, _assignment(state)), *_phase_timers(state, state.job.execute_ms))


def _assignment(state: RequesterTask) -> Assign:
    return Assign(session=state.session_id, job=state.job.job, task=state.task, demand=state.job.demand)


def _close(state: RequesterTask, nodes: tuple[PeerId, ...]) -> tuple[Action, ...]:
    return (*_send_close(state, nodes), *_phase_timers(state, state.job.reveal_ms))


def _send_close(state: RequesterTask, nodes: Iterable[PeerId]) -> tuple[Action, ...]:
    listed = state.session.published
    if listed is None:
        raise core.LocalProtocolError("no round is closed")
    return _to(nodes, sign_close(state.identity, state.session_id, state.session.round_number, listed))


def _phase_timers(state: RequesterTask, deadline_ms: int) -> tuple[Action, ...]:
    number = state.session.round_number
    return (
        _timer(state, DeadlinePassed(round_number=number, phase=state.phase), deadline_ms),
        _timer(state, Repeat(round_number=number, phase=state.phase, attempt=1), REPEAT_MS),
    )


def _timer(state: RequesterTask, about: object, delay_ms: int) -> SetTimer:
    return SetTimer(session=state.session_id, about=about, delay_ms=delay_ms)


def _end(state: RequesterTask, decision: Decision) -> tuple[Action, ...]:
    ended = TaskEnded(job=state.job.job, session_id=state.session_id, session=state.session, decision=decision)
    farewell = Cancel(session=state.session_id) if state.session.withdrawn else _settled(state)
    told = sorted(state.session.asked | frozenset(state.bids) | state.offered)
    # The steps are on disk already. The outcome is kept after it was told, so that a crash between them tells it twice.
    return (
        Report(news=ended),
        Persist(key=f"outcome/{state.session_id}", value=write(OutcomeEntry(outcome=outcome(state)))),
        *_to(told, farewell),
    )


def outcome(state: RequesterTask) -> str:
    """Return the verdict of a task that is done, or `WITHDRAWN`."""
    if state.session.withdrawn:
        return WITHDRAWN
    return compare(state.session.receipts.values(), state.job.rule).verdict.value


def _settled(state: RequesterTask) -> Settled:
    return Settled(session=state.session_id)


def _to(peers: Iterable[PeerId], message: Message) -> tuple[Action, ...]:
    data = encode(message)
    return tuple(Send(peer=peer, message=data) for peer in peers)


# Finding nodes.


def _offer(state: RequesterTask, found: Found, _: PeerId | None) -> Step:
    offer = Offer(session=state.session_id, job=state.job.job, task=state.task, demand=state.job.demand)
    return replace(state, offered=state.offered | frozenset(found.peers)), _to(found.peers, offer)


def _bid(state: RequesterTask, bid: Bid, peer: PeerId) -> Step:
    if peer not in state.offered or peer in state.session.asked:
        return state, ()
    after = replace(state, bids=with_entry(state.bids, peer, (bid.engine, bid.arch)))
    diverse = state.job.rule.diverse and not is_diverse_enough(
        after.bids.values(), after.kinds.values(), state.job.rule.confidence
    )
    return (after, ()) if len(after.bids) < _bids_needed(after) or diverse else _choose(after)


def _choose(state: RequesterTask) -> Step:
    """Assign those chosen, and let the other bidders have their room back."""
    chosen = choose_bids(
        state.bids,
        state.wanted,
        seed=f"{state.job.seed}/{state.session_id}",
        diverse=state.job.rule.diverse,
        asked=tuple(state.kinds.values()),
    )
    others = sorted(state.offered - frozenset(chosen) - state.refused)
    kinds = {**state.kinds, **{peer: state.bids[peer] for peer in chosen}}
    blank = replace(state, kinds=MappingProxyType(kinds), bids=MappingProxyType({}), offered=frozenset())
    after, actions = _advance(blank, Assigned(nodes=chosen))
    return after, (*actions, *_to(others, Decline(session=state.session_id)))


def _refuse(state: RequesterTask, message: Refuse, peer: PeerId) -> Step:  # noqa: ARG001
    if peer not in state.offered:
        return state, ()
    return replace(state, refused=state.refused | {peer}, bids=without_entry(state.bids, peer)), ()


def _offer_again(state: RequesterTask, timer: OfferAgain, _: PeerId | None) -> Step:
    return (state, _search(state, timer.attempt)) if timer.search == state.searches else (state, ())


def _queue_over(state: RequesterTask, timer: QueueOver, _: PeerId | None) -> Step:
    if timer.search != state.searches:
        return state, ()
    enough = len(state.bids) >= (0 if state.session.asked else state.job.min_bids)
    return _choose(state if enough else replace(state, bids=MappingProxyType({})))


# Messages of nodes at work.


def _late_bid(state: RequesterTask, bid: Bid, peer: PeerId) -> Step:  # noqa: ARG001
    return state, () if peer in state.session.asked else _to([peer], Decline(session=state.session_id))


def _accepted(state: RequesterTask, message: Accepted, peer: PeerId) -> Step:  # noqa: ARG001
    return (replace(state, accepted=state.accepted | {peer}) if peer in state.session.asked else state), ()


def _commit(state: RequesterTask, commit: Commit, peer: PeerId) -> Step:
    check_signed(commit, peer)
    if peer not in state.session.asked:
        return state, ()
    after, actions = _advance(state, Committed(peer=peer, commitment=commit.commitment), commit)
    if peer not in after.commits:
        after = replace(after, commits=with_entry(after.commits, peer, commit))
    return _confirm(after, actions, commit, peer)


def _reveal(state: RequesterTask, reveal: Reveal, peer: PeerId) -> Step:
    return _confirm(*_advance(state, Revealed(peer=peer, receipt=reveal.receipt)), reveal, peer)


def _failed(state: RequesterTask, failed: Failed, peer: PeerId) -> Step:
    return _confirm(*_advance(state, Undetermined(peer=peer, reason=failed.reason)), failed, peer)


def _confirm(after: RequesterTask, actions: tuple[Action | Seek, ...], message: Message, peer: PeerId) -> Step:
    """Acknowledge, right behind what keeps it; also what was known already, or is of no use any more."""
    if peer not in after.session.asked:
        return after, actions
    at = 1 if actions and isinstance(actions[0], Persist) else 0
    ack = _to([peer], Ack(session=after.session_id, of=message.VERSION))
    return after, (*actions[:at], *ack, *actions[at:])


def _over(state: RequesterTask, message: Message, peer: PeerId) -> Step:  # noqa: ARG001
    """Whoever still speaks of an ended task has not heard that it is over."""
    return state, _to([peer], Cancel(session=state.session_id) if state.session.withdrawn else _settled(state))


# Time, and the submitter.


def _deadline(state: RequesterTask, event: DeadlinePassed, _: PeerId | None) -> Step:
    return _advance(state, event)


def _repeat(state: RequesterTask, timer: Repeat, _: PeerId | None) -> Step:
    if (timer.round_number, timer.phase) != (state.session.round_number, state.phase):
        return state, ()
    next_one = replace(timer, attempt=timer.attempt + 1)
    delay_ms = min(REPEAT_MS << min(timer.attempt, MAX_DOUBLINGS), MAX_REPEAT_MS)
    waiting = sorted(state.session.pending)
    if state.phase is Phase.REVEALING:
        again = _send_close(state, waiting)
    else:
        again = _to([peer for peer in waiting if peer not in state.accepted], _assignment(state))
    return state, (_timer(state, next_one, delay_ms), *again)


def _withdraw(state: RequesterTask, event: Withdrawn, _: PeerId | None) -> Step:
    return _advance(state, event)


def _ignore(state: RequesterTask, event: object, _: PeerId | None) -> Step:  # noqa: ARG001
    return state, ()


_A, _C, _R, _D = Phase.ASSIGNING, Phase.COMMITTING, Phase.REVEALING, Phase.DONE
_ANY_C, _ANY_R = (_C, _A, _R, _D), (_R, _A, _D)

TRANSITIONS: Final[Table] = MappingProxyType(
    {
        (_A, Found): Transition(_offer, (_A,)),
        (_A, Bid): Transition(_bid, (_A, _C)),
        (_A, Refuse): Transition(_refuse, (_A,)),
        (_A, OfferAgain): Transition(_offer_again, (_A,)),
        (_A, QueueOver): Transition(_queue_over, (_C, _R, _D, _A)),
        (_A, Accepted): Transition(_ignore, (_A,)),
        (_A, Commit): Transition(_commit, (_A,)),
        (_A, Reveal): Transition(_reveal, (_A,)),
        (_A, Failed): Transition(_failed, (_A,)),
        (_C, Bid): Transition(_late_bid, (_C,)),
        (_C, Accepted): Transition(_accepted, (_C,)),
        (_C, Commit): Transition(_commit, _ANY_C),
        (_C, Reveal): Transition(_reveal, _ANY_C),
        (_C, Failed): Transition(_failed, _ANY_C),
        (_C, Repeat): Transition(_repeat, (_C,)),
        (_C, DeadlinePassed): Transition(_deadline, _ANY_C),
        (_R, Bid): Transition(_late_bid, (_R,)),
        (_R, Accepted): Transition(_ignore, (_R,)),
        (_R, Commit): Transition(_commit, _ANY_R),
        (_R, Reveal): Transition(_reveal, _ANY_R),
        (_R, Failed): Transition(_failed, _ANY_R),
        (_R, Repeat): Transition(_repeat, (_R,)),
        (_R, DeadlinePassed): Transition(_deadline, _ANY_R),
        **{(phase, Withdrawn): Transition(_withdraw, (_D,)) for phase in (_A, _C, _R)},
        **{(phase, Refuse): Transition(_ignore, (phase,)) for phase in (_C, _R, _D)},
        **{(phase, kind): Transition(_ignore, (phase,)) for phase in (_C, _R, _D)
           for kind in (Found, OfferAgain, QueueOver)},
        **{(_A, kind): Transition(_ignore, (_A,)) for kind in (Repeat, DeadlinePassed)},
        **{(_D, kind): Transition(_over, (_D,)) for kind in (Bid, Accepted, Commit, Reveal, Failed)},
        **{(_D, kind): Transition(_ignore, (_D,)) for kind in (Repeat, DeadlinePassed, Withdrawn)},
    }
)  # fmt: skip

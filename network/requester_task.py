"""One task at its requester, as a transition table around the table of `session`. No clock, no sockets, no randomness.

Rule 1: a step of the session is persisted before anything that tells about it: `Ack`, `Assign`, `Close`, `Settled`.
Rule 2: what is sent is repeated until it is confirmed or no longer wanted; every answer to a repetition is the same.
Rule 3: a deadline is counted from when nodes could answer: after a restart it begins anew, so that no node pays for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from network import session as core
from network.bid_choice import Kind
from network.message_codec import check_signed
from network.messages import Accepted, Ack, Bid, Commit, Decline, Failed, Message, Refuse, Reveal, Say
from network.protocol_errors import RemoteProtocolError
from network.protocol_events import Action, KeepList, Lost, Persist
from network.requester_bids import (
    choose,
    choose_if_enough,
    grace_over,
    lose_bid,
    offer_again,
    offer_found,
    queue_over,
    take_bid,
    take_refusal,
)
from network.requester_entries import JobEntry, StepEntry, step_event
from network.requester_state import Found, GraceOver, OfferAgain, QueueOver, Repeat, RequesterTask, Seek
from network.requester_steps import (
    MAX_DOUBLINGS,
    MAX_REPEAT_MS,
    REPEAT_MS,
    Step,
    advance,
    send_assignment,
    send_close,
    timer,
    to,
    translate,
)
from network.session_events import Action as CoreAction
from network.session_events import (
    AskNodes,
    Committed,
    DeadlinePassed,
    Execute,
    Phase,
    PublishRound,
    Revealed,
    Said,
    Undetermined,
    Withdrawn,
)
from network.session_state import Prior, with_entry
from network.transition_table import Table, Transition, held_to
from network.trust_terms import TrustTerms, rule_in_force
from storage.cid import CID
from verifier.identity import Identity
from verifier.model import PeerId

MOST_VOTES: Final = 1000
"""What an entry can say."""
LOST: Final = "the connection to it was lost"


def begin(
    identity: Identity,
    job: JobEntry,
    task: CID,
    session_id: str,
    grace_ms: int,
    terms: TrustTerms | None = None,
    prior: Prior | None = None,
) -> Step:
    """Begin a task: nodes are sought.

    grace_ms: how long newcomers are waited for when nobody else is left; terms: how far the answer is to be trusted,
    which makes the counts of this task; prior: what it goes on from.
    """
    blank, actions = _blank(identity, _as_in_force(job, terms), task, session_id, grace_ms, terms, prior)
    return translate(blank, actions)


def begin_with(
    identity: Identity,
    job: JobEntry,
    task: CID,
    session_id: str,
    grace_ms: int,
    bids: Mapping[PeerId, Kind],
    readers: frozenset[PeerId],
) -> Step:
    """Begin a task with some of the nodes that take this job's tasks without a bid for each, which are enough.

    readers: those of them that read `SignedAssign`.
    """
    blank, _ = _blank(identity, job, task, session_id, grace_ms, None)
    return choose(replace(blank, bids=bids, readers=readers))


def _blank(
    identity: Identity,
    job: JobEntry,
    task: CID,
    session_id: str,
    grace_ms: int,
    terms: TrustTerms | None,
    prior: Prior | None = None,
) -> tuple[RequesterTask, tuple[CoreAction, ...]]:
    session, actions = core.start(
        task, job.rule, max_nodes=job.max_nodes, terms=terms, prior=prior, unverified=job.unverified
    )
    blank = RequesterTask(
        identity=identity,
        job=job,
        task=task,
        session_id=session_id,
        session=session,
        wanted=job.rule.replication,
        grace_ms=grace_ms,
        terms=terms,
    )
    return blank, actions


def plan_anew(state: RequesterTask, job: JobEntry, terms: TrustTerms) -> Step:
    """Return a task of which nothing is kept with other terms, begun if enough nodes have bid. job: as accepted."""
    job = _as_in_force(job, terms)
    session, asked = core.start(state.task, job.rule, max_nodes=job.max_nodes, terms=terms, prior=state.session.prior)
    bids = {peer: bid for peer, bid in state.bids.items() if state.passes.get(peer, 0) >= terms.least_passes}
    wanted = next(action.count for action in asked if isinstance(action, AskNodes))
    after = replace(state, job=job, session=session, wanted=wanted, terms=terms, bids=MappingProxyType(bids))
    return choose_if_enough(after)


def _as_in_force(job: JobEntry, terms: TrustTerms | None) -> JobEntry:
    if terms is None:
        return job
    rule = rule_in_force(job.rule, terms)
    most = max(terms.most_nodes, core.default_max_nodes(rule))
    return replace(job, rule=rule, max_nodes=min(most, MOST_VOTES))


def resume(
    identity: Identity,
    job: JobEntry,
    task: CID,
    session_id: str,
    grace_ms: int,
    kept: Iterable[StepEntry],
    prior: Prior | None = None,
) -> Step:
    """Take a task up again from the steps in the datastore: what is under way is said again.

    Raises:
        VerificationError: the steps are not whole.
    """
    steps = tuple(kept)
    terms = next((entry.standing.terms for entry in steps if entry.standing is not None), None)
    state, _ = begin(identity, job, task, session_id, grace_ms, terms, prior)
    session, last = core.start(
        task, state.job.rule, max_nodes=state.job.max_nodes, terms=terms, prior=prior, unverified=job.unverified
    )
    lists: tuple[KeepList, ...] = ()
    for entry in steps:
        session, actions = core.step(session, step_event(entry))
        last = actions or last
        # Nothing names a closed list before there is a record: while nobody was here a collection may have taken it.
        lists += tuple(KeepList(commitments=one.commitments) for one in actions if isinstance(one, PublishRound))
        commits = state.commits
        if entry.commit is not None and entry.commit.node not in commits:
            commits = with_entry(commits, entry.commit.node, entry.commit)
        state = replace(state, session=session, commits=commits, steps=state.steps + 1)
    # The action that led into this phase is still to be done, but for the nodes that have answered it.
    after, said = translate(state, tuple(_remaining(action, session.pending) for action in last))
    return after, (*lists, *said)


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


def _late_bid(state: RequesterTask, bid: Bid, peer: PeerId) -> Step:  # noqa: ARG001
    return state, () if peer in state.session.asked else to([peer], Decline(session=state.session_id))


def _accepted(state: RequesterTask, message: Accepted, peer: PeerId) -> Step:  # noqa: ARG001
    return (replace(state, accepted=state.accepted | {peer}) if peer in state.session.asked else state), ()


def _of_tier(state: RequesterTask, message: Commit | Reveal | Say, peer: PeerId) -> None:
    """Refuse what is not of this task's tier: there is no way from a container to a receipt, nor back."""
    if isinstance(message, Say) != state.job.unverified:
        raise RemoteProtocolError(f"sent a {message.VERSION} about a task of another tier", peer=peer)


def _say(state: RequesterTask, say: Say, peer: PeerId) -> Step:
    _of_tier(state, say, peer)
    return _confirm(*advance(state, Said(peer=peer, statement=say.statement)), say, peer)


def _commit(state: RequesterTask, commit: Commit, peer: PeerId) -> Step:
    _of_tier(state, commit, peer)
    check_signed(commit, peer)
    if peer not in state.session.asked:
        return state, ()
    after, actions = advance(state, Committed(peer=peer, commitment=commit.commitment), commit)
    if peer not in after.commits:
        after = replace(after, commits=with_entry(after.commits, peer, commit))
    return _confirm(after, actions, commit, peer)


def _reveal(state: RequesterTask, reveal: Reveal, peer: PeerId) -> Step:
    _of_tier(state, reveal, peer)
    return _confirm(*advance(state, Revealed(peer=peer, receipt=reveal.receipt)), reveal, peer)


def _failed(state: RequesterTask, failed: Failed, peer: PeerId) -> Step:
    return _confirm(*advance(state, Undetermined(peer=peer, reason=failed.reason)), failed, peer)


def _confirm(after: RequesterTask, actions: tuple[Action | Seek, ...], message: Message, peer: PeerId) -> Step:
    """Acknowledge, right behind what keeps it; also what was known already, or is of no use any more."""
    if peer not in after.session.asked:
        return after, actions
    at = 1 if actions and isinstance(actions[0], Persist) else 0
    ack = to([peer], Ack(session=after.session_id, of=message.VERSION))
    return after, (*actions[:at], *ack, *actions[at:])


def _lose(state: RequesterTask, event: Lost, peer: PeerId | None) -> Step:  # noqa: ARG001
    """A node is gone: before its commitment as one whose host failed, after it as one that is mute."""
    if peer is None or peer not in state.session.pending:
        return state, ()
    return advance(state, Undetermined(peer=peer, reason=LOST))


def _deadline(state: RequesterTask, event: DeadlinePassed, _: PeerId | None) -> Step:
    return advance(state, event)


def _repeat(state: RequesterTask, event: Repeat, _: PeerId | None) -> Step:
    if (event.round_number, event.phase) != (state.session.round_number, state.phase):
        return state, ()
    next_one = replace(event, attempt=event.attempt + 1)
    delay_ms = min(REPEAT_MS << min(event.attempt, MAX_DOUBLINGS), MAX_REPEAT_MS)
    waiting = sorted(state.session.pending)
    if state.phase is Phase.REVEALING:
        again = send_close(state, waiting)
    else:
        again = send_assignment(state, [peer for peer in waiting if peer not in state.accepted])
    return state, (timer(state, next_one, delay_ms), *again)


def _withdraw(state: RequesterTask, event: Withdrawn, _: PeerId | None) -> Step:
    return advance(state, event)


def _ignore(state: RequesterTask, event: object, _: PeerId | None) -> Step:  # noqa: ARG001
    return state, ()


_A, _C, _R, _D = Phase.ASSIGNING, Phase.COMMITTING, Phase.REVEALING, Phase.DONE
_ANY_C, _ANY_R = (_C, _A, _R, _D), (_R, _A, _D)

# A task that is DONE is no longer here: the requester answers for it.
TRANSITIONS: Final[Table] = MappingProxyType(
    {
        (_A, Found): Transition(offer_found, (_A, _C, _R, _D)),
        (_A, Bid): Transition(take_bid, (_A, _C)),
        (_A, Refuse): Transition(take_refusal, (_A,)),
        (_A, OfferAgain): Transition(offer_again, (_A,)),
        (_A, GraceOver): Transition(grace_over, (_A,)),
        (_A, QueueOver): Transition(queue_over, (_A, _C, _R, _D)),
        (_A, Accepted): Transition(_ignore, (_A,)),
        (_A, Commit): Transition(_commit, (_A,)),
        (_A, Reveal): Transition(_reveal, (_A,)),
        (_A, Say): Transition(_say, (_A,)),
        (_A, Failed): Transition(_failed, (_A,)),
        (_A, Repeat): Transition(_ignore, (_A,)),
        (_A, DeadlinePassed): Transition(_ignore, (_A,)),
        (_A, Lost): Transition(lose_bid, (_A,)),
        (_A, Withdrawn): Transition(_withdraw, (_D,)),
        (_C, Bid): Transition(_late_bid, (_C,)),
        (_C, Refuse): Transition(_ignore, (_C,)),
        (_C, OfferAgain): Transition(_ignore, (_C,)),
        (_C, GraceOver): Transition(_ignore, (_C,)),
        (_C, QueueOver): Transition(_ignore, (_C,)),
        (_C, Accepted): Transition(_accepted, (_C,)),
        (_C, Commit): Transition(_commit, _ANY_C),
        (_C, Reveal): Transition(_reveal, _ANY_C),
        (_C, Say): Transition(_say, (_C, _A, _D)),
        (_C, Failed): Transition(_failed, _ANY_C),
        (_C, Repeat): Transition(_repeat, (_C,)),
        (_C, DeadlinePassed): Transition(_deadline, _ANY_C),
        (_C, Lost): Transition(_lose, _ANY_C),
        (_C, Withdrawn): Transition(_withdraw, (_D,)),
        (_R, Bid): Transition(_late_bid, (_R,)),
        (_R, Refuse): Transition(_ignore, (_R,)),
        (_R, OfferAgain): Transition(_ignore, (_R,)),
        (_R, GraceOver): Transition(_ignore, (_R,)),
        (_R, QueueOver): Transition(_ignore, (_R,)),
        (_R, Accepted): Transition(_ignore, (_R,)),
        (_R, Commit): Transition(_commit, _ANY_R),
        (_R, Reveal): Transition(_reveal, _ANY_R),
        (_R, Say): Transition(_say, (_R,)),
        (_R, Failed): Transition(_failed, _ANY_R),
        (_R, Repeat): Transition(_repeat, (_R,)),
        (_R, DeadlinePassed): Transition(_deadline, _ANY_R),
        (_R, Lost): Transition(_lose, _ANY_R),
        (_R, Withdrawn): Transition(_withdraw, (_D,)),
    }
)

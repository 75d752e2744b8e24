"""What a step of the session means for a task at its requester: what is kept, what is sent, what is timed.

A step goes to disk before anything that tells about it; the table that decides when there is one is `requester_task`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from types import MappingProxyType
from typing import Final, TypeAlias

from network import session as core
from network.blame import blame_of
from network.message_codec import encode, sign_assign, sign_close
from network.messages import Assign, Cancel, Commit, Message, Settled
from network.protocol_events import Accuse, Action, Forget, KeepList, Persist, Report, Send, SetTimer, TaskEnded
from network.requester_entries import OutcomeEntry, step_entry, write
from network.requester_state import OfferAgain, QueueOver, Repeat, RequesterTask, Seek
from network.session_events import Action as CoreAction
from network.session_events import AskNodes, DeadlinePassed, Event, Execute, Fault, PublishRound
from network.session_trust import decide
from storage.cid import CID
from verifier.compare import Decision
from verifier.model import CommitmentList, PeerId

Step: TypeAlias = tuple[RequesterTask, tuple[Action | Seek, ...]]

REPEAT_MS: Final = 1_000
"""Until the first repetition; doubled each time, up to `MAX_REPEAT_MS`."""
MAX_REPEAT_MS: Final = 30_000
SPARE_OFFERS: Final = 2
"""Nodes offered a task beyond those wanted, so that one refusal costs no round trip."""
MAX_DOUBLINGS: Final = 5
WITHDRAWN: Final = "withdrawn"
"""Outcome of a task that was cancelled; no verdict."""


def advance(state: RequesterTask, event: Event, commit: Commit | None = None) -> Step:
    """Step the session. If that changed it, the event goes to disk before anything else is done."""
    session, actions = core.step(state.session, event)
    if session == state.session:
        return state, ()
    kept = Persist(key=step_key(state.session_id, state.steps), value=write(step_entry(event, commit)))
    accusations = _accusations(state, session.faults[len(state.session.faults) :], commit)
    after, more = translate(replace(state, session=session, steps=state.steps + 1), actions)
    return after, (kept, *accusations, *more)


def _accusations(state: RequesterTask, faults: Iterable[Fault], commit: Commit | None) -> tuple[Accuse, ...]:
    proofs = (blame_of(fault, state.commits.get(fault.peer), commit) for fault in faults)
    return tuple(Accuse(blame=proof) for proof in proofs if proof is not None)


def translate(state: RequesterTask, actions: Iterable[CoreAction]) -> Step:
    """Turn what the session asks for into messages, timers and reports."""
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
    searches = state.searches + 1
    blank = replace(state, wanted=count, searches=searches, offered=frozenset(), bids=MappingProxyType({}))
    after = replace(blank, is_alone=False)
    # Further nodes are sought no longer than they would be given to execute: what nobody settles is to be told.
    bound_ms = min(state.job.queue_ms, state.job.execute_ms) if state.session.asked else state.job.queue_ms
    return after, (timer(after, QueueOver(search=after.searches), bound_ms), *search(after, 0))


def search(state: RequesterTask, attempt: int) -> tuple[Action | Seek, ...]:
    """Seek as many nodes as still have to bid, and some to spare."""
    again = OfferAgain(search=state.searches, attempt=attempt + 1)
    delay_ms = state.job.offer_ms << min(attempt, MAX_DOUBLINGS)
    done = state.session.asked | frozenset(state.bids)
    # In turn new ones, and all: an offer may have been lost, and a full node may have room again.
    # Whether a node has an image or runs containers at all does not change while one waits: its no is its last word.
    gone = done | state.refused if state.job.unverified else done
    exclude = done | state.offered | state.refused if attempt % 2 == 0 else gone
    seed = f"{state.job.seed}/{state.session_id}/{state.searches}/{attempt}"
    return timer(state, again, delay_ms), Seek(
        count=offers_due(state), exclude=exclude, seed=seed, is_all=exclude == gone
    )


def search_last(state: RequesterTask) -> Seek:
    """Look once more for anybody who was not asked and has not bid."""
    done = state.session.asked | frozenset(state.bids) | (state.refused if state.job.unverified else frozenset())
    seed = f"{state.job.seed}/{state.session_id}/{state.searches}/grace {state.graces}"
    return Seek(count=offers_due(state), exclude=done, seed=seed, is_all=True, is_last=True)


def offers_due(state: RequesterTask) -> int:
    """Return to how many nodes the task is to be offered at once."""
    return max(bids_needed(state) - len(state.bids), 1) + SPARE_OFFERS


def bids_needed(state: RequesterTask) -> int:
    """Return how many bids must be there before any is taken; `min_bids` counts for the first round alone."""
    return max(state.wanted, 0 if state.session.asked else state.job.min_bids)


def _assign(state: RequesterTask, nodes: tuple[PeerId, ...]) -> tuple[Action, ...]:
    # A node may have another task of this job to end first (`compute_node`).
    # Without an offer before it, the assignment is the first word about the task.
    said = send_assignment(state, nodes, task=None if state.searches else state.task)
    return (*said, *_phase_timers(state, 2 * state.job.execute_ms))


def send_assignment(state: RequesterTask, nodes: Iterable[PeerId], *, task: CID | None = None) -> tuple[Action, ...]:
    """Tell nodes to execute: the whole of it, but for those that may do less and understand that.

    task: as of `to`.
    """
    whole = Assign(session=state.session_id, job=state.job.job, task=state.task, demand=state.job.demand)
    told = tuple(nodes)
    if not state.job.resumes or state.readers.isdisjoint(told):
        return to(told, whole, task=task)
    words = {True: encode(sign_assign(state.identity, whole, resumes=True)), False: encode(whole)}
    return tuple(Send(peer=peer, message=words[peer in state.readers], task=task) for peer in told)


def _close(state: RequesterTask, nodes: tuple[PeerId, ...]) -> tuple[Action, ...]:
    return (KeepList(commitments=_closed(state)), *send_close(state, nodes), *_phase_timers(state, state.job.reveal_ms))


def send_close(state: RequesterTask, nodes: Iterable[PeerId]) -> tuple[Action, ...]:
    """Tell nodes that the round is closed."""
    return to(nodes, sign_close(state.identity, state.session_id, state.session.round_number, _closed(state)))


def _closed(state: RequesterTask) -> CommitmentList:
    if state.session.published is None:
        raise core.LocalProtocolError("no round is closed")
    return state.session.published


def _phase_timers(state: RequesterTask, deadline_ms: int) -> tuple[Action, ...]:
    number = state.session.round_number
    return (
        timer(state, DeadlinePassed(round_number=number, phase=state.phase), deadline_ms),
        timer(state, Repeat(round_number=number, phase=state.phase, attempt=1), REPEAT_MS),
    )


def timer(state: RequesterTask, about: object, delay_ms: int) -> SetTimer:
    """Return a timer of this task."""
    return SetTimer(session=state.session_id, about=about, delay_ms=delay_ms)


def _end(state: RequesterTask, decision: Decision) -> tuple[Action, ...]:
    ended = TaskEnded(job=state.job.job, session_id=state.session_id, session=state.session, decision=decision)
    farewell = Cancel(session=state.session_id) if state.session.withdrawn else Settled(session=state.session_id)
    told = sorted(state.session.asked | frozenset(state.bids) | state.offered)
    # The steps are on disk already. The outcome is kept after it was told, so that a crash between them tells it twice.
    return (
        Report(news=ended),
        Persist(key=f"outcome/{state.session_id}", value=write(OutcomeEntry(outcome=outcome(state)))),
        *(Forget(key=step_key(state.session_id, number)) for number in range(state.steps)),
        *to(told, farewell),
    )


def step_key(session_id: str, number: int) -> str:
    """Return where a step of a session is kept."""
    return f"step/{session_id}/{number:06}"


def outcome(state: RequesterTask) -> str:
    """Return the verdict of a task that is done, or `WITHDRAWN`."""
    if state.session.withdrawn:
        return WITHDRAWN
    return decide(state.session).verdict.value


def to(peers: Iterable[PeerId], message: Message, *, task: CID | None = None) -> tuple[Action, ...]:
    """Send one message to each of these. task: whose blocks they are going to need, if any."""
    data = encode(message)
    return tuple(Send(peer=peer, message=data, task=task) for peer in peers)

"""One task at a node, as a transition table around `participant`. No clock, no sockets, no randomness.

Rule 1: what is told (`Accepted`, `Commit`, `Failed`, `Reveal`, `Say`) is on disk first: a restart says nothing else.
Rule 2: it reveals for one list only, signed by its requester, that holds its own commitment (`participant`).
Rule 3: it says a thing again until the requester has it on disk, and gives the session up when nobody answers for long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeAlias

from network.blame import proven_lists
from network.message_codec import check_signed, encode, sign_commit
from network.messages import (
    Accepted,
    Ack,
    Assign,
    Bid,
    Cancel,
    Close,
    Commit,
    Decline,
    EngineKind,
    Failed,
    Message,
    Offer,
    Refuse,
    Reveal,
    Say,
    Settled,
    SignedAssign,
)
from network.node_state import NodeTask, Stage, node_entry
from network.participant import Participant
from network.protocol_errors import LocalProtocolError, RemoteProtocolError
from network.protocol_events import (
    Abort,
    Accuse,
    Action,
    ContainerEnded,
    Executed,
    ExecutionFailed,
    Persist,
    Run,
    Send,
    SetTimer,
)
from network.requester_entries import write
from network.transition_table import Table, Transition, held_to
from storage.errors import PeerError
from verifier.model import PeerId

Step: TypeAlias = tuple[NodeTask, tuple[Action, ...]]

HOLD_BID_MS: Final = 10_000
"""How long room is kept for a bid that nobody answers."""
HOLD_OFFER_MS: Final = 300_000
"""How long an offer waits for room; requesters repeat those they still want."""
REPEAT_MS: Final = 1_000
"""Until the first repetition; doubled each time, up to `MAX_REPEAT_MS`."""
MAX_REPEAT_MS: Final = 60_000
GIVE_UP_MS: Final = 6 * 3_600_000
"""Without a word of the requester after a commitment, until the session is given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomFound:
    """There is room for the task, and it is taken for it."""

    kind: EngineKind
    """The engine that would execute it."""
    is_ahead: bool = False
    """There will be, when what runs now has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomLost:
    """There is no longer so much here, and it is not waited for."""

    reason: str
    """1 to 255 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired:
    """What waited in this stage has waited long enough."""

    stage: Stage
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SayAgain:
    """Repeat what the requester has not confirmed."""

    attempt: int
    repetition: int


def offered(state: NodeTask) -> tuple[Action, ...]:
    """Return what to do when an offer is put into the backlog."""
    return (_expiry(state, HOLD_OFFER_MS),)


def assigned(state: NodeTask, assign: Assign) -> Step:
    """Take an assignment that nobody had bid for, or that was bid for before a restart."""
    return _queue(state, assign, state.requester)


def resume(state: NodeTask) -> Step:
    """Take a task up again from disk: what was said last is said again."""
    if state.stage in _WORDS:
        return _say(replace(state, is_heard=False))
    return state, ()


def step(state: NodeTask, event: object, peer: PeerId | None = None) -> Step:
    """Return the task after an event, and what to do now. `peer` sent it; None for timers and the engine.

    Raises:
        RemoteProtocolError: the message is not one that this requester may send now.
        LocalProtocolError: the event is of no kind that this table has.
    """
    if peer is not None and peer != state.requester:
        raise RemoteProtocolError("spoke of another requester's session", peer=peer)
    transition = TRANSITIONS.get((state.stage, type(event)))
    if transition is None:
        raise LocalProtocolError(f"{type(event).__name__} while {state.stage}")
    after, actions = transition.handle(state, event, state.requester)
    held_to(transition, after.stage)
    return after, actions


def _kept(state: NodeTask) -> Persist:
    return Persist(key=f"node/{state.session_id}", value=write(node_entry(state)))


def _to_requester(state: NodeTask, message: Message) -> Send:
    return Send(peer=state.requester, message=encode(message))


def _accepted(state: NodeTask) -> Send:
    return _to_requester(state, Accepted(session=state.session_id, in_hand=state.in_hand))


def _expiry(state: NodeTask, delay_ms: int) -> SetTimer:
    about = Expired(stage=state.stage, attempt=state.attempt)
    return SetTimer(session=state.session_id, about=about, delay_ms=delay_ms)


# Before the assignment.


def _bid(state: NodeTask, event: RoomFound, _: PeerId) -> Step:
    after = replace(state, stage=Stage.BID, attempt=state.attempt + 1, kind=event.kind, is_ahead=event.is_ahead)
    return after, (_the_bid(after, event.kind), _expiry(after, HOLD_BID_MS))


def _bid_again(state: NodeTask, event: Offer, _: PeerId) -> Step:  # noqa: ARG001
    return state, () if state.kind is None else (_the_bid(state, state.kind),)


def _the_bid(state: NodeTask, kind: EngineKind) -> Send:
    return _to_requester(state, Bid(session=state.session_id, engine=kind.engine, arch=kind.arch))


def _expire(state: NodeTask, event: Expired, _: PeerId) -> Step:
    if (event.stage, event.attempt) != (state.stage, state.attempt):
        return state, ()
    return _end(state, event, state.requester)


def _refuse(state: NodeTask, event: RoomLost, peer: PeerId) -> Step:
    after, actions = _end(state, event, peer)
    return after, (_to_requester(state, Refuse(session=state.session_id, reason=event.reason)), *actions)


# From the assignment to the commitment.


def _queue(state: NodeTask, event: Assign, _: PeerId) -> Step:
    resumes = isinstance(event, SignedAssign) and event.resumes
    after = replace(state, stage=Stage.QUEUED, is_persisted=True, resumes=resumes)
    return after, (_kept(after), _accepted(after))


def _run_reserved(state: NodeTask, event: Assign, peer: PeerId) -> Step:
    after, actions = _queue(state, event, peer)
    if state.is_ahead:
        return after, actions
    running, more = _run(after, None, peer)
    return running, (*actions, *more)


def _run(state: NodeTask, event: RoomFound | None, _: PeerId) -> Step:  # noqa: ARG001
    run = Run(
        session=state.session_id,
        task=state.task,
        requester=state.requester,
        demand=state.demand,
        resumes=state.resumes,
    )
    return replace(state, stage=Stage.RUNNING, is_ahead=False), (run,)


def _undo(state: NodeTask, event: RoomLost, _: PeerId) -> Step:
    return _say(replace(state, stage=Stage.FAILED, is_ahead=False, reason=event.reason), is_new=True)


def _accept_again(state: NodeTask, event: Assign, _: PeerId) -> Step:  # noqa: ARG001
    return state, (_accepted(state),)


def _commit(state: NodeTask, event: Executed, _: PeerId) -> Step:
    if event.execution.task != state.task:
        raise LocalProtocolError("the engine executed another task")
    me = Participant.commit(state.identity, event.execution, event.nonce)
    return _say(replace(state, stage=Stage.COMMITTED, participant=me), is_new=True)


def _state(state: NodeTask, event: ContainerEnded, _: PeerId) -> Step:
    return _say(replace(state, stage=Stage.SAID, statement=event.statement), is_new=True)


def _fail(state: NodeTask, event: ExecutionFailed, _: PeerId) -> Step:
    return _say(replace(state, stage=Stage.FAILED, reason=event.reason), is_new=True)


# From the commitment to the end.


def _reveal(state: NodeTask, close: Close, peer: PeerId) -> Step:
    check_signed(close, peer)
    if state.participant is None:
        raise LocalProtocolError("no commitment to reveal")
    was = state.participant.revealed
    try:
        me, _ = state.participant.reveal(close.commitments, peer)
    except PeerError as error:
        if state.close is not None and (proof := proven_lists(state.close, close)):
            return state, (Accuse(blame=proof),)
        raise RemoteProtocolError(error.problem, peer=peer, evidence=(encode(close),)) from error
    after = replace(state, stage=Stage.REVEALED, participant=me, is_heard=False, close=close)
    return _say(after, is_new=was is None)


def _say(state: NodeTask, *, is_new: bool = False) -> Step:
    """Say what this stage has to say, and go on saying it until it is heard; what is new is kept first."""
    after = replace(state, attempt=state.attempt + 1)
    again = SayAgain(attempt=after.attempt, repetition=1)
    timers = (SetTimer(session=after.session_id, about=again, delay_ms=REPEAT_MS), _expiry(after, GIVE_UP_MS))
    kept = (_kept(after),) if is_new else ()
    return after, (*kept, _to_requester(after, _WORDS[after.stage](after)), *timers)


def _say_again(state: NodeTask, event: SayAgain, _: PeerId) -> Step:
    if event.attempt != state.attempt or state.is_heard:
        return state, ()
    again = replace(event, repetition=event.repetition + 1)
    delay_ms = min(REPEAT_MS << min(event.repetition, 16), MAX_REPEAT_MS)
    timer = SetTimer(session=state.session_id, about=again, delay_ms=delay_ms)
    return state, (_to_requester(state, _WORDS[state.stage](state)), timer)


def _heard(state: NodeTask, ack: Ack, _: PeerId) -> Step:
    return (replace(state, is_heard=True) if ack.of == _SAID[state.stage] else state), ()


def _committed_again(state: NodeTask, event: Assign, _: PeerId) -> Step:  # noqa: ARG001
    """The requester has not heard of the assignment's end: tell it."""
    return state, (_to_requester(state, _WORDS[state.stage](state)),)


def _the_commit(state: NodeTask) -> Message:
    if state.participant is None:
        raise LocalProtocolError("no commitment to send")
    return sign_commit(state.identity, state.session_id, state.participant.commitment)


def _the_reveal(state: NodeTask) -> Message:
    if state.participant is None or state.participant.revealed is None:
        raise LocalProtocolError("no receipt to send")
    return Reveal(session=state.session_id, receipt=state.participant.revealed)


def _the_statement(state: NodeTask) -> Message:
    if state.statement is None:
        raise LocalProtocolError("no statement to make")
    return Say(session=state.session_id, statement=state.statement)


def _the_failure(state: NodeTask) -> Message:
    return Failed(session=state.session_id, reason=state.reason)


_WORDS: Final[dict[Stage, Callable[[NodeTask], Message]]] = {
    Stage.COMMITTED: _the_commit,
    Stage.REVEALED: _the_reveal,
    Stage.SAID: _the_statement,
    Stage.FAILED: _the_failure,
}


_SAID: Final[dict[Stage, str]] = {
    Stage.COMMITTED: Commit.VERSION,
    Stage.REVEALED: Reveal.VERSION,
    Stage.SAID: Say.VERSION,
    Stage.FAILED: Failed.VERSION,
}


def _end(state: NodeTask, event: object, _: PeerId) -> Step:  # noqa: ARG001
    after = replace(state, stage=Stage.ENDED, participant=None, statement=None, attempt=state.attempt + 1)
    abort = (Abort(session=state.session_id),) if state.stage is Stage.RUNNING else ()
    return after, ((_kept(after), *abort) if state.is_persisted else abort)


def _ignore(state: NodeTask, event: object, _: PeerId) -> Step:  # noqa: ARG001
    return state, ()


_B, _Q, _W, _X, _C, _R, _S, _F, _E = (
    Stage.BACKLOG, Stage.BID, Stage.QUEUED, Stage.RUNNING, Stage.COMMITTED, Stage.REVEALED, Stage.SAID, Stage.FAILED,
    Stage.ENDED,
)  # fmt: skip
_LIVE: Final = (_B, _Q, _W, _X, _C, _R, _S, _F)


def _in(stages: Iterable[Stage], kind: type, transition: Transition) -> dict[tuple[StrEnum, type], Transition]:
    return {(stage, kind): replace(transition, to=transition.to or (stage,)) for stage in stages}


def _assignments(kind: type[Assign]) -> dict[tuple[StrEnum, type], Transition]:
    """Return the cells of an assignment: the first one counts, whatever a repetition says."""
    return {
        (_B, kind): Transition(_queue, (_W,)),
        (_Q, kind): Transition(_run_reserved, (_X, _W)),
        **_in((_W, _X), kind, Transition(_accept_again, ())),
        **_in((_C, _R, _S, _F), kind, Transition(_committed_again, ())),
    }


_STAY: Final = Transition(_ignore, ())
_STOP: Final = Transition(_end, (_E,))

# A task that has ENDED is no longer here; the node remembers its name. Messages that a requester has no reason to send
# at a stage are ignored, for a requester may send anything; events of the node itself have no cell where none occurs.
TRANSITIONS: Final[Table] = MappingProxyType(
    {
        **_in(_LIVE, Offer, _STAY),
        **_in((_Q,), Offer, Transition(_bid_again, ())),
        (_B, RoomFound): Transition(_bid, (_Q,)),
        (_W, RoomFound): Transition(_run, (_X,)),
        (_B, RoomLost): Transition(_refuse, (_E,)),
        (_W, RoomLost): Transition(_undo, (_F,)),
        **{cell: transition for kind in (Assign, SignedAssign) for cell, transition in _assignments(kind).items()},
        **_in((_B, _Q), Decline, _STOP),
        **_in((_W, _X, _C, _R, _S, _F), Decline, _STAY),
        (_X, Executed): Transition(_commit, (_C,)),
        (_X, ContainerEnded): Transition(_state, (_S,)),
        (_X, ExecutionFailed): Transition(_fail, (_F,)),
        **_in((_B, _Q, _W, _X, _S, _F), Close, _STAY),
        (_C, Close): Transition(_reveal, (_R,)),
        (_R, Close): Transition(_reveal, (_R,)),
        **_in((_B, _Q, _W, _X), Ack, _STAY),
        **_in((_C, _R, _S, _F), Ack, Transition(_heard, ())),
        **_in((_C, _R, _S, _F), SayAgain, Transition(_say_again, ())),
        **{(stage, Expired): Transition(_expire, (stage, _E)) for stage in (_B, _Q, _C, _R, _S, _F)},
        **_in((_W, _X), Expired, _STAY),
        **_in(_LIVE, Cancel, _STOP),
        **_in(_LIVE, Settled, _STOP),
    }
)

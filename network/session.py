"""The requester's side of commit and reveal, as one transition table. No clock, no sockets, no randomness.

A session asks nodes to execute one task, collects their commitments, closes the round by publishing the list, collects
the receipts that reveal, and compares them. While they do not agree and more nodes may be asked, another round follows
whose list holds the earlier commitments too; receipts once revealed keep their vote.

A session about a container collects statements in the place of commitments and ends there: nothing is published, nobody
reveals, and without receipts nothing is agreed.

Rule 1: everything that decides is here, in `session_faults`, `session_trust` and `verifier`; drivers move messages and
keep time.
Rule 2: what a peer does wrong is recorded as a `Fault` and never raises; `LocalProtocolError` is a bug of the driver.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Final, TypeAlias

from network.protocol_errors import LocalProtocolError
from network.session_events import (
    Action,
    AskNodes,
    Assigned,
    Committed,
    DeadlinePassed,
    Event,
    Execute,
    Fault,
    FaultKind,
    Finish,
    Phase,
    PublishRound,
    Revealed,
    Said,
    Undetermined,
    Withdrawn,
)
from network.session_faults import commitment_fault, reveal_fault
from network.session_state import (
    Prior,
    Session,
    blame,
    exclude,
    fresh,
    mute,
    published_by_node,
    room,
    with_entry,
    without_entry,
)
from network.session_trust import decide, more_nodes
from network.transition_table import Table, Transition, held_to
from network.trust_terms import TrustTerms
from storage.cid import CID
from verifier.commitment import close_round, list_cid
from verifier.model import PeerId, Rule, Verdict

__all__ = ["TRANSITIONS", "LocalProtocolError", "Step", "default_max_nodes", "start", "step"]

Step: TypeAlias = tuple[Session, tuple[Action, ...]]


def start(
    task: CID,
    rule: Rule,
    *,
    max_nodes: int | None = None,
    prior: Prior | None = None,
    terms: TrustTerms | None = None,
    unverified: bool = False,
) -> Step:
    """Begin a session; the first action asks for `rule.replication` nodes.

    max_nodes: None gives `default_max_nodes(rule)`. terms: how far the answer is to be trusted besides. prior: an
    earlier session's receipts count as if their round had been this session's first; then only as many nodes are asked
    as could be enough, and none of those again. unverified: of a container.
    """
    bound = default_max_nodes(rule) if max_nodes is None else max(max_nodes, rule.replication)
    if prior is None:
        session = Session(task=task, rule=rule, max_nodes=bound, terms=terms, unverified=unverified)
        return session, (AskNodes(count=rule.replication),)
    receipts = {receipt.node: receipt for receipt in prior.receipts}
    listed = {commitment.node: commitment for commitment in prior.commitments.commitments}
    passes = {} if prior.passes is None else dict(zip(receipts, prior.passes, strict=True))
    session = Session(
        task=task,
        rule=rule,
        max_nodes=bound + len(listed),
        asked=frozenset(listed),
        commitments=MappingProxyType({node: listed[node] for node in receipts}),
        published=prior.commitments,
        receipts=MappingProxyType(receipts),
        terms=terms,
        passes=MappingProxyType(passes),
        prior=prior,
    )
    return session, (AskNodes(count=min(more_nodes(session), room(session))),)


def default_max_nodes(rule: Rule) -> int:
    """Return the bound on nodes: twice the replication and one more, to settle a split.

    Fewer nodes than the confidence were asked for on purpose: then there are no further ones.
    """
    return rule.replication if rule.replication < rule.confidence else 2 * rule.replication + 1


def step(session: Session, event: Event) -> Step:
    """Return the session after `event`, and what the driver must do now. Messages of nodes never asked are dropped, and
    of those that an earlier session asked: nothing they say now takes back what they signed then.

    Raises:
        LocalProtocolError: the event makes no sense in this phase; the session is as it was.
    """
    transition = TRANSITIONS.get((session.phase, type(event)))
    if transition is None:
        raise LocalProtocolError(f"{type(event).__name__} while {session.phase}")
    if isinstance(event, Committed | Revealed if session.unverified else Said):
        raise LocalProtocolError(f"{type(event).__name__} in a session of another tier")
    if isinstance(event, Committed | Revealed | Said | Undetermined) and not _is_asked(session, event.peer):
        return session, ()
    after, actions = transition.handle(session, event)
    held_to(transition, after.phase)
    return after, actions


def _is_asked(session: Session, peer: PeerId) -> bool:
    return peer in session.asked and peer not in session.taken


def _assign(session: Session, event: Assigned) -> Step:
    nodes = frozenset(event.nodes)
    if nodes & session.asked or len(nodes) != len(event.nodes) or len(session.asked | nodes) > session.max_nodes:
        raise LocalProtocolError("nodes must be new, distinct, and within the bound")
    if not nodes:
        return _publish(session) if fresh(session) else _finish(session)
    known = () if event.standing is None else zip(event.nodes, event.standing.passes, strict=True)
    passes = MappingProxyType({**session.passes, **dict(known)})
    after = replace(session, phase=Phase.COMMITTING, asked=session.asked | nodes, pending=nodes, passes=passes)
    return after, (Execute(nodes=event.nodes, round_number=session.round_number),)


def _commit(session: Session, event: Committed) -> Step:
    peer, commitment = event.peer, event.commitment
    known = session.commitments.get(peer)
    if fault := commitment_fault(session.task, peer, commitment, known):
        return _settle(exclude(session, fault))
    if known is not None:
        return session, ()
    if peer not in session.pending:
        return blame(session, Fault(peer=peer, kind=FaultKind.LATE, evidence=(commitment,))), ()
    kept = with_entry(session.commitments, peer, commitment)
    return _settle(replace(session, commitments=kept, pending=session.pending - {peer}))


def _say(session: Session, event: Said) -> Step:
    """Take the first statement of a node; a second one, or a late one, counts for nothing."""
    if event.peer not in session.pending:
        return session, ()
    said = with_entry(session.statements, event.peer, event.statement)
    return _settle(replace(session, statements=said, pending=session.pending - {event.peer}))


def _commit_late(session: Session, event: Committed) -> Step:
    """A commitment after the close counts for nothing, but a second and different one is evidence."""
    known = session.commitments.get(event.peer)
    if fault := commitment_fault(session.task, event.peer, event.commitment, known):
        return _settle(exclude(session, fault))
    if known is not None:
        return session, ()
    return blame(session, Fault(peer=event.peer, kind=FaultKind.LATE, evidence=(event.commitment,))), ()


def _reveal(session: Session, event: Revealed) -> Step:
    peer, receipt = event.peer, event.receipt
    known = session.receipts.get(peer)
    is_due = session.phase is Phase.REVEALING and peer in session.pending
    if known is None and not is_due and peer not in session.mute:
        return session, ()
    # A late receipt names the list of its own round. It is bound by its commitment, so it can only be true or missing:
    # to leave it out would let a later liar win against it.
    published = session.published if is_due else session.mute.get(peer, session.published)
    if fault := reveal_fault(session.task, peer, receipt, known, published):
        return _settle(exclude(session, fault))
    if known is not None:
        return session, ()
    after = replace(
        session,
        receipts=with_entry(session.receipts, peer, receipt),
        mute=without_entry(session.mute, peer),
        pending=session.pending - {peer},
    )
    return _settle(after)


def _fail_commit(session: Session, event: Undetermined) -> Step:
    if event.peer not in session.pending:
        return session, ()
    entry = (event.peer, event.reason)
    after = replace(session, pending=session.pending - {event.peer}, undetermined=(*session.undetermined, entry))
    return _settle(after)


def _fail_reveal(session: Session, event: Undetermined) -> Step:
    """A node that fails after its commitment is as mute as one that hides."""
    if event.peer not in session.pending:
        return session, ()
    return _settle(mute(session, {event.peer}, event.reason))


def _commit_deadline(session: Session, event: DeadlinePassed) -> Step:
    if _is_stale(session, event):
        return session, ()
    late = session
    for peer in sorted(session.pending):
        late = blame(late, Fault(peer=peer, kind=FaultKind.LATE))
    return _settle(replace(late, pending=frozenset()))


def _reveal_deadline(session: Session, event: DeadlinePassed) -> Step:
    return (session, ()) if _is_stale(session, event) else _settle(mute(session, session.pending, "deadline"))


def _is_stale(session: Session, event: DeadlinePassed) -> bool:
    return (event.round_number, event.phase) != (session.round_number, session.phase)


def _ignore(session: Session, event: Event) -> Step:  # noqa: ARG001
    """Drop a message that was under way when its phase ended."""
    return session, ()


def _settle(session: Session) -> Step:
    """Go on when nothing is awaited any more; the phase says where to."""
    if session.pending or session.phase not in (Phase.COMMITTING, Phase.REVEALING):
        return session, ()
    if session.phase is Phase.REVEALING:
        return _decide(session)
    if session.unverified:
        lacking = session.rule.replication - len(session.statements)
        return _ask(session, lacking) if lacking > 0 and room(session) > 0 else _finish(session)
    # Replacing missing nodes now is better than after the close: nothing has been revealed to anybody yet.
    missing = session.rule.confidence - len(session.commitments)
    if missing > 0 and room(session) > 0:
        return _ask(session, missing)
    return _publish(session) if fresh(session) else _decide(session)


def _publish(session: Session) -> Step:
    """Close the round. A published commitment stays in every later list, so none can be made to vanish."""
    new = fresh(session)
    commitments = close_round(session.task, (published_by_node(session) | dict(session.commitments)).values())
    after = replace(session, phase=Phase.REVEALING, pending=new, published=commitments)
    action = PublishRound(
        commitments=commitments,
        cid=list_cid(commitments),
        nodes=tuple(sorted(new)),
        round_number=session.round_number,
    )
    return after, (action,)


def _decide(session: Session) -> Step:
    """Agree, ask more nodes, or give up."""
    if decide(session).verdict is Verdict.AGREED or room(session) <= 0:
        return _finish(session)
    return _ask(session, more_nodes(session))


def _ask(session: Session, wanted: int) -> Step:
    after = replace(session, phase=Phase.ASSIGNING, round_number=session.round_number + 1)
    return after, (AskNodes(count=min(wanted, room(session))),)


def _finish(session: Session) -> Step:
    return replace(session, phase=Phase.DONE, pending=frozenset()), (Finish(decision=decide(session)),)


def _withdraw(session: Session, event: Withdrawn) -> Step:  # noqa: ARG001
    """The submitter wants no answer any more; what is known already is told, and counts for nothing."""
    return _finish(replace(session, withdrawn=True))


_A, _C, _R, _D = Phase.ASSIGNING, Phase.COMMITTING, Phase.REVEALING, Phase.DONE

TRANSITIONS: Final[Table] = MappingProxyType(
    {
        (_A, Assigned): Transition(_assign, (_C, _R, _D)),
        (_A, Committed): Transition(_commit_late, (_A,)),
        (_A, Revealed): Transition(_reveal, (_A,)),
        (_A, Said): Transition(_ignore, (_A,)),
        (_A, Undetermined): Transition(_ignore, (_A,)),
        (_A, DeadlinePassed): Transition(_ignore, (_A,)),
        (_A, Withdrawn): Transition(_withdraw, (_D,)),
        (_C, Committed): Transition(_commit, (_C, _A, _R, _D)),
        (_C, Revealed): Transition(_reveal, (_C, _A, _R, _D)),
        (_C, Said): Transition(_say, (_C, _A, _D)),
        (_C, Undetermined): Transition(_fail_commit, (_C, _A, _R, _D)),
        (_C, DeadlinePassed): Transition(_commit_deadline, (_C, _A, _R, _D)),
        (_C, Withdrawn): Transition(_withdraw, (_D,)),
        (_R, Committed): Transition(_commit_late, (_R, _A, _D)),
        (_R, Revealed): Transition(_reveal, (_R, _A, _D)),
        (_R, Undetermined): Transition(_fail_reveal, (_R, _A, _D)),
        (_R, DeadlinePassed): Transition(_reveal_deadline, (_R, _A, _D)),
        (_R, Withdrawn): Transition(_withdraw, (_D,)),
        (_D, Committed): Transition(_ignore, (_D,)),
        (_D, Revealed): Transition(_ignore, (_D,)),
        (_D, Said): Transition(_ignore, (_D,)),
        (_D, Undetermined): Transition(_ignore, (_D,)),
        (_D, DeadlinePassed): Transition(_ignore, (_D,)),
        (_D, Withdrawn): Transition(_ignore, (_D,)),
    }
)

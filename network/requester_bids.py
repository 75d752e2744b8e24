"""Finding nodes for a task: offers, bids, and the choice among them. Cells of the table in `requester_task`."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from network.bid_choice import choose_bids, is_diverse_enough
from network.messages import Bid, Decline, Offer, Refuse
from network.protocol_events import Lost
from network.requester_state import Found, GraceOver, OfferAgain, QueueOver, RequesterTask
from network.requester_steps import Step, advance, bids_needed, search, search_last, timer, to
from network.session_events import Assigned
from network.session_state import with_entry, without_entry
from network.trust_terms import Standing
from verifier.model import PeerId


def offer_found(state: RequesterTask, found: Found, _: PeerId | None) -> Step:
    """Offer the task to nodes that were found. When there are none any more, newcomers have a while to come."""
    if found.nobody_left:
        return _take_what_there_is(state) if found.is_last else _wait_for_newcomers(state)
    if found.peers or found.is_last:
        state = replace(state, is_alone=False)
    offer = Offer(session=state.session_id, job=state.job.job, task=state.task, demand=state.job.demand)
    passes = MappingProxyType({**state.passes, **found.passes})
    peers = frozenset(found.peers)
    readers = (state.readers - peers) | found.readers
    after = replace(state, offered=state.offered | peers, passes=passes, readers=readers)
    return after, to(found.peers, offer, task=state.task)


def _wait_for_newcomers(state: RequesterTask) -> Step:
    if state.is_alone:
        return state, ()
    after = replace(state, is_alone=True, graces=state.graces + 1)
    return after, (timer(after, GraceOver(search=after.searches, grace=after.graces), after.grace_ms),)


def grace_over(state: RequesterTask, event: GraceOver, _: PeerId | None) -> Step:
    """Newcomers have had their time: look once more, and go on without them."""
    is_stale = (event.search, event.grace) != (state.searches, state.graces) or not state.is_alone
    return state, () if is_stale else (search_last(state),)


def take_bid(state: RequesterTask, bid: Bid, peer: PeerId) -> Step:
    """Note a bid; when there are enough, choose."""
    if peer not in state.offered or peer in state.session.asked:
        return state, ()
    bids = with_entry(state.bids, peer, (bid.engine, bid.arch))
    return choose_if_enough(replace(state, bids=bids, refused=state.refused - {peer}))


def choose_if_enough(state: RequesterTask) -> Step:
    """Choose among the bids, if there are enough."""
    diverse = state.job.rule.diverse and not is_diverse_enough(
        state.bids.values(), state.kinds.values(), state.job.rule.confidence
    )
    return (state, ()) if len(state.bids) < bids_needed(state) or diverse else choose(state)


def choose(state: RequesterTask) -> Step:
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
    after, actions = advance(blank, Assigned(nodes=chosen, standing=_standing(state, chosen)))
    return after, (*actions, *to(others, Decline(session=state.session_id)))


def _standing(state: RequesterTask, nodes: tuple[PeerId, ...]) -> Standing | None:
    """Return what the session is to know of nodes, and to keep; None if it goes by counts."""
    if state.terms is None:
        return None
    return Standing(terms=state.terms, passes=tuple(state.passes.get(node, 0) for node in nodes))


def take_refusal(state: RequesterTask, message: Refuse, peer: PeerId) -> Step:  # noqa: ARG001
    """Note that a node does not want the task now."""
    if peer not in state.offered:
        return state, ()
    return replace(state, refused=state.refused | {peer}, bids=without_entry(state.bids, peer)), ()


def lose_bid(state: RequesterTask, event: Lost, peer: PeerId | None) -> Step:  # noqa: ARG001
    """A node is gone: its bid is worth nothing, and its room is not counted on."""
    if peer is None:
        return state, ()
    return replace(state, offered=state.offered - {peer}, bids=without_entry(state.bids, peer)), ()


def offer_again(state: RequesterTask, event: OfferAgain, _: PeerId | None) -> Step:
    """Too few bids so far: offer the task to more nodes, and again to those that were silent."""
    return (state, search(state, event.attempt)) if event.search == state.searches else (state, ())


def queue_over(state: RequesterTask, event: QueueOver, _: PeerId | None) -> Step:
    """The search may take no longer."""
    return _take_what_there_is(state) if event.search == state.searches else (state, ())


def _take_what_there_is(state: RequesterTask) -> Step:
    """Begin with the nodes that have bid, but with nobody below `min_bids`."""
    enough = len(state.bids) >= (0 if state.session.asked else state.job.min_bids)
    return choose(state if enough else replace(state, bids=MappingProxyType({})))

"""The machines broken on purpose: what the simulator must find, or its silence means nothing."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import replace
from types import MappingProxyType
from unittest.mock import patch

from network import (
    compute_node,
    node_task,
    requester,
    requester_steps,
    requester_task,
    session,
    session_faults,
    session_trust,
)
from network.capacity_book import CapacityBook
from network.message_codec import encode
from network.messages import Reveal
from network.node_state import Stage
from network.protocol_events import Executed, KeepList, Persist, Send, SetTimer
from network.session_events import DeadlinePassed, Phase, Revealed
from network.session_state import with_entry
from verifier import compare
from verifier.commitment import close_round


def _cell(module, key, handle):
    """Replace the handler of one cell of a table."""
    table = {**module.TRANSITIONS, key: replace(module.TRANSITIONS[key], handle=handle)}
    return patch.object(module, "TRANSITIONS", MappingProxyType(table))


def reveal_before_the_list_is_closed():
    """A node makes the list itself, of its own commitment alone."""
    original = node_task.TRANSITIONS[Stage.RUNNING, Executed].handle

    def handle(state, event, peer):
        after, actions = original(state, event, peer)
        _, receipt = after.participant.reveal(close_round(state.task, [after.participant.commitment]), "nobody")
        message = encode(Reveal(session=state.session_id, receipt=receipt))
        return after, (*actions, Send(peer=peer, message=message))

    return [_cell(node_task, (Stage.RUNNING, Executed), handle)]


def close_on_the_first_commitment():
    original = session._settle

    def settle(state):
        hasty = state.phase is Phase.COMMITTING and state.commitments
        return original(replace(state, pending=frozenset()) if hasty else state)

    return [patch.object(session, "_settle", settle)]


def count_duplicates():
    """A node has as many votes as it sends receipts."""
    original = session._reveal

    def reveal(state, event):
        if event.peer in state.receipts:
            name = f"{event.peer}#{len(state.receipts)}"
            return session._settle(replace(state, receipts=with_entry(state.receipts, name, event.receipt)))
        return original(state, event)

    def count(receipts, rule):
        numbered = {}
        for receipt in receipts:
            numbered.setdefault((receipt.node, receipt), receipt)
        groups = compare.group_claims(numbered.values())
        leading = compare.most_frequent(groups)
        agreed = leading is not None and compare._agrees(groups[leading], len(numbered), rule)
        verdict = compare.Verdict.AGREED if agreed else compare.Verdict.SPLIT
        agreeing = groups[leading] if agreed else ()
        rest = tuple(one for one in numbered.values() if one not in agreeing)
        return compare.Decision(
            verdict=verdict, claim=leading if agreed else None, agreeing=agreeing, dissenting=rest, same_state=True
        )

    phases = (Phase.ASSIGNING, Phase.COMMITTING, Phase.REVEALING)
    table = {
        **session.TRANSITIONS,
        **{(phase, Revealed): replace(session.TRANSITIONS[phase, Revealed], handle=reveal) for phase in phases},
    }
    return [
        patch.object(session, "TRANSITIONS", MappingProxyType(table)),
        patch.object(session_trust, "compare", count),
    ]


def commit_before_it_is_on_disk():
    """A node sends first and persists afterwards."""
    original = node_task._say

    def say(state, *, is_new=False):
        after, actions = original(state, is_new=is_new)
        return after, tuple(sorted(actions, key=lambda action: isinstance(action, Persist)))

    return [patch.object(node_task, "_say", say)]


def forget_to_persist_an_assignment():
    original = node_task._queue

    def queue(state, event, peer):
        after, actions = original(state, event, peer)
        return after, tuple(action for action in actions if not isinstance(action, Persist))

    return [
        patch.object(node_task, "_queue", queue),
        _cell(node_task, (Stage.BACKLOG, node_task.Assign), queue),
    ]


def acknowledge_before_it_is_on_disk():
    """A requester acknowledges first."""
    original = requester_task._confirm

    def confirm(after, actions, message, peer):
        after, actions = original(after, actions, message, peer)
        return after, tuple(sorted(actions, key=lambda action: isinstance(action, Persist)))

    return [patch.object(requester_task, "_confirm", confirm)]


def blame_for_a_restart_of_ones_own():
    """A requester that was down holds its nodes to a deadline that ran meanwhile."""
    original = requester_task.resume

    def resume(*arguments):
        after, actions = original(*arguments)
        return after, tuple(
            replace(action, delay_ms=1)
            if isinstance(action, SetTimer) and isinstance(action.about, DeadlinePassed)
            else action
            for action in actions
        )

    return [patch.object(requester_task, "resume", resume)]


def accept_a_receipt_that_does_not_match():
    return [patch.object(session_faults, "_mismatch", lambda receipt, published: None)]


def reveal_for_every_list():
    """A node forgets that it has revealed."""
    original = node_task._reveal

    def reveal(state, close, peer):
        return original(replace(state, participant=replace(state.participant, revealed=None)), close, peer)

    return [_cell(node_task, (Stage.REVEALED, node_task.Close), reveal)]


def agree_with_the_first_receipt():
    return [patch.object(compare, "_agrees", lambda group, revealed, rule: True)]


def search_for_ever():
    """A requester that finds too few nodes goes on looking."""
    ends = ((Phase.ASSIGNING, kind) for kind in (requester_task.QueueOver, requester_task.GraceOver))
    ignored = {key: replace(requester_task.TRANSITIONS[key], handle=requester_task._ignore) for key in ends}
    table = MappingProxyType({**requester_task.TRANSITIONS, **ignored})
    return [patch.object(requester_task, "TRANSITIONS", table)]


def take_a_repetition_for_an_equivocation():
    original = session.commitment_fault

    def fault(task, peer, commitment, known):
        found = original(task, peer, commitment, known)
        if found is None and known is not None:
            kind = session_faults.FaultKind.EQUIVOCATION
            return session_faults.Fault(peer=peer, kind=kind, evidence=(known, commitment))
        return found

    return [patch.object(session, "commitment_fault", fault)]


def keep_room_after_the_end():
    return [patch.object(compute_node, "HOLDS_ROOM", compute_node.HOLDS_ROOM | {Stage.COMMITTED})]


def let_tasks_wait_for_each_others_bids():
    """All of them begin at once, and a bid keeps its room for as long as anybody looks for nodes."""
    return [
        patch.object(requester.Requester, "window", lambda self, job: 16),
        patch.object(node_task, "HOLD_BID_MS", 60_000),
    ]


def forget_the_lists():
    original = requester_steps._close

    def close(state, nodes):
        return tuple(action for action in original(state, nodes) if not isinstance(action, KeepList))

    return [patch.object(requester_steps, "_close", close)]


def forget_a_job_before_it_is_told():
    original = requester.Requester._job_ended

    def end(self, name):
        report, *forgotten = original(self, name)
        return *forgotten, report

    return [patch.object(requester.Requester, "_job_ended", end)]


def go_on_from_a_checkpoint_unasked():
    """A node takes every assignment for one that lets it."""
    original = node_task._queue

    def queue(state, event, peer):
        after, actions = original(state, event, peer)
        return replace(after, resumes=True), actions

    return [patch.object(node_task, "_queue", queue), _cell(node_task, (Stage.BACKLOG, node_task.Assign), queue)]


def say_what_old_nodes_do_not_read():
    return [patch.object(CapacityBook, "readers", lambda self, peers: frozenset(peers))]


def let_every_job_go_on_from_checkpoints():
    """A requester forgets that a run was to be whole."""
    original = requester_steps.send_assignment

    def send(state, nodes, *, task=None):
        return original(replace(state, job=replace(state.job, resumes=True)), nodes, task=task)

    return [patch.object(requester_steps, "send_assignment", send)]


MUTATIONS = {
    go_on_from_a_checkpoint_unasked: {10},
    say_what_old_nodes_do_not_read: {10},
    let_every_job_go_on_from_checkpoints: {10},
    forget_a_job_before_it_is_told: {3, 4},
    forget_the_lists: {2},
    let_tasks_wait_for_each_others_bids: {9},
    agree_with_the_first_receipt: {1},
    search_for_ever: {3},
    take_a_repetition_for_an_equivocation: {7},
    keep_room_after_the_end: {8},
    reveal_before_the_list_is_closed: {6},
    close_on_the_first_commitment: {6, 7},
    count_duplicates: {1, 2},
    commit_before_it_is_on_disk: {4, 5, 7},
    forget_to_persist_an_assignment: {4},
    acknowledge_before_it_is_on_disk: {4},
    blame_for_a_restart_of_ones_own: {6, 7},
    accept_a_receipt_that_does_not_match: {2},
    reveal_for_every_list: {5, 6},
}
"""With the invariants that may notice."""


@contextmanager
def mutated(mutation):
    """Break the machines in this process while the context lasts."""
    with ExitStack() as stack:
        for change in mutation():
            stack.enter_context(change)
        yield

"""A node without its world."""

from dataclasses import replace

import pytest

from network import compute_node, node_task
from network.compute_node import MAX_BACKLOG_EACH, PATIENCE
from network.message_codec import encode, session_id, sign_close
from network.messages import (
    MAX_IN_HAND,
    Accepted,
    Ack,
    Assign,
    Bid,
    Cancel,
    Commit,
    Decline,
    Demand,
    Failed,
    Offer,
    Refuse,
    Reveal,
    Settled,
)  # fmt: skip
from network.node_state import Stage
from network.protocol_errors import LocalProtocolError
from network.protocol_events import (
    Abort,
    Accuse,
    Broadcast,
    Executed,
    ExecutionFailed,
    Misbehaved,
    Persist,
    Received,
    RoomChanged,
    Run,
    Send,
    SetTimer,
    Submitted,
    Timer,
)  # fmt: skip
from storage.cid import RAW, make_cid
from tests.unit.network.personas import TASK, commitment_of, execution
from tests.unit.network.protocol_world import (
    JOB,
    REQUESTER,
    SESSION,
    UNIT,
    disk,
    job,
    make_node,
    records,
    sent,
    told,
    total,
)  # fmt: skip
from tests.vectors.records.world import identity, nonce
from verifier.bounds import MAX_INTEGER
from verifier.commitment import close_round, list_cid

OFFER = Offer(session=SESSION, job=JOB, task=TASK, demand=UNIT)
ASSIGN = Assign(session=SESSION, job=JOB, task=TASK, demand=UNIT)
DONE = Executed(session=SESSION, execution=execution(), nonce=nonce(0))


OTHER_JOB = "ee" * 16
TWO = Demand(cpu_milli=2000, memory=1 << 30, disk=0, gpus=0)
TOO_LARGE = "larger than this node takes: needs 2 cores, and gets at most 1"


def another(number: int, kind=Offer, demand=UNIT, job=JOB):
    task = make_cid(RAW, f"another task {number}".encode())
    return kind(session=session_id(REQUESTER.peer, job, task), job=job, task=task, demand=demand)


def through(node, *events):
    """Feed events; return the actions of the last one, and the disk."""
    kept, actions = {}, ()
    for event in events:
        actions = node.handle(event)
        kept = disk(actions, kept)
    return actions, kept


def close_for(number=0, *others):
    commitments = close_round(TASK, [commitment_of(number), *others])
    return sign_close(REQUESTER, SESSION, 1, commitments)


def test_an_offer_is_bid_for_assigned_executed_committed_and_revealed():
    node = make_node()
    assert [type(one) for one in sent(node.handle(told(OFFER)))] == [Bid]
    actions = node.handle(told(ASSIGN))
    assert [type(action) for action in actions] == [Persist, Send, Run]
    assert [type(one) for one in sent(actions)] == [Accepted]
    actions = node.handle(DONE)
    assert [type(action) for action in actions] == [Persist, Send, SetTimer, SetTimer]
    (commit,) = sent(actions)
    assert isinstance(commit, Commit)
    assert commit.commitment == commitment_of(0)
    node.handle(told(Ack(session=SESSION, of="commit/1")))
    close = close_for()
    actions = node.handle(told(close))
    assert isinstance(actions[0], Persist)
    (reveal,) = sent(actions)
    assert isinstance(reveal, Reveal)
    assert reveal.receipt.round == list_cid(close.commitments)
    node.handle(told(Settled(session=SESSION)))
    assert node.tasks == {}
    assert node.free == node.total


def test_a_full_node_keeps_offers_and_bids_again_when_room_frees_up():
    node = make_node(slots=1)
    node.handle(told(OFFER))
    waiting = another(1, job=OTHER_JOB)
    assert sent(node.handle(told(waiting))) == []
    assert node.tasks[waiting.session].stage is Stage.BACKLOG
    actions = node.handle(told(Decline(session=SESSION)))
    assert [(type(one), one.session) for one in sent(actions)] == [(Bid, waiting.session)]


@pytest.mark.parametrize("end", [DONE, ExecutionFailed(session=SESSION, reason="disk full")])
def test_room_is_free_again_when_an_execution_ends(end):
    node = make_node(slots=1)
    through(node, told(OFFER), told(ASSIGN))
    waiting = another(1, job=OTHER_JOB)
    node.handle(told(waiting))
    assert node.tasks[waiting.session].stage is Stage.BACKLOG
    assert (Bid, waiting.session) in [(type(one), one.session) for one in sent(node.handle(end))]


def test_the_next_task_of_a_job_is_bid_for_while_one_runs_and_begins_when_it_ends():
    node = make_node(slots=1)
    through(node, told(OFFER), told(ASSIGN))
    second, third = another(1), another(2)
    assert [type(one) for one in sent(node.handle(told(second)))] == [Bid]
    assert sent(node.handle(told(third))) == []
    assert node.free.cpu_milli == 0
    assert not any(isinstance(action, Run) for action in node.handle(told(another(1, Assign))))
    assert node.tasks[second.session].stage is Stage.QUEUED
    actions = node.handle(DONE)
    assert [action.session for action in actions if isinstance(action, Run)] == [second.session]
    assert (Bid, third.session) in [(type(one), one.session) for one in sent(actions)]


def test_no_more_is_promised_ahead_than_there_is_in_all():
    node = make_node(slots=2)
    through(node, told(OFFER), told(ASSIGN))
    for number in range(1, 6):
        node.handle(told(another(number)))
    stages = [task.stage for task in node.tasks.values()]
    assert (stages.count(Stage.RUNNING), stages.count(Stage.BID), stages.count(Stage.BACKLOG)) == (1, 3, 2)
    assert node.free == Demand(cpu_milli=0, memory=0, disk=0, gpus=0)


def test_nothing_is_promised_ahead_of_another_job_that_waits():
    node = make_node(slots=1)
    through(node, told(OFFER), told(ASSIGN))
    other = another(1, job=OTHER_JOB)
    node.handle(told(other))
    assert sent(node.handle(told(another(2)))) == []
    assert [one.session for one in sent(node.handle(DONE)) if isinstance(one, Bid)] == [other.session]


def test_what_was_promised_ahead_is_free_again_when_nobody_wants_it():
    node = make_node(slots=1)
    through(node, told(OFFER), told(ASSIGN))
    second, third = another(1), another(2)
    node.handle(told(second))
    node.handle(told(third))
    actions = node.handle(told(Decline(session=second.session)))
    assert [one.session for one in sent(actions) if isinstance(one, Bid)] == [third.session]


def test_after_a_restart_nothing_is_promised_ahead():
    """Of what is on disk the job is not known."""
    node, disk = make_node(slots=1), {}
    for event in (told(OFFER), told(ASSIGN)):
        disk |= {action.key: action.value for action in node.handle(event) if isinstance(action, Persist)}
    again = make_node(slots=1)
    assert [action.session for action in again.start(disk) if isinstance(action, Run)] == [SESSION]
    assert sent(again.handle(told(another(1)))) == []


def ran(node, number, took_ms, job=JOB):
    """Have another task assigned and executed."""
    assign = another(number, Assign, job=job)
    node.handle(told(assign))
    event = replace(DONE, session=assign.session, execution=replace(DONE.execution, task=assign.task))
    node.handle(replace(event, took_ms=took_ms))


def in_hand(actions):
    (accepted,) = [one for one in sent(actions) if isinstance(one, Accepted)]
    return accepted.in_hand


@pytest.mark.parametrize(
    ("slots", "took_ms", "taken"),
    [
        (1, 40, 100),
        (1, 80, 50),
        (1, 0, MAX_IN_HAND),
        (1, 1_600, 0),
        (2, 1_600, 5),
        (1, 1_334, 0),
        (1, 5_000, 0),
        (1, None, 0),
    ],
)
def test_as_many_tiny_tasks_are_taken_without_bids_as_take_four_seconds(slots, took_ms, taken):
    node = make_node(slots=slots)
    assert in_hand(node.handle(told(another(1, Assign)))) == 0
    ran(node, 2, took_ms) if slots > 1 else node.handle(told(Cancel(session=another(1).session)))
    ran(node, 3, took_ms)
    assert in_hand(node.handle(told(another(4, Assign)))) == taken
    assert in_hand(node.handle(told(another(5, Assign, job=OTHER_JOB)))) == 0, "of another job nothing is known"


def test_a_task_that_takes_longer_counts_at_once_and_shorter_ones_slowly():
    node = make_node()
    ran(node, 1, 80)
    ran(node, 2, 400)
    assert in_hand(node.handle(told(another(3, Assign)))) == 10
    node.handle(told(Cancel(session=another(3).session)))
    ran(node, 4, 80)
    assert in_hand(node.handle(told(another(5, Assign)))) == 12


def test_while_others_wait_nothing_is_taken_without_a_bid():
    node = make_node()
    ran(node, 1, 40)
    node.handle(told(another(2, Assign)))
    waiting = another(3, job=OTHER_JOB)
    node.handle(told(waiting))
    assert node.tasks[waiting.session].stage is Stage.BACKLOG
    assert in_hand(node.handle(told(another(4, Assign)))) == 0
    node.handle(told(Decline(session=waiting.session)))
    assert in_hand(node.handle(told(another(5, Assign)))) == 100


def test_an_execution_that_failed_ends_what_is_taken_without_bids():
    node = make_node()
    ran(node, 1, 10)
    node.handle(told(another(2, Assign)))
    node.handle(ExecutionFailed(session=another(2).session, reason="disk full"))
    assert in_hand(node.handle(told(another(3, Assign)))) == 0


def test_what_is_assigned_without_bids_is_executed_in_its_order():
    node = make_node()
    ran(node, 1, 10)
    sessions = [another(number, Assign).session for number in range(2, 6)]
    begun = [
        one.session
        for number in range(2, 6)
        for one in node.handle(told(another(number, Assign)))
        if isinstance(one, Run)
    ]
    while begun[-1] != sessions[-1]:
        actions = node.handle(ExecutionFailed(session=begun[-1], reason="done"))
        begun += [one.session for one in actions if isinstance(one, Run)]
    assert begun == sessions


def test_a_bid_that_nobody_answers_gives_its_room_back():
    node = make_node(slots=1)
    actions = node.handle(told(OFFER))
    (timer,) = [
        action for action in actions if isinstance(action, SetTimer) and action.delay_ms == node_task.HOLD_BID_MS
    ]
    node.handle(Timer(session=SESSION, about=timer.about))
    assert node.free == node.total
    assert [type(one) for one in sent(node.handle(told(OFFER)))] == [Bid]


def test_a_timer_that_is_stale_changes_nothing():
    node = make_node(slots=1)
    (first, *_) = [action for action in node.handle(told(OFFER)) if isinstance(action, SetTimer)]
    node.handle(told(ASSIGN))
    assert node.handle(Timer(session=SESSION, about=first.about)) == ()
    assert node.tasks[SESSION].stage is Stage.RUNNING


def test_an_assignment_that_does_not_fit_waits_and_is_not_overtaken():
    node = make_node(slots=2)
    two = Demand(cpu_milli=2000, memory=1 << 30, disk=0, gpus=0)
    through(node, told(OFFER), told(ASSIGN))
    large, small = another(1, Assign, two), another(2, Assign)
    assert [type(one) for one in sent(node.handle(told(large)))] == [Accepted]
    node.handle(told(small))
    assert [node.tasks[one.session].stage for one in (large, small)] == [Stage.QUEUED] * 2
    actions = node.handle(DONE)
    assert [action.session for action in actions if isinstance(action, Run)] == [large.session]


def test_what_is_refused():
    huge = Demand(cpu_milli=9000, memory=1, disk=0, gpus=0)
    (refusal,) = sent(make_node().handle(told(another(1, demand=huge))))
    assert refusal.reason == "larger than this node takes: needs 9 cores, and gets at most 1"
    (refusal,) = sent(make_node(accepts=lambda offer, peer: "not today").handle(told(OFFER)))
    assert (type(refusal), refusal.reason) == (Refuse, "not today")
    (failure,) = sent(make_node(accepts=lambda offer, peer: "not today").handle(told(ASSIGN)))
    assert (type(failure), failure.reason) == (Failed, "not today")


def test_one_requester_cannot_fill_the_backlog():
    node = make_node(slots=1)
    node.handle(told(OFFER))
    for number in range(MAX_BACKLOG_EACH):
        assert sent(node.handle(told(another(number, job=OTHER_JOB)))) == []
    (refusal,) = sent(node.handle(told(another(999))))
    assert refusal.reason == "backlog is full"


def test_one_requester_cannot_open_sessions_without_end(monkeypatch):
    monkeypatch.setattr(compute_node, "MAX_SESSIONS_EACH", 2)
    node = make_node(slots=9)
    assert [type(one) for number in range(2) for one in sent(node.handle(told(another(number))))] == [Bid, Bid]
    (refusal,) = sent(node.handle(told(another(2))))
    assert (type(refusal), refusal.reason) == (Refuse, "too many sessions")


def test_nobody_speaks_for_another_requester():
    node = make_node()
    stranger = identity(60).peer
    through(node, told(OFFER), told(ASSIGN))
    for message in (OFFER, Cancel(session=SESSION), ASSIGN):
        (action,) = node.handle(Received(peer=stranger, message=encode(message)))
        assert isinstance(action, Misbehaved)
        assert action.peer == stranger
    assert node.tasks[SESSION].stage is Stage.RUNNING


def test_what_only_nodes_send_and_nonsense_is_noted():
    for data in (encode(Accepted(session=SESSION)), b"nonsense"):
        (action,) = make_node().handle(Received(peer=REQUESTER.peer, message=data))
        assert isinstance(action, Misbehaved)


def test_a_message_that_comes_twice_is_answered_the_same_and_changes_nothing():
    node = make_node()
    through(node, told(OFFER), told(ASSIGN))
    assert [type(one) for one in sent(node.handle(told(ASSIGN)))] == [Accepted]
    first = sent(node.handle(DONE))
    assert sent(node.handle(told(ASSIGN))) == first
    first = sent(node.handle(told(close_for())))
    actions = node.handle(told(close_for()))
    assert sent(actions) == first
    assert not any(isinstance(action, Persist) for action in actions)


def test_it_repeats_itself_until_it_is_heard():
    node = make_node()
    through(node, told(OFFER), told(ASSIGN))
    actions = node.handle(DONE)
    (again,) = [one for one in actions if isinstance(one, SetTimer) and isinstance(one.about, node_task.SayAgain)]
    repeated = node.handle(Timer(session=SESSION, about=again.about))
    assert sent(repeated) == sent(actions)
    (later,) = [one for one in repeated if isinstance(one, SetTimer)]
    assert later.delay_ms == 2 * again.delay_ms
    node.handle(told(Ack(session=SESSION, of="reveal/1")))
    assert sent(node.handle(Timer(session=SESSION, about=later.about))) != []
    node.handle(told(Ack(session=SESSION, of="commit/1")))
    assert node.handle(Timer(session=SESSION, about=later.about)) == ()


def test_a_second_list_is_refused_and_convicts_the_requester():
    node = make_node()
    through(node, told(OFFER), told(ASSIGN), DONE, told(close_for()))
    actions = node.handle(told(close_for(0, commitment_of(1))))
    (action,) = actions
    assert isinstance(action, Accuse)
    assert action.blame.node == REQUESTER.peer


def test_a_list_without_its_commitment_gets_nothing():
    node = make_node()
    through(node, told(OFFER), told(ASSIGN), DONE)
    (action,) = node.handle(told(close_for(1)))
    assert isinstance(action, Misbehaved)
    assert node.tasks[SESSION].stage is Stage.COMMITTED


@pytest.mark.parametrize("events", [0, 1, 2, 3])
def test_a_restart_takes_up_what_was_on_disk(events):
    steps = [told(ASSIGN), DONE, told(close_for())]
    _, kept = through(make_node(), told(OFFER), *steps[:events])
    node = make_node()
    actions = node.start(kept)
    expected = [[], [], [Commit], [Reveal]][events]
    assert [type(one) for one in sent(actions)] == expected
    assert [type(action) for action in actions if isinstance(action, Run)] == ([Run] if events == 1 else [])
    if events >= 2:
        (word,) = sent(actions)
        original = make_node()
        said = [sent(original.handle(event)) for event in (told(OFFER), *steps)]
        assert [word] == said[events]


def test_what_a_node_that_was_made_smaller_cannot_run_fails_and_lets_others_pass():
    two = Demand(cpu_milli=2000, memory=2 << 30, disk=0, gpus=0)
    large = another(1, Assign, two)
    _, kept = through(make_node(slots=2), told(large))
    node = make_node(slots=1)
    (failure,) = sent(node.start(kept))
    assert (failure.session, failure.reason) == (
        large.session,
        "larger than this node takes: needs 2 cores, and gets at most 1",
    )
    actions = node.handle(told(ASSIGN))
    assert [action.session for action in actions if isinstance(action, Run)] == [SESSION]


def test_what_is_over_stays_over_after_a_restart():
    _, kept = through(make_node(), told(OFFER), told(ASSIGN), told(Cancel(session=SESSION)))
    node = make_node()
    node.start(kept)
    assert node.handle(told(ASSIGN)) == ()
    assert node.tasks == {}


def test_a_cancelled_execution_is_aborted():
    node = make_node()
    through(node, told(OFFER), told(ASSIGN))
    actions = node.handle(told(Cancel(session=SESSION)))
    assert [type(action) for action in actions if not isinstance(action, Persist)] == [Abort]
    assert node.handle(DONE) == ()


def test_capacity_records_ascend_over_restarts():
    first = make_node()
    actions = first.start({})
    kept = disk(actions)
    (record,) = records(actions)
    (later,) = records(first.handle(Timer(session="", about="gossip")))
    (restarted,) = records(make_node().start(kept))
    assert record.sequence < later.sequence < restarted.sequence
    assert record.free == UNIT


def test_a_driver_that_breaks_the_rules_is_told():
    with pytest.raises(LocalProtocolError):
        make_node().handle(job())
    node = make_node()
    node.handle(told(OFFER))
    with pytest.raises(LocalProtocolError):
        node.handle(DONE)
    assert isinstance(job(), Submitted)


def test_room_that_comes_is_filled_and_announced():
    node = make_node(slots=1)
    node.start({})
    node.handle(Received(peer=REQUESTER.peer, message=encode(another(1, Assign))))
    node.handle(Received(peer=REQUESTER.peer, message=encode(another(2, Assign))))
    actions = node.handle(RoomChanged(total=total(2)))
    assert [action.task for action in actions if isinstance(action, Run)] == [another(2).task]
    (said,) = (action.message for action in actions if isinstance(action, Broadcast))
    assert (said.total, said.free) == (total(2), total(0))
    assert not [action for action in actions if isinstance(action, SetTimer) and action.about == "gossip"]


def test_room_that_goes_ends_nothing_and_lets_nothing_begin():
    node = make_node(slots=2)
    node.start({})
    for number in (1, 2):
        node.handle(Received(peer=REQUESTER.peer, message=encode(another(number, Assign))))
    actions = node.handle(RoomChanged(total=total(1)))
    assert not [action for action in actions if isinstance(action, Abort | Run)]
    assert node.free == total(0)
    refused = node.handle(
        Received(peer=REQUESTER.peer, message=encode(another(3, demand=replace(UNIT, cpu_milli=2000))))
    )
    assert sent(refused) == [Refuse(session=another(3).session, reason=TOO_LARGE)]


def test_what_room_that_goes_leaves_nothing_to_wait_for_keeps_nobody_waiting():
    node = make_node(slots=2)
    kept = disk(node.handle(told(ASSIGN)))
    assigned, offered, small = another(1, Assign, TWO), another(2, demand=TWO, job=OTHER_JOB), another(3, Assign)
    for message in (assigned, offered):
        kept = disk(node.handle(told(message)), kept)
    node.handle(told(small))
    assert node.tasks[small.session].stage is Stage.QUEUED  # nothing overtakes an assignment
    node.handle(ExecutionFailed(session=SESSION, reason="done"))
    node.handle(told(Cancel(session=small.session)))
    assert node.tasks[assigned.session].stage is Stage.RUNNING
    waits = another(4, Assign, TWO)
    kept = disk(node.handle(told(waits)), kept)
    actions = node.handle(RoomChanged(total=total(1)))
    assert Failed(session=waits.session, reason=TOO_LARGE) in sent(actions)
    assert Refuse(session=offered.session, reason=TOO_LARGE) in sent(actions)
    assert offered.session not in node.tasks
    assert not [action for action in actions if isinstance(action, Abort | Run)]
    again = make_node(slots=1)
    assert Failed(session=waits.session, reason=TOO_LARGE) in sent(again.start(disk(actions, kept)))
    node.handle(told(another(5, Assign)))
    ended = node.handle(ExecutionFailed(session=assigned.session, reason="done"))
    assert [action.session for action in ended if isinstance(action, Run)] == [another(5).session]


def test_less_for_one_job_fails_what_waits_although_all_together_have_as_much():
    node = make_node(slots=4)
    node.handle(told(another(1, Assign, total(4))))
    node.handle(told(another(2, Assign, TWO)))
    actions = node.handle(RoomChanged(total=total(4), job_most=UNIT))
    assert sent(actions) == [Failed(session=another(2).session, reason=TOO_LARGE)]


def test_a_bid_for_what_others_leave_fails_when_there_is_no_longer_so_much():
    node = make_node(slots=2)
    node.handle(told(another(1, Assign, TWO)))
    ahead = another(2, demand=TWO)
    assert [type(one) for one in sent(node.handle(told(ahead)))] == [Bid]
    assert node.tasks[ahead.session].is_ahead
    node.handle(RoomChanged(total=total(1)))
    assert node.free == total(0)
    said = sent(node.handle(told(Assign(session=ahead.session, job=JOB, task=ahead.task, demand=TWO))))
    assert [type(one) for one in said] == [Accepted, Failed]
    node.handle(ExecutionFailed(session=another(1).session, reason="done"))
    assert node.free == node.total == total(1)


def test_room_that_comes_is_promised_ahead_too():
    node = make_node(slots=1)
    for number in (1, 2):
        node.handle(told(another(number, Assign)))
    for number in (3, 4):
        node.handle(told(another(number)))
    assert node.tasks[another(4).session].stage is Stage.BACKLOG
    said = [one.session for one in sent(node.handle(RoomChanged(total=total(2)))) if isinstance(one, Bid)]
    assert said == [another(4).session]
    assert node.tasks[another(4).session].is_ahead


def test_a_large_offer_among_small_ones_gets_its_bid_in_the_end():
    """Requesters that take every bid at once, and come back for more: the node empties for the one that waits."""
    node = make_node(slots=2)
    through(node, told(OFFER), told(ASSIGN))
    running = [SESSION]
    large = another(1, demand=Demand(cpu_milli=2000, memory=1 << 30, disk=0, gpus=0), job=OTHER_JOB)
    node.handle(told(large))
    bids = []
    for number in range(2, 40):
        small = another(number)
        actions = node.handle(told(small))
        if node.tasks[small.session].stage is Stage.BACKLOG:
            actions += node.handle(ExecutionFailed(session=running.pop(0), reason="done"))
        bids += [one.session for one in sent(actions) if isinstance(one, Bid)]
        if large.session in bids:
            break
        for session in [name for name in bids if node.tasks[name].stage is Stage.BID]:
            (task,) = [one for one in (small, *map(another, range(2, number))) if one.session == session]
            node.handle(told(Assign(session=session, job=JOB, task=task.task, demand=UNIT)))
            running.append(session)
    assert bids[-1] == large.session
    assert len(bids) == 1 + PATIENCE


def test_what_waits_behind_an_assignment_goes_on_when_that_is_cancelled():
    node = make_node(slots=2)
    two = Demand(cpu_milli=2000, memory=1 << 30, disk=0, gpus=0)
    through(node, told(OFFER), told(ASSIGN))
    large, small = another(1, Assign, two), another(2, Assign)
    node.handle(told(large))
    node.handle(told(small))
    actions = node.handle(told(Cancel(session=large.session)))
    assert [action.session for action in actions if isinstance(action, Run)] == [small.session]


def test_one_job_gets_no_more_than_the_operator_allows():
    node = make_node(slots=4, job_most=UNIT)
    (refusal,) = sent(node.handle(told(another(1, demand=Demand(cpu_milli=1500, memory=1 << 30, disk=0, gpus=0)))))
    assert refusal.reason == "larger than this node takes: needs 1500m cores, and gets at most 1"
    assert [type(one) for one in sent(node.handle(told(OFFER)))] == [Bid]


def test_a_refusal_fits_its_message_whatever_is_demanded():
    huge = Demand(cpu_milli=MAX_INTEGER, memory=MAX_INTEGER, disk=MAX_INTEGER, gpus=MAX_INTEGER)
    (refusal,) = sent(make_node().handle(told(another(1, demand=huge))))
    assert refusal.reason == f"larger than this node takes: needs {MAX_INTEGER}m cores, and gets at most 1"


@pytest.mark.parametrize("end", ["decline", "expire", "cancel", "settle", "done", "failed"])
def test_room_is_free_again_whatever_ends_a_session(end):
    node = make_node(slots=1)
    actions = node.handle(told(OFFER))
    assert node.free.cpu_milli == 0
    if end == "expire":
        timer = next(one for one in actions if isinstance(one, SetTimer) and one.delay_ms == node_task.HOLD_BID_MS)
        node.handle(Timer(session=SESSION, about=timer.about))
    elif end == "decline":
        node.handle(told(Decline(session=SESSION)))
    else:
        node.handle(told(ASSIGN))
        node.handle(
            {
                "cancel": told(Cancel(session=SESSION)),
                "settle": told(Settled(session=SESSION)),
                "done": DONE,
                "failed": ExecutionFailed(session=SESSION, reason="disk full"),
            }[end]
        )
    assert node.free == node.total
    assert node.books.held == node.books.waiting == ()

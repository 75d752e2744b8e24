"""A node without its world."""

from dataclasses import replace

import pytest

from network import compute_node, node_task
from network.compute_node import MAX_BACKLOG_EACH
from network.message_codec import encode, session_id, sign_close
from network.messages import (
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
from verifier.commitment import close_round, list_cid

OFFER = Offer(session=SESSION, job=JOB, task=TASK, demand=UNIT)
ASSIGN = Assign(session=SESSION, job=JOB, task=TASK, demand=UNIT)
DONE = Executed(session=SESSION, execution=execution(), nonce=nonce(0))


def another(number: int, kind=Offer, demand=UNIT):
    task = make_cid(RAW, f"another task {number}".encode())
    return kind(session=session_id(REQUESTER.peer, JOB, task), job=JOB, task=task, demand=demand)


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
    waiting = another(1)
    assert sent(node.handle(told(waiting))) == []
    assert node.tasks[waiting.session].stage is Stage.BACKLOG
    actions = node.handle(told(Decline(session=SESSION)))
    assert [(type(one), one.session) for one in sent(actions)] == [(Bid, waiting.session)]


@pytest.mark.parametrize("end", [DONE, ExecutionFailed(session=SESSION, reason="disk full")])
def test_room_is_free_again_when_an_execution_ends(end):
    node = make_node(slots=1)
    through(node, told(OFFER), told(ASSIGN))
    waiting = another(1)
    node.handle(told(waiting))
    assert (Bid, waiting.session) in [(type(one), one.session) for one in sent(node.handle(end))]


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
    assert refusal.reason == "larger than this node"
    (refusal,) = sent(make_node(accepts=lambda offer, peer: "not today").handle(told(OFFER)))
    assert (type(refusal), refusal.reason) == (Refuse, "not today")
    (failure,) = sent(make_node(accepts=lambda offer, peer: "not today").handle(told(ASSIGN)))
    assert (type(failure), failure.reason) == (Failed, "not today")


def test_one_requester_cannot_fill_the_backlog():
    node = make_node(slots=1)
    node.handle(told(OFFER))
    for number in range(MAX_BACKLOG_EACH):
        assert sent(node.handle(told(another(number)))) == []
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
    assert (failure.session, failure.reason) == (large.session, "larger than this node")
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
    assert sent(refused) == [Refuse(session=another(3).session, reason="larger than this node")]

"""Whether a run need not be whole: what a requester signs and to whom, what a node takes for it and keeps."""

from dataclasses import replace

import pytest

from network.message_codec import encode, sign_assign
from network.messages import READS_SIGNED_ASSIGN, Accepted, Assign, Bid, Decline, Offer, SignedAssign
from network.node_state import NodeEntry, Stage, read_node_entry
from network.protocol_events import Executed, Heard, Misbehaved, Received, Run, Timer
from network.requester import Requester
from network.requester_entries import read_job, write
from network.requester_state import Repeat
from storage import dag_cbor
from tests.unit.network.personas import TASK, execution
from tests.unit.network.protocol_world import (
    JOB,
    REQUESTER,
    SESSION,
    UNIT,
    disk,
    job,
    make_node,
    records,
    requester_with,
    said,
    sent,
    told,
)  # fmt: skip
from tests.vectors.records.world import identity, nonce
from verifier.compare import make_rule

OFFER = Offer(session=SESSION, job=JOB, task=TASK, demand=UNIT)
WHOLE = Assign(session=SESSION, job=JOB, task=TASK, demand=UNIT)
MAY, MAY_NOT = (sign_assign(REQUESTER, WHOLE, resumes=resumes) for resumes in (True, False))
TWO = make_rule(replication=2, confidence=2)


def runs(actions):
    return [action for action in actions if isinstance(action, Run)]


# The requester's half.


def assignments(requester, nodes, **options):
    """Submit a job and bid for it with all nodes; return what each is told, by its number, and the disk."""
    kept = disk(requester.handle(job(rule=TWO, **options)))
    actions = ()
    for number in nodes:
        actions = requester.handle(said(number, Bid(session=SESSION, engine="noop", arch="x86_64")))
        kept = disk(actions, kept)
    return {number: sent(actions, identity(number).peer) for number in nodes}, kept


def test_who_reads_it_is_told_that_it_may_and_the_others_run_everything():
    told, _ = assignments(requester_with(0, 1, readers=(0,)), (0, 1), resumes=True)
    assert told == {0: [MAY], 1: [WHOLE]}


def test_a_run_that_is_to_be_whole_is_assigned_to_all_as_before():
    told, _ = assignments(requester_with(0, 1, readers=(0, 1)), (0, 1))
    assert told == {0: [WHOLE], 1: [WHOLE]}


def test_the_latest_word_of_a_node_counts():
    requester = requester_with(0, 1, readers=(0, 1))
    node = make_node(1)
    first, *_ = records(node.start({}))
    # It runs the release before again, and has said so since.
    old = replace(first, sequence=2, engines=node.engines)
    old = type(first).from_node(identity(1).sign(old.to_node()))
    requester.handle(Heard(message=encode(old), via=identity(1).peer))
    told, _ = assignments(requester, (0, 1), resumes=True)
    assert told == {0: [MAY], 1: [WHOLE]}


def test_it_is_repeated_as_it_was_said_and_after_a_restart_all_of_it_is_asked_for():
    requester = requester_with(0, 1, readers=(0, 1))
    _, kept = assignments(requester, (0, 1), resumes=True)
    requester.handle(said(1, Accepted(session=SESSION)))
    task = requester.tasks[SESSION]
    again = Repeat(round_number=task.session.round_number, phase=task.phase, attempt=1)
    assert sent(requester.handle(Timer(session=SESSION, about=again))) == [MAY]

    anew = Requester(REQUESTER)
    assert sent(anew.restore(kept)) == [WHOLE, WHOLE]
    assert anew.jobs[JOB].resumes


def test_nodes_that_take_tasks_by_the_lot_are_told_as_well():
    tasks = [OFFER.task, *(execution(f"y{number}").output for number in range(40))]
    requester = requester_with(0, readers=(0,))
    actions = requester.handle(job(tasks=tuple(tasks), rule=make_rule(replication=1, confidence=1), resumes=True))
    offers = [one for one in sent(actions) if isinstance(one, Offer)]
    actions = requester.handle(said(0, Bid(session=offers[0].session, engine="noop", arch="x86_64")))
    assert [type(one) for one in sent(actions) if not isinstance(one, Offer | Decline)] == [SignedAssign]
    actions = requester.handle(said(0, Accepted(session=offers[0].session, in_hand=8)))
    assert SignedAssign in {type(one) for one in sent(actions)}


# The node's half.


def test_a_node_announces_that_it_reads_it_and_bids_with_its_engines_alone():
    node = make_node()
    (record,) = records(node.start({}))
    assert record.engines == (*node.engines, READS_SIGNED_ASSIGN)
    (bid,) = sent(node.handle(told(OFFER)))
    assert bid.engine == node.engines[0].engine


@pytest.mark.parametrize(("assign", "resumes"), [(WHOLE, False), (MAY_NOT, False), (MAY, True)])
@pytest.mark.parametrize("is_offered", [True, False])
def test_a_run_is_whole_unless_it_was_signed_that_it_need_not_be(assign, resumes, is_offered):
    node = make_node()
    node.start({})
    if is_offered:
        node.handle(told(OFFER))
    actions = node.handle(told(assign))
    assert [run.resumes for run in runs(actions)] == [resumes]


def test_the_first_assignment_counts_and_a_restart_remembers_it():
    node = make_node()
    kept = disk(node.start({}))
    node.handle(told(OFFER))
    actions = node.handle(told(WHOLE))
    kept = disk(actions, kept)
    assert runs(node.handle(told(MAY))) == []
    assert node.tasks[SESSION].resumes is False

    again = make_node()
    assert [run.resumes for run in runs(again.start(kept))] == [False]

    other = make_node()
    kept = disk(other.start({}))
    other.handle(told(OFFER))
    kept = disk(other.handle(told(MAY)), kept)
    again = make_node()
    assert [run.resumes for run in runs(again.start(kept))] == [True]


def test_nobody_can_allow_it_in_anothers_name_and_nobody_can_change_the_word():
    forger = identity(51)
    forged = replace(MAY, signature=sign_assign(forger, WHOLE, resumes=True).signature)
    turned = replace(MAY_NOT, resumes=True)
    others = sign_assign(forger, WHOLE, resumes=True)
    for message in (forged, turned, others):
        node = make_node()
        node.start({})
        node.handle(told(OFFER))
        (offence,) = node.handle(Received(peer=REQUESTER.peer, message=encode(message)))
        assert isinstance(offence, Misbehaved)
        assert node.tasks[SESSION].stage is Stage.BID


def test_a_word_that_is_not_about_this_session_is_refused():
    node = make_node()
    node.start({})
    elsewhere = sign_assign(REQUESTER, replace(WHOLE, job="cd" * 16), resumes=True)
    (offence,) = node.handle(told(elsewhere))
    assert isinstance(offence, Misbehaved)


def test_a_run_that_was_committed_to_is_told_again():
    node = make_node()
    node.start({})
    node.handle(told(OFFER))
    node.handle(told(MAY))
    commit = sent(node.handle(Executed(session=SESSION, execution=execution(), nonce=nonce(0))))
    assert sent(node.handle(told(MAY))) == commit == sent(node.handle(told(WHOLE)))


# What was kept before.


def test_entries_of_the_version_before_ran_everything():
    def before(entry, version, *keys):
        node = dag_cbor.decode(write(entry))
        return dag_cbor.encode({key: value for key, value in node.items() if key not in keys} | {"v": version})

    requester = Requester(REQUESTER)
    requester.handle(job())
    entry = requester.jobs[JOB]
    assert read_job(before(entry, "job-entry/2", "resumes")) == entry
    assert read_job(before(entry, "job-entry/1", "resumes", "unverified")) == entry
    assert read_job(write(replace(entry, resumes=True))).resumes
    kept = NodeEntry(
        requester=REQUESTER.peer, session=SESSION, task=TASK, demand=UNIT, stage="queued", reason=None, made=None,
        receipt=None,
    )  # fmt: skip
    assert read_node_entry(before(kept, "node-entry/2", "resumes")) == kept
    assert read_node_entry(before(kept, "node-entry/1", "resumes", "statement")) == kept
    assert read_node_entry(write(replace(kept, resumes=True))).resumes

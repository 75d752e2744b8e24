"""Containers between requester and node: statements in the place of commitments, and no way from one to the other."""

import pytest

from network import session as core
from network.message_codec import decode, encode, sign_commit
from network.messages import Ack, Assign, Bid, Cancel, Failed, Offer, Refuse, Say, Settled
from network.node.container_outcome import container_outcome, read_container_outcome, write_container_outcome
from network.node_state import NodeEntry, read_node_entry
from network.protocol_errors import LocalProtocolError
from network.protocol_events import Abort, ContainerEnded, Misbehaved, Report, Run, TaskEnded, Timer
from network.requester import Requester
from network.requester_entries import JobEntry, StepEntry, read_job, read_step, write
from network.requester_state import GraceOver, OfferAgain
from network.session_events import Assigned, Committed, Said
from network.statement import MAX_TEXT_BYTES, MAX_TEXTS, Statement, text_of, with_few_texts
from storage import dag_cbor
from tests.unit.network.personas import TASK, output
from tests.unit.network.protocol_world import (
    REQUESTER,
    SESSION,
    UNIT,
    disk,
    ended_early,
    job,
    make_node,
    participant,
    requester_with,
    said,
    sent,
    stated,
    told,
)
from tests.vectors.records.world import identity
from verifier.compare import make_rule
from verifier.model import ModelError, Verdict

OFFER = Offer(session=SESSION, job="ab" * 16, task=TASK, demand=UNIT)
ASSIGN = Assign(session=SESSION, job="ab" * 16, task=TASK, demand=UNIT)
BID = Bid(session=SESSION, engine="docker", arch="x86_64")


def container_job(times=2):
    return job(rule=make_rule(replication=times, confidence=times), unverified=True)


def say(number, statement):
    return said(number, Say(session=SESSION, statement=statement))


def ended(actions):
    (news,) = (one.news for one in actions if isinstance(one, Report) and isinstance(one.news, TaskEnded))
    return news


@pytest.fixture
def requester():
    """Three nodes are known, and 0 and 1 are assigned a container."""
    requester = requester_with(0, 1, 2)
    kept = disk(requester.handle(container_job()))
    for number in (0, 1):
        kept = disk(requester.handle(said(number, BID)), kept)
    requester.kept = kept
    return requester


# What a statement is.


@pytest.mark.parametrize(
    "changes",
    [{"output": None}, {"exit_code": None}, {"engine": None}, {"reason": "both"}, {"stdout": "beside an output"}],
)
def test_a_statement_has_an_output_or_a_reason(changes):
    with pytest.raises(ModelError):
        stated(**changes)


def test_texts_are_bounded_however_they_are_encoded():
    assert text_of(b"\xff" * 9000).encode() == b"\xef\xbf\xbd" * (MAX_TEXT_BYTES // 3)
    with pytest.raises(ModelError, match="longer"):
        ended_early(stdout="x" * (MAX_TEXT_BYTES + 1))
    few = with_few_texts((identity(number).peer, ended_early()) for number in range(MAX_TEXTS + 2))
    assert [one.node for one in few] == sorted(one.node for one in few)
    assert [bool(one.statement.stdout) for one in few] == [True] * MAX_TEXTS + [False] * 2


# The requester.


def test_all_say_the_same(requester):
    first = requester.handle(say(0, stated()))
    assert [type(message) for message in sent(first)] == [Ack]
    news = ended(requester.handle(say(1, stated())))
    outcome = container_outcome(news, {})
    assert (outcome.verdict, outcome.output, outcome.asked) == ("reproduced", output("y"), 2)
    assert [one.node for one in outcome.statements] == sorted(identity(number).peer for number in (0, 1))
    assert read_container_outcome(write_container_outcome(outcome)) == outcome
    assert news.decision.verdict is Verdict.TOO_FEW, "whatever they say, nothing is agreed"
    assert not news.session.receipts
    assert news.session.published is None


@pytest.mark.parametrize(
    ("other", "verdict"),
    [(stated("z"), "differs"), (stated(exit_code=1), "differs"), (ended_early(), "incomplete")],
    ids=["output", "exit code", "none"],
)
def test_they_say_something_else(requester, other, verdict):
    requester.handle(say(0, stated()))
    outcome = container_outcome(ended(requester.handle(say(1, other))), {})
    assert (outcome.verdict, outcome.output) == (verdict, None)
    assert {one.statement for one in outcome.statements} == {stated(), other}


def test_the_first_statement_of_a_node_counts(requester):
    requester.handle(say(0, stated()))
    again = requester.handle(say(0, stated("z")))
    assert [type(message) for message in sent(again)] == [Ack]
    outcome = container_outcome(ended(requester.handle(say(1, stated()))), {})
    assert outcome.verdict == "reproduced"


def test_a_host_that_fails_is_replaced(requester):
    requester.handle(say(0, stated()))
    after = requester.handle(said(1, Failed(session=SESSION, reason="the engine is gone")))
    assert {decode(one.message, REQUESTER.peer).VERSION for one in after if hasattr(one, "peer")} == {
        Ack.VERSION, Offer.VERSION,
    }  # fmt: skip
    requester.handle(said(2, BID))
    outcome = container_outcome(ended(requester.handle(say(2, stated()))), {})
    assert (outcome.verdict, [one.reason for one in outcome.undetermined]) == ("reproduced", ["the engine is gone"])


def test_a_restart_forgets_nothing_that_was_said(requester):
    kept = disk(requester.handle(say(0, stated())), requester.kept)
    again = Requester(REQUESTER)
    actions = again.restore(kept)
    assert [type(message) for message in sent(actions)] == [Assign]  # of the other one alone
    assert container_outcome(ended(again.handle(say(1, stated()))), {}).verdict == "reproduced"


def test_nobody_commits_to_a_container(requester):
    commit = sign_commit(identity(0), SESSION, participant(0).commitment)
    (action,) = requester.handle(said(0, commit))
    assert isinstance(action, Misbehaved)
    assert "another tier" in action.problem
    for number in (0, 1):
        actions = requester.handle(say(number, stated()))
    assert not ended(actions).session.commitments


def test_nobody_makes_statements_about_a_function():
    requester = requester_with(0, 1, 2)
    requester.handle(job())
    for number in range(3):
        requester.handle(said(number, BID))
    (action,) = requester.handle(say(0, stated()))
    assert isinstance(action, Misbehaved)
    assert not requester.tasks[SESSION].session.statements


def test_the_session_itself_takes_no_other_tier():
    me = identity(0).peer
    for unverified, event in (
        (True, Committed(peer=me, commitment=participant(0).commitment)),
        (False, Said(peer=me, statement=stated())),
    ):
        session, _ = core.start(TASK, make_rule(replication=1, confidence=1), unverified=unverified)
        session, _ = core.step(session, Assigned(nodes=(me,)))
        with pytest.raises(LocalProtocolError, match="another tier"):
            core.step(session, event)


def test_the_no_of_a_node_is_its_last_word():
    """The search ends when nobody is left who runs it, and does not ask again and again for five minutes."""
    requester = requester_with(0)
    requester.handle(container_job(1))
    refusal = "this node does not have the image"
    requester.handle(said(0, Refuse(session=SESSION, reason=refusal)))
    for attempt in (1, 2):
        assert sent(requester.handle(Timer(session=SESSION, about=OfferAgain(search=1, attempt=attempt)))) == []
    assert requester.tasks[SESSION].is_alone
    peer = identity(0).peer
    over = requester.handle(Timer(session=SESSION, about=GraceOver(search=1, grace=1)))
    outcome = container_outcome(ended(over), {peer: refusal})
    assert outcome.verdict == "incomplete"
    assert [(one.node, one.reason) for one in outcome.undetermined] == [(peer, refusal)]


# The node.


def test_a_node_states_until_it_is_heard_and_after_a_restart():
    node = make_node()
    node.handle(told(OFFER))
    kept = disk(node.handle(told(ASSIGN)))
    actions = node.handle(ContainerEnded(session=SESSION, statement=stated()))
    assert sent(actions) == [Say(session=SESSION, statement=stated())]
    assert node.free == node.total
    kept = disk(actions, kept)
    again = make_node()
    assert sent(again.start(kept)) == [Say(session=SESSION, statement=stated())]
    assert sent(again.handle(told(ASSIGN))) == [Say(session=SESSION, statement=stated())]
    again.handle(told(Ack(session=SESSION, of=Say.VERSION)))
    assert again.tasks[SESSION].is_heard
    again.handle(told(Settled(session=SESSION)))
    assert not again.tasks


def test_a_container_under_way_begins_again_after_a_restart_and_ends_when_it_is_cancelled():
    node = make_node()
    node.handle(told(OFFER))
    kept = disk(node.handle(told(ASSIGN)))
    again = make_node()
    assert [one.session for one in again.start(kept) if isinstance(one, Run)] == [SESSION]
    assert [one.session for one in again.handle(told(Cancel(session=SESSION))) if isinstance(one, Abort)] == [SESSION]
    assert not again.tasks


# What was kept before there were containers.


def test_entries_of_the_version_before_are_read():
    def before(entry, version, *keys):
        node = dag_cbor.decode(write(entry))
        return dag_cbor.encode({key: value for key, value in node.items() if key not in keys} | {"v": version})

    submitted = job()
    entry = JobEntry(
        job=submitted.job, tasks=submitted.tasks, rule=submitted.rule, demand=UNIT, seed="cd" * 32, min_bids=0,
        max_nodes=None, execute_ms=1, reveal_ms=1, offer_ms=1, queue_ms=1, cancelled=False,
    )  # fmt: skip
    assert read_job(before(entry, "job-entry/1", "unverified", "resumes")) == entry
    step = StepEntry(kind="Withdrawn")
    assert read_step(before(step, "step-entry/2", "statement")) == step
    assert read_step(before(step, "step-entry/1", "statement", "standing")) == step
    kept = NodeEntry(
        requester=REQUESTER.peer, session=SESSION, task=TASK, demand=UNIT, stage="queued", reason=None, made=None,
        receipt=None,
    )  # fmt: skip
    assert read_node_entry(before(kept, "node-entry/1", "statement", "resumes")) == kept


def test_the_message_is_as_long_as_it_may_be():
    longest = ended_early("r" * 255, "x" * MAX_TEXT_BYTES)
    longest = Statement.from_node({**longest.to_node(), "stderr": "y" * MAX_TEXT_BYTES})
    assert 2 * MAX_TEXT_BYTES < len(encode(Say(session=SESSION, statement=longest))) < Say.MAX_BYTES

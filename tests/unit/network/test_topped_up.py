"""A known record that is too weak is topped up by other nodes: only what is missing runs, and nobody is told."""

import dataclasses

import pytest

from network.message_codec import session_id, sign_commit
from network.messages import Bid
from network.protocol_events import Forget, Report, Send, TaskEnded
from network.requester_entries import prior_entry, read_prior, write
from network.requester_state import OfferAgain
from network.session_state import Prior
from network.trust_terms import LEAST_RULE, Untrusting, terms_for
from storage import dag_cbor
from storage.cid import DAG_CBOR, cid_text, make_cid
from storage.errors import VerificationError
from tests.unit.network.personas import TASK
from tests.unit.network.protocol_world import JOB, REQUESTER, SESSION, job, participant, requester_with, said, sent
from tests.unit.network.test_requester import Play
from tests.vectors.records.world import identity
from verifier.blindness import blind_nodes
from verifier.commitment import close_round, list_cid
from verifier.compare import make_rule
from verifier.credibility import History, TrustGoal
from verifier.model import Verdict

RECORD = make_cid(DAG_CBOR, b"a record")
PARENT = make_cid(DAG_CBOR, b"a parent")


def prior_with(*numbers, text="y"):
    """Return what a session of these nodes left."""
    nodes = [participant(number, text) for number in numbers]
    listed = close_round(TASK, [node.commitment for node in nodes])
    receipts = tuple(node.reveal(listed, "requester")[1] for node in nodes)
    return Prior(record=RECORD, commitments=listed, receipts=receipts, parents=(PARENT,))


def ended(play):
    return next(one.news for one in play.actions if isinstance(one, Report) and isinstance(one.news, TaskEnded))


def test_only_as_many_as_are_missing_are_asked_and_none_of_those_that_were():
    play = Play(*range(6), priors={TASK: prior_with(0)})
    offered = {action.peer for action in play.actions if isinstance(action, Send)}
    assert identity(0).peer not in offered
    play.bid(1)
    assert play.assigned == [0, 1]
    play.commit(1)
    play.reveal(1)
    news = ended(play)
    assert news.decision.verdict is Verdict.AGREED
    assert [receipt.node for receipt in news.decision.agreeing] == sorted([identity(0).peer, identity(1).peer])
    # The list holds the commitment of before as well: it is one more round of one session to an audit.
    assert {one.node for one in news.session.published.commitments} == news.session.asked
    assert news.session.prior.record == RECORD
    assert not play.disk


def test_the_new_node_hears_nothing_of_what_is_known_before_it_has_committed():
    known = prior_with(0)
    first, topped = Play(*range(1, 6)), Play(*range(6), priors={TASK: known})

    def told(play):
        seen = [action for action in play.actions if isinstance(action, Send)]
        play.bid(*(number for number in range(1, 6) if any(one.peer == identity(number).peer for one in seen)))
        return seen + [action for action in play.actions if isinstance(action, Send)]

    said_first, said_topped = told(first), told(topped)
    assert len(said_topped) > 3
    receipt = known.receipts[0]
    for action in said_topped:
        for secret in (receipt.output, RECORD, list_cid(known.commitments)):
            assert bytes(secret) not in action.message
            assert cid_text(secret).encode() not in action.message
        assert receipt.node.encode() not in action.message
        assert receipt.state_digest.encode() not in action.message
    # What it is told is what nodes of a task that nobody knows are told.
    assert {action.message for action in said_topped} <= {action.message for action in said_first}


def test_who_had_committed_before_anybody_revealed_is_blind_and_no_other():
    play = Play(*range(6), priors={TASK: prior_with(0, 2)}, rule=make_rule(replication=4, confidence=4))
    play.bid(1, 3)
    play.commit(1)
    play.commit(3)
    play.reveal(1)
    play.reveal(3)
    session = ended(play).session
    rounds = {list_cid(one): one for one in (session.prior.commitments, session.published)}
    assert blind_nodes(session.receipts.values(), rounds) == {identity(0).peer, identity(2).peer}
    later = [receipt for receipt in session.receipts.values() if receipt.node in {identity(1).peer, identity(3).peer}]
    assert blind_nodes(later, rounds) == {identity(1).peer, identity(3).peer}


def test_one_that_says_something_else_is_settled_by_more():
    play = Play(*range(6), priors={TASK: prior_with(0)})
    play.bid(1)
    play.commit(1, "other")
    play.reveal(1, "other")
    play.bid(2)
    play.commit(2)
    play.reveal(2)
    news = ended(play)
    assert news.decision.verdict is Verdict.AGREED
    assert [receipt.node for receipt in news.decision.dissenting] == [identity(1).peer]


def test_what_a_node_of_before_says_now_takes_nothing_back():
    play = Play(*range(6), priors={TASK: prior_with(0)})
    play.bid(1)
    before = play.task.session
    again = participant(0, "other").commitment
    play.do(said(0, sign_commit(identity(0), SESSION, again)))
    play.do(said(0, Bid(session=SESSION, engine="noop", arch="x86_64")))
    assert play.task.session == before
    assert not before.faults


def test_after_a_restart_it_goes_on_from_the_same():
    play = Play(*range(6), priors={TASK: prior_with(0)})
    assert f"prior/{SESSION}" in play.disk
    play.bid(1)
    play.restart()
    assert play.assigned == [0, 1]
    play.commit(1)
    play.restart()
    play.reveal(1)
    assert len(ended(play).decision.agreeing) == 2
    assert not play.disk


def test_one_that_waits_begins_from_the_same_after_a_restart():
    play = Play(priors={TASK: prior_with(0)})
    play.disk = {key: value for key, value in play.disk.items() if not key.startswith("step/")}
    play.restart()
    assert play.task.session.asked == {identity(0).peer}


def test_an_entry_without_its_job_is_removed():
    play = Play(priors={TASK: prior_with(0)})
    rest = {key: value for key, value in play.disk.items() if not key.startswith("job/")}
    fresh = requester_with()
    assert {action.key for action in fresh.restore(rest)[: len(rest)]} == rest.keys()


def test_only_its_own_task_goes_on_from_it():
    other = make_cid(DAG_CBOR, b"another task")
    play = Play(*range(6), tasks=(TASK, other), priors={TASK: prior_with(0)})
    assert play.requester.tasks[session_id(REQUESTER.peer, JOB, other)].session.asked == frozenset()


def test_an_entry_is_read_as_it_was_written():
    prior = prior_with(0, 1)
    assert read_prior(write(prior_entry(prior))) == prior
    weighed = dataclasses.replace(prior, passes=(0, 7))
    assert read_prior(write(prior_entry(weighed))) == weighed


def test_an_entry_of_before_is_read_as_what_it_meant():
    prior = prior_with(0, 1)
    node = prior_entry(prior).to_node()
    del node["passes"]
    assert read_prior(dag_cbor.encode({**node, "v": "prior-entry/1"})) == prior


def test_an_entry_with_passes_of_other_nodes_is_refused():
    prior = dataclasses.replace(prior_with(0, 1), passes=(1, 2, 3))
    with pytest.raises(VerificationError, match="passes of other nodes"):
        read_prior(write(prior_entry(prior)))


class Trusting(Untrusting):
    """Trusts nodes by the passes that it is told of."""

    def __init__(self, **passes):
        self.known = {identity(int(name[1:])).peer: count for name, count in passes.items()}

    def terms(self, job, known, candidates):
        histories = {peer: History(passes=count) for peer, count in self.known.items()}
        return terms_for(TrustGoal(asked=0.999), histories, candidates())

    def passes(self, peer):
        return self.known.get(peer, 0)


def test_where_answers_are_to_be_trusted_what_was_known_of_the_nodes_of_before_is_kept_with_them():
    """After the restart they are known better, and one of them is not known at all: what counts is what was kept."""
    prior = dataclasses.replace(prior_with(0), passes=(0,))
    play = Play(trust=Trusting(), rule=LEAST_RULE, priors={TASK: prior})
    play.bid(1, 2, 3)
    assert play.assigned == [0, 1, 2, 3], "four newcomers, and one of them is asked no more"
    play.restart(trust=Trusting(n0=50, n1=50))
    for number in (1, 2, 3):
        play.commit(number)
    play.restart(trust=Trusting(n0=50, n1=50))
    for number in (1, 2, 3):
        play.reveal(number)
    news = ended(play)
    assert news.decision.verdict is Verdict.AGREED
    assert news.session.passes == {identity(number).peer: 0 for number in range(4)}
    assert news.session.rule == make_rule(replication=4, confidence=4)
    assert not play.disk


def test_a_plan_that_is_made_anew_goes_on_from_it_too():
    trust = Trusting()
    prior = dataclasses.replace(prior_with(0), passes=(0,))
    play = Play(trust=trust, rule=LEAST_RULE, priors={TASK: prior})
    trust.known = {identity(number).peer: 50 for number in range(1, 6)}
    play.timer(OfferAgain)
    play.bid(1)
    (asked,) = frozenset(play.assigned) - {0}
    play.commit(asked)
    play.reveal(asked)
    assert len(ended(play).decision.agreeing) == 2


def test_the_same_submission_again_is_the_same_job():
    play = Play(*range(6), priors={TASK: prior_with(0)})
    assert not sent(play.do(job(priors={TASK: prior_with(0)})))
    assert len(play.requester.tasks) == 1


@pytest.mark.parametrize("found_out", [True, False])
def test_one_that_waited_while_a_node_of_before_was_found_out_runs_whole(found_out):
    class Barring(Trusting):
        def barred(self):
            return frozenset({identity(0).peer} if found_out else ())

    prior = dataclasses.replace(prior_with(0), passes=(50,))
    play = Play(trust=Trusting(), rule=LEAST_RULE, priors={TASK: prior})
    play.disk = {key: value for key, value in play.disk.items() if not key.startswith("step/")}
    play.restart(trust=Barring())
    assert play.task.session.asked == (frozenset() if found_out else {identity(0).peer})
    assert (Forget(key=f"prior/{SESSION}") in play.actions) is found_out

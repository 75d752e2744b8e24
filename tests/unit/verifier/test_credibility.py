import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.cid import DAG_CBOR, make_cid
from storage.errors import UserError
from tests.vectors.records.world import identity
from verifier.credibility import (
    BAD_SHARE,
    NEWCOMER,
    History,
    Witness,
    credibility_of_answer,
    credibility_of_node,
    histories,
    plan_trust,
)

PEERS = [identity(number).peer for number in range(1, 8)]
A, B, C, D, *_ = PEERS
TASKS = [make_cid(DAG_CBOR, b"%d" % number) for number in range(5)]


def witness(task, agreeing, dissenting=()):
    return Witness(task=TASKS[task], agreeing=frozenset(agreeing), dissenting=frozenset(dissenting))


# ---- histories


def test_an_agreement_is_a_pass_and_a_task_counts_once():
    found = histories([witness(0, {A, B}), witness(0, {A, C}), witness(1, {A, B})])
    assert found == {A: History(passes=2), B: History(passes=2), C: History(passes=1)}


def test_a_dissent_takes_all_passes_and_tasks_count_again():
    found = histories([witness(0, {A, B}), witness(1, {B, C}, {A}), witness(0, {A, B})])
    assert found[A] == History(passes=1, dissents=1)
    assert found[B] == History(passes=2)


def test_who_was_alone_has_shown_nothing():
    assert histories([witness(0, {A})]) == {}
    assert histories([witness(0, {A}, {B})]) == {B: History(dissents=1)}


# ---- nodes


@pytest.mark.parametrize(
    ("passes", "wrong"), [(0, 0.1), (1, 0.1 / 0.9 / 4), (2, 0.1 / 0.9 * 4 / 27), (10**6, 0.1 / 0.9 / math.e / 1e6)]
)
def test_the_bound_of_a_node(passes, wrong):
    assert 1 - credibility_of_node(History(passes=passes), bad=0.1) == pytest.approx(wrong, rel=1e-5)


@given(st.integers(0, 300), st.floats(0.0, 1.0), st.floats(0.01, 0.49))
def test_no_rate_of_lies_is_worse_than_the_bound(passes, rate, bad):
    through = (1 - rate) ** passes
    wrong = bad * rate * through / ((1 - bad) + bad * through)
    assert wrong <= 1 - credibility_of_node(History(passes=passes), bad=bad) + 1e-12


def test_the_bound_is_nearly_reached():
    """By the rate 1/(k+1), for which it was made: it is no wild overestimate either."""
    bad, passes = 0.1, 20
    rate = 1 / (passes + 1)
    through = (1 - rate) ** passes
    wrong = bad * rate * through / ((1 - bad) + bad * through)
    assert 1 - credibility_of_node(History(passes=passes), bad=bad) == pytest.approx(wrong, rel=0.08)


@given(st.integers(0, 1000), st.floats(0.01, 0.49))
def test_more_passes_are_never_worse(passes, bad):
    some, more = (credibility_of_node(History(passes=count), bad=bad) for count in (passes, passes + 1))
    assert 1 - bad <= some <= more < 1


@pytest.mark.parametrize("bad", [0.0, -0.1, 0.5, math.nan])
def test_a_share_that_is_none_is_refused(bad):
    with pytest.raises(UserError, match="--bad-nodes"):
        credibility_of_node(NEWCOMER, bad=bad)


# ---- answers


def test_equal_words_are_worth_more():
    assert credibility_of_answer([0.9]) == pytest.approx(0.9)
    assert credibility_of_answer([0.9, 0.9]) == pytest.approx(0.81 / 0.82)
    assert credibility_of_answer([]) == 0.0


def test_dissent_takes_from_it():
    assert credibility_of_answer([0.9, 0.9], [[0.9]]) == pytest.approx(0.081 / (0.081 + 0.009 + 0.001))
    assert credibility_of_answer([0.9], [[0.9]]) == pytest.approx(0.09 / 0.19)


@given(st.lists(st.lists(st.floats(0.5, 0.999), min_size=1, max_size=4), min_size=1, max_size=4))
def test_answers_share_one_probability(groups):
    shares = [
        credibility_of_answer(group, [other for at, other in enumerate(groups) if at != index])
        for index, group in enumerate(groups)
    ]
    assert all(0 <= share <= 1 for share in shares)
    assert sum(shares) <= 1 + 1e-9


def test_what_is_trusted_is_right_that_often():
    """Bad nodes that lie as often as is worst for us; assumption 3 in the strictest form, all lies are equal."""
    draw, bad, passes, trials = random.Random(5), 0.3, 6, 40_000
    rate = 1 / (passes + 1)
    nodes = []
    while len(nodes) < 400:
        is_bad = draw.random() < bad
        if not is_bad or all(draw.random() >= rate for _ in range(passes)):
            nodes.append(is_bad)
    agreed = wrong = 0
    for _ in range(trials):
        said = [is_bad and draw.random() < rate for is_bad in draw.sample(nodes, 2)]
        agreed += said[0] == said[1]
        wrong += all(said)
    one = credibility_of_node(History(passes=passes), bad=bad)
    # 1 - c^2/(c^2+(1-c)^2) as a rate of wrong answers among those that two nodes agreed on, with room for chance.
    assert 0 < wrong / agreed <= (1 - credibility_of_answer([one, one])) * 1.5


# ---- plans


def test_newcomers_are_asked_in_numbers():
    plan = plan_trust(0.999, {}, PEERS, bad=0.1)
    assert (plan.nodes, plan.least_passes, plan.eligible) == (4, 0, frozenset(PEERS))
    assert plan.credibility == pytest.approx(0.9**4 / (0.9**4 + 0.1**4))


def test_known_nodes_are_asked_alone_and_one_more_could_be():
    known = {A: History(passes=50), B: History(passes=60), C: History(passes=2)}
    assert plan_trust(0.999, known, PEERS, bad=0.1).eligible == {A, B}
    assert plan_trust(0.999, known, PEERS, bad=0.1).nodes == 1
    # A alone would be enough, but would always be asked; of A and C both would be needed.
    wider = plan_trust(0.999, known, [A, C, *PEERS[3:]], bad=0.1)
    assert (wider.nodes, len(wider.eligible)) == (4, 6)


def test_of_plans_with_as_few_nodes_the_widest_is_taken():
    known = {peer: History(passes=100 + at) for at, peer in enumerate(PEERS)}
    assert plan_trust(0.999, known, PEERS).eligible == frozenset(PEERS)


@pytest.mark.parametrize("trust", [0.0, 0.49, 1.0, 2.0, math.nan])
def test_a_trust_that_is_none_is_refused(trust):
    with pytest.raises(UserError, match="--trust"):
        plan_trust(trust, {}, PEERS)


def test_too_few_nodes_are_said_with_how_many_it_takes():
    with pytest.raises(UserError, match="the 2 nodes that are known here can be trusted with: 5 are needed"):
        plan_trust(0.999, {}, [A, B], bad=0.1)


@given(st.lists(st.integers(0, 80), min_size=1, max_size=7), st.floats(0.5, 0.9999))
def test_a_plan_keeps_what_it_promises(passes, trust):
    known = {peer: History(passes=count) for peer, count in zip(PEERS, passes, strict=False)}
    try:
        plan = plan_trust(trust, known, list(known))
    except UserError:
        return
    worst = sorted(credibility_of_node(known[peer], bad=BAD_SHARE) for peer in plan.eligible)[: plan.nodes]
    assert credibility_of_answer(worst) >= trust
    assert plan.nodes < len(plan.eligible)

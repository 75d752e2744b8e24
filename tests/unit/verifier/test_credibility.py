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
    MAX_NODES,
    NEWCOMER,
    History,
    TrustGoal,
    Witness,
    credibility_of_answer,
    credibility_of_node,
    credibility_of_words,
    histories,
    newcomers_needed,
    plan_trust,
    words_missing,
)

PEERS = [identity(number).peer for number in range(1, 8)]
A, B, C, D, *_ = PEERS
GOAL = TrustGoal(asked=0.999, bad=0.1)
TASKS = [make_cid(DAG_CBOR, b"%d" % number) for number in range(5)]


def witness(task, agreeing, dissenting=()):
    return Witness(task=TASKS[task], agreeing=frozenset(agreeing), dissenting=frozenset(dissenting))


# ---- histories


def test_an_agreement_is_a_pass_and_a_task_counts_once():
    found = histories([witness(0, {A, B}), witness(0, {A, C}), witness(1, {A, B})])
    assert found == {A: History(passes=2), B: History(passes=2), C: History(passes=1)}


def test_a_dissent_takes_all_passes_for_good():
    found = histories([witness(0, {A, B}), witness(1, {B, C}, {A}), witness(2, {A, B}), witness(3, {B}, {A})])
    assert found[A] == History(passes=0, dissents=2)
    assert found[B] == History(passes=3)
    assert credibility_of_node(found[A]) == 0.5


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


# ---- goals


@pytest.mark.parametrize("trust", [0.0, 0.49, 1.0, 2.0, math.nan])
def test_a_trust_that_is_none_is_refused(trust):
    with pytest.raises(UserError, match="--trust"):
        TrustGoal(asked=trust)


def test_a_trust_that_no_number_of_nodes_gives_is_refused():
    assert newcomers_needed(TrustGoal(asked=0.98, bad=0.49)) == 98
    with pytest.raises(UserError, match="more than 100 nodes can be trusted with"):
        TrustGoal(asked=0.999, bad=0.49)


def test_what_lacks_to_trust_is_what_it_takes_with_dissent():
    goal = TrustGoal(asked=0.999)
    assert newcomers_needed(goal) == 4
    assert words_missing(goal, [], [], 0) == 4
    assert words_missing(goal, [0, 0], [], 0) == 2
    assert words_missing(goal, [0, 0, 0], [[0]], 0) == 2
    assert words_missing(goal, [50], [[50]], 50) == 1
    assert words_missing(goal, [50], [[50]], 0) == 4
    assert words_missing(goal, [0], [[10**6] * 60], 0) == MAX_NODES


# ---- plans


def test_newcomers_are_asked_in_numbers():
    plan = plan_trust(GOAL, {}, PEERS)
    assert (plan.nodes, plan.least_passes, plan.eligible) == (4, 0, frozenset(PEERS))
    assert plan.credibility == pytest.approx(0.9**4 / (0.9**4 + 0.1**4))


def test_known_nodes_are_asked_alone_and_one_more_could_be():
    known = {A: History(passes=50), B: History(passes=60), C: History(passes=2)}
    assert plan_trust(GOAL, known, PEERS).eligible == {A, B}
    assert plan_trust(GOAL, known, PEERS).nodes == 1
    # A alone would be enough, but would always be asked; of A and C both would be needed.
    wider = plan_trust(GOAL, known, [A, C, *PEERS[3:]])
    assert (wider.nodes, len(wider.eligible)) == (4, 6)


def test_of_plans_with_as_few_nodes_the_widest_is_taken():
    known = {peer: History(passes=100 + at) for at, peer in enumerate(PEERS)}
    assert plan_trust(GOAL, known, PEERS).eligible == frozenset(PEERS)


def test_too_few_nodes_are_no_plan():
    assert plan_trust(GOAL, {}, PEERS[:4]) is None
    assert plan_trust(GOAL, {}, PEERS[:5]) is not None
    assert plan_trust(GOAL, {}, PEERS[:4], has_choice=False).nodes == 4
    assert plan_trust(GOAL, {}, PEERS[:3], has_choice=False) is None


def test_a_few_nodes_are_not_all_that_is_asked():
    """One node of seven with a long record is no plan, two are."""
    known = {peer: History(passes=500) for peer in PEERS}
    one = {A: known[A]}
    assert plan_trust(GOAL, one, PEERS).nodes == 4
    assert plan_trust(GOAL, one, PEERS, has_choice=False).nodes == 4
    assert plan_trust(GOAL, one, [A], has_choice=False) is None
    assert plan_trust(GOAL, known | {C: NEWCOMER}, [A, B]).nodes == 1
    assert plan_trust(GOAL, {A: known[A], B: known[B]}, PEERS).eligible == {A, B}
    many = [*PEERS, *(identity(number).peer for number in range(20, 23))]
    assert plan_trust(GOAL, {A: known[A], B: known[B]}, many).nodes == 4


passes_of_all = st.lists(st.integers(0, 80), min_size=1, max_size=7)
asked = st.floats(0.5, 0.9999)


def planned(passes, trust):
    known = {peer: History(passes=count) for peer, count in zip(PEERS, passes, strict=False)}
    return known, plan_trust(TrustGoal(asked=trust), known, list(known))


@given(passes_of_all, asked)
def test_a_plan_keeps_what_it_promises(passes, trust):
    known, plan = planned(passes, trust)
    if plan is None:
        return
    worst = sorted(credibility_of_node(known[peer], bad=BAD_SHARE) for peer in plan.eligible)[: plan.nodes]
    assert credibility_of_answer(worst) >= trust
    assert plan.nodes < len(plan.eligible)


@given(passes_of_all, asked, asked)
def test_more_trust_never_takes_fewer_nodes(passes, one, other):
    low, high = sorted((one, other))
    _, less = planned(passes, low)
    _, more = planned(passes, high)
    if more is not None:
        assert less is not None
        assert less.nodes <= more.nodes


@given(passes_of_all, asked, st.integers(0, 6))
def test_a_better_record_never_takes_more_nodes(passes, trust, whose):
    better = [count + (at == whose % len(passes)) for at, count in enumerate(passes)]
    _, before = planned(passes, trust)
    _, after = planned(better, trust)
    if before is not None:
        assert after is not None
        assert after.nodes <= before.nodes


some_passes = st.lists(st.integers(0, 60), min_size=1, max_size=6)


@given(some_passes, st.lists(some_passes, max_size=3), st.integers(0, 60), st.floats(0.01, 0.49))
def test_dissent_never_raises_trust(leading, others, passes, bad):
    without = credibility_of_words(leading, others, bad=bad)
    assert credibility_of_words(leading, [*others, [passes]], bad=bad) <= without + 1e-12
    for at in range(len(others)):
        grown = [[*group, passes] if at == number else group for number, group in enumerate(others)]
        assert credibility_of_words(leading, grown, bad=bad) <= without + 1e-12


@given(some_passes, st.lists(some_passes, max_size=3), st.integers(0, 60), asked)
def test_as_many_more_as_are_missing_are_trusted_and_no_fewer(leading, others, passes, trust):
    more = words_missing(TrustGoal(asked=trust), leading, others, passes)
    if more < MAX_NODES:
        assert credibility_of_words([*leading, *[passes] * more], others, bad=BAD_SHARE) >= trust
    if more:
        assert credibility_of_words([*leading, *[passes] * (more - 1)], others, bad=BAD_SHARE) < trust


@given(st.lists(st.tuples(st.integers(0, 4), st.sets(st.sampled_from(PEERS)), st.sampled_from(PEERS)), max_size=12))
def test_a_dissent_never_makes_a_history_better(told):
    witnesses = [witness(task, agreeing) for task, agreeing, _ in told]
    dissenting = [witness(task, agreeing - {peer}, {peer}) for task, agreeing, peer in told]
    plain, worse = histories(witnesses), histories(dissenting)
    assert all(worse[peer].passes <= plain.get(peer, NEWCOMER).passes for peer in worse)

"""Sessions whose answer is to be trusted: the table of `session` with terms, and nodes of memory."""

import dataclasses
import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from network.session import start, step
from network.session_events import AskNodes, Assigned, Committed, Phase, PublishRound, Revealed
from network.session_state import Prior
from network.session_trust import decide, trust_note
from network.trust_terms import LEAST_RULE, Standing, rule_in_force, terms_for
from storage.cid import DAG_CBOR, make_cid
from tests.unit.network.personas import TASK, Honest, Liar, Table, output
from tests.unit.network.personas import sit as play_by_counts
from tests.vectors.records.world import identity
from verifier.compare import compare, make_rule
from verifier.credibility import History, TrustGoal, credibility_of_words
from verifier.model import Verdict

H, L = Honest, Liar
PEERS = [identity(number).peer for number in range(20)]


class TrustTable(Table):
    """A session at work that knows its nodes."""

    passes: dict

    def _perform(self, action):
        events = super()._perform(action)
        if isinstance(action, AskNodes):
            (assigned,) = events
            known = tuple(self.passes.get(peer, 0) for peer in assigned.nodes)
            return [Assigned(nodes=assigned.nodes, standing=Standing(terms=self.session.terms, passes=known))]
        return events


def sit(kinds, passes, trust=0.999, candidates=None, **goal):
    """Play a session with a node of each kind, in this order, that has so many passes."""
    nodes = [kind(number) for number, kind in enumerate(kinds)]
    known = {node.peer: count for node, count in zip(nodes, passes, strict=True)}
    histories = {peer: History(passes=count) for peer, count in known.items()}
    terms = terms_for(TrustGoal(asked=trust, **goal), histories, list(known) if candidates is None else candidates)
    rule = rule_in_force(LEAST_RULE, terms)
    session, actions = start(TASK, rule, max_nodes=terms.most_nodes, terms=terms)
    table = TrustTable(nodes=nodes, session=session)
    table.passes = known
    table.play(actions)
    return table


def asked(table):
    return [len(action.nodes) for action in table.trace if type(action).__name__ == "Execute"]


def test_as_many_newcomers_are_asked_as_it_takes():
    table = sit([H] * 9, [0] * 9)
    assert asked(table) == [4]
    assert (table.decision.verdict, table.decision.claim) == (Verdict.AGREED, (output("y"), 0))
    assert table.session.rule.confidence == table.session.rule.replication == 4
    assert trust_note(table.session).reached == pytest.approx(0.9**4 / (0.9**4 + 0.1**4))


def test_one_node_with_a_long_record_is_enough():
    table = sit([H] * 3, [50, 60, 70])
    assert asked(table) == [1]
    assert table.decision.verdict is Verdict.AGREED


def test_a_dissent_takes_more_nodes_until_the_answer_is_trusted():
    table = sit([H, L, *[H] * 10], [0] * 12)
    assert asked(table) == [4, 2]
    assert table.decision.verdict is Verdict.AGREED
    assert len(table.decision.dissenting) == 1
    assert trust_note(table.session).reached == pytest.approx(0.9**5 * 0.1 / (0.9**5 * 0.1 + 0.1**5 * 0.9 + 0.1**6))


def test_a_liar_with_a_good_record_is_outvoted_by_others_with_one():
    table = sit([L, H, H], [60, 60, 60])
    assert asked(table) == [1], "nobody contradicts it: that is what checks are for"
    table = sit([L, L, *[H] * 10], [3, 3, *[3] * 10], trust=0.999)
    assert asked(table)[0] == 2
    assert table.decision.claim == (output("a lie"), 0), "two that lie together, as assumption 3 has it"
    table = sit([H, L, *[H] * 10], [3] * 12, trust=0.999)
    assert (table.decision.verdict, table.decision.claim) == (Verdict.AGREED, (output("y"), 0))


def test_what_stays_below_is_never_called_agreed():
    """Counts alone would agree: five of eight, and a strict majority."""
    table = sit([H, L, H, L, H, L, H, H], [0] * 8)
    assert compare(table.session.receipts.values(), table.session.rule).verdict is Verdict.AGREED
    assert table.decision.verdict is Verdict.SPLIT
    assert (table.decision.claim, table.decision.agreeing) == (None, ())
    assert len(table.decision.dissenting) == len(table.session.receipts) == 8
    assert trust_note(table.session).reached < 0.999


def test_too_few_nodes_are_too_few():
    table = sit([H] * 3, [0] * 3)
    assert table.decision.verdict is Verdict.TOO_FEW
    assert table.session.rule.confidence == 4


def test_no_more_are_asked_than_twice_the_newcomers_it_takes_and_one():
    table = sit([H, L] * 10, [0] * 20)
    assert sum(asked(table)) == 9
    assert table.decision.verdict is Verdict.SPLIT


# ---- added to what is known


def before(kinds, passes):
    """Return the evidence of a session by counts, of nodes that have so many passes now: it asked all of them."""
    table = play_by_counts(kinds, make_rule(replication=len(kinds), confidence=1))
    receipts = tuple(sorted(table.session.receipts.values(), key=lambda one: one.node.encode()))
    known = dict(zip(PEERS, passes, strict=False))
    return Prior(
        record=make_cid(DAG_CBOR, b"a record"),
        commitments=table.session.published,
        receipts=receipts,
        passes=tuple(known[one.node] for one in receipts),
    )


def add_to(prior, kinds, passes, trust=0.999):
    """Play a session that goes on from it with further nodes of these kinds."""
    first = len(prior.receipts)
    nodes = [kind(first + number) for number, kind in enumerate(kinds)]
    known = {node.peer: count for node, count in zip(nodes, passes, strict=True)}
    terms = terms_for(TrustGoal(asked=trust), {peer: History(passes=count) for peer, count in known.items()}, known)
    rule = rule_in_force(LEAST_RULE, terms)
    session, actions = start(TASK, rule, max_nodes=terms.most_nodes, terms=terms, prior=prior)
    table = TrustTable(nodes=nodes, session=session)
    table.passes = known
    table.play(actions)
    return table


@pytest.mark.parametrize(
    ("passes_before", "passes", "more"),
    [
        ([0], [0] * 6, 3),  # four newcomers are needed, and one has said it
        ([0, 0], [0] * 6, 2),
        ([50], [50] * 6, 1),  # one of before is enough, but whoever gave no answer then is asked at least once
        ([0, 0], [10] * 6, 1),
    ],
)
def test_what_is_known_is_added_to_by_as_many_as_its_nodes_lack(passes_before, passes, more):
    prior = before([H] * len(passes_before), passes_before)
    table = add_to(prior, [H] * len(passes), passes)
    assert asked(table) == [more]
    assert table.decision.verdict is Verdict.AGREED
    note = trust_note(table.session)
    assert note.reached >= 0.999
    assert set(note.nodes) == {*PEERS[: len(passes_before) + more]}
    assert dict(zip(note.nodes, note.passes, strict=True))[PEERS[0]] == passes_before[0]


def test_nodes_of_before_that_are_not_known_count_as_newcomers_and_no_more():
    unknown = dataclasses.replace(before([H, H], [0, 0]), passes=None)
    assert asked(add_to(unknown, [H] * 6, [0] * 6)) == [2]


def test_who_contradicts_what_is_known_takes_more_nodes():
    table = add_to(before([H], [0]), [L, *[H] * 8], [0] * 9)
    assert table.decision.verdict is Verdict.AGREED
    assert [one.node for one in table.decision.dissenting] == [PEERS[1]]
    assert sum(asked(table)) == 5
    lied = add_to(before([L], [0]), [H] * 9, [0] * 9)
    assert (lied.decision.verdict, lied.decision.claim) == (Verdict.AGREED, (output("y"), 0))


@given(st.lists(st.integers(0, 60), min_size=1, max_size=3), st.lists(st.integers(0, 60), min_size=2, max_size=7),
       st.integers(0, 2**30), st.sampled_from([0.9, 0.99, 0.999]))  # fmt: skip
def test_no_session_that_goes_on_agrees_below_what_was_asked(counts_before, counts, seed, trust):
    draw = random.Random(seed)
    prior = before([draw.choice((H, H, L)) for _ in counts_before], counts_before)
    table = add_to(prior, [draw.choice((H, H, L)) for _ in counts], counts, trust)
    known = dict(zip(PEERS, [*counts_before, *counts], strict=False))
    assert table.session.passes == {peer: known[peer] for peer in table.session.passes}
    assert frozenset(table.session.passes) == table.session.asked
    if table.decision.verdict is Verdict.AGREED:
        behind = [known[one.node] for one in table.decision.agreeing]
        others = [[known[one.node] for one in table.decision.dissenting]] if table.decision.dissenting else []
        assert credibility_of_words(behind, others, bad=0.1) >= trust
        assert len(behind) >= table.session.rule.confidence


passes = st.lists(st.integers(0, 60), min_size=2, max_size=9)


@given(passes, st.integers(0, 2**30), st.sampled_from([0.6, 0.9, 0.99, 0.999]))
@example([0, 0, 5, 0], 1, 0.999)  # three words that would reach it, where the rule asks for four
def test_no_session_agrees_below_what_was_asked(counts, seed, trust):
    draw = random.Random(seed)
    table = sit([draw.choice((H, H, L)) for _ in counts], counts, trust)
    decision, session = table.decision, table.session
    assert session.phase is Phase.DONE
    if decision.verdict is Verdict.AGREED:
        behind = [table.passes[one.node] for one in decision.agreeing]
        others = [[table.passes[one.node] for one in decision.dissenting]] if decision.dissenting else []
        assert credibility_of_words(behind, others, bad=0.1) >= trust
        assert len(behind) >= session.rule.confidence
    else:
        most = max([*map(len, _groups(decision.dissenting))], default=0)
        assert (
            trust_note(session).reached < trust or most < session.rule.confidence or 2 * most <= len(session.receipts)
        )


def _groups(receipts):
    groups = {}
    for one in receipts:
        groups.setdefault(one.output, []).append(one)
    return groups.values()


def test_a_session_that_is_played_again_decides_the_same():
    """What was known of a node counts as it was known when it was asked: the events hold it."""
    table = sit([H, L, *[H] * 10], [0] * 12)
    first = table.session
    again, _ = start(TASK, first.rule, max_nodes=first.max_nodes, terms=first.terms)
    rounds = [action for action in table.trace if type(action).__name__ == "Execute"]
    lists = [action for action in table.trace if isinstance(action, PublishRound)]
    for execute, published in zip(rounds, lists, strict=True):
        standing = Standing(terms=first.terms, passes=tuple(table.passes[node] for node in execute.nodes))
        again, _ = step(again, Assigned(nodes=execute.nodes, standing=standing))
        for node in execute.nodes:
            again, _ = step(again, Committed(peer=node, commitment=first.commitments[node]))
        for node in published.nodes:
            again, _ = step(again, Revealed(peer=node, receipt=first.receipts[node]))
    assert decide(again) == decide(first)
    assert again.passes == first.passes

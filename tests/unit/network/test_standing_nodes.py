"""Nodes that take tasks of a job without a bid for each."""

from network.standing_nodes import StandingNodes
from tests.vectors.records.world import identity

A, B = identity(1).peer, identity(2).peer
KIND = ("noop", "x86_64")
NOBODY = frozenset()


def test_a_node_stands_for_as_many_as_it_said_last():
    standing = StandingNodes()
    standing.note("job", A, KIND, 2)
    assert standing.of("job") == {A: KIND}
    standing.engage("job", NOBODY, frozenset({A}))
    assert standing.of("job") == {A: KIND}
    standing.engage("job", NOBODY, frozenset({A, B}))
    assert standing.of("job") == {}
    standing.note("job", A, KIND, 3)
    assert standing.of("job") == {A: KIND}
    standing.note("job", A, KIND, 0)
    assert standing.of("job") == {}


def test_what_has_committed_is_in_hand_no_longer():
    standing = StandingNodes()
    standing.note("job", A, KIND, 1)
    standing.engage("job", NOBODY, frozenset({A, B}))
    standing.engage("job", frozenset({A, B}), frozenset({B}))
    assert standing.of("job") == {A: KIND}


def test_who_made_no_bid_does_not_stand():
    standing = StandingNodes()
    standing.note("job", A, None, 5)
    assert standing.of("job") == {}


def test_a_node_is_dropped_in_one_job_or_in_all():
    standing = StandingNodes()
    for job in ("one", "two"):
        for peer in (A, B):
            standing.note(job, peer, KIND, 1)
    standing.drop(A, "one")
    assert (standing.of("one"), standing.of("two")) == ({B: KIND}, {A: KIND, B: KIND})
    standing.drop(B)
    assert (standing.of("one"), standing.of("two")) == ({}, {A: KIND})


def test_of_a_job_that_has_ended_nothing_is_left():
    standing = StandingNodes()
    standing.note("job", A, KIND, 1)
    standing.engage("job", NOBODY, frozenset({A}))
    standing.forget("job")
    assert standing.of("job") == {}
    assert not any(vars(standing).values())


def test_a_task_waits_for_its_turn_while_its_nodes_go_on_and_no_longer_than_there_were_others():
    standing = StandingNodes()
    both = frozenset({A, B})
    for _ in range(3):
        standing.engage("job", NOBODY, both)
    standing.line_up("session", "job", both)
    assert not standing.is_served("session", "job", both), "nobody was done with anything"
    standing.engage("job", frozenset({A}), NOBODY)
    assert standing.is_served("session", "job", both)
    assert not standing.is_served("session", "job", both), "and with nothing since"
    for turn in (True, True, False):
        standing.engage("job", frozenset({B}), NOBODY)
        assert standing.is_served("session", "job", both) is turn
    standing.leave("session")
    standing.engage("job", frozenset({B}), NOBODY)
    assert not standing.is_served("session", "job", both)

"""Sessions under any order of messages and any mix of personas."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from network.session import start, step
from network.session_events import (
    AskNodes,
    Assigned,
    DeadlinePassed,
    Execute,
    Finish,
    Phase,
    PublishRound,
)
from network.session_state import Prior
from tests.unit.network.personas import (
    TASK,
    BaitAndSwitch,
    Broken,
    Copycat,
    DoubleRevealer,
    Equivocator,
    Honest,
    Late,
    Liar,
    Mute,
    Resigner,
)
from verifier.commitment import check_reveal, list_cid
from verifier.compare import claim_of, make_rule
from verifier.model import Verdict

KINDS = [Honest, Liar, Copycat, Resigner, BaitAndSwitch, Mute, Late, Equivocator, DoubleRevealer, Broken]


class Shuffled:
    """A driver that delivers messages in any order, and lets deadlines pass at any time."""

    def __init__(self, kinds, rule, draw, *, hasty=True, prior=None, first=0):
        self.draw = draw
        self.hasty = hasty
        self.nodes = [kind(number) for number, kind in enumerate(kinds, first)]
        self.session, self.queue = start(TASK, rule, prior=prior)
        self.waiting = []
        self.published = [] if prior is None else [prior.commitments]
        self.decision = None

    def play(self):
        for _ in range(400):
            for action in self.queue:
                self.perform(action)
            if self.decision is not None:
                return
            event = self.next_event()
            self.session, self.queue = step(self.session, event)
        raise AssertionError("the session does not end")

    def next_event(self):
        deadline = DeadlinePassed(round_number=self.session.round_number, phase=self.session.phase)
        assigned = [event for event in self.waiting if isinstance(event, Assigned)]
        if assigned:
            self.waiting.remove(assigned[0])
            return assigned[0]
        if not self.waiting or (self.hasty and self.draw(st.integers(0, 9)) == 0):
            return deadline
        return self.waiting.pop(self.draw(st.integers(0, len(self.waiting) - 1)))

    def perform(self, action):
        if isinstance(action, AskNodes):
            free = [node.peer for node in self.nodes if node.peer not in self.session.asked]
            self.waiting.append(Assigned(nodes=tuple(free[: action.count])))
        elif isinstance(action, Execute):
            for node in (node for node in self.nodes if node.peer in action.nodes):
                honest = Honest(99)
                node.overheard = [honest.on_execute()[0].commitment]
                self.waiting += node.on_execute() + node.after_deadline()
        elif isinstance(action, PublishRound):
            self.published.append(action.commitments)
            for node in (node for node in self.nodes if node.peer in action.nodes):
                self.waiting += node.on_publish(action.commitments)
        else:
            assert isinstance(action, Finish)
            self.decision = action.decision


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.sampled_from(KINDS), max_size=9),
    st.integers(1, 4),
    st.none() | st.integers(1, 4),
    st.data(),
)
def test_every_session_ends_with_what_its_rule_allows(kinds, replication, confidence, data):
    rule = make_rule(replication=replication, confidence=confidence)
    table = Shuffled(kinds, rule, data.draw)
    table.play()
    session, decision = table.session, table.decision
    receipts = (*decision.agreeing, *decision.dissenting)

    assert session.phase is Phase.DONE
    assert len(session.asked) <= session.max_nodes
    assert {receipt.node for receipt in receipts} <= session.asked
    if decision.verdict is Verdict.AGREED:
        assert len(decision.agreeing) >= rule.confidence
        assert 2 * len(decision.agreeing) > len(receipts)
        assert {claim_of(receipt) for receipt in decision.agreeing} == {decision.claim}

    lists = {list_cid(commitments): commitments for commitments in table.published}
    for receipt in receipts:
        check_reveal(receipt, lists[receipt.round])
    for earlier, later in zip(table.published, table.published[1:], strict=False):
        assert set(earlier.commitments) < set(later.commitments)

    provable = {fault.peer for fault in session.faults if fault.kind.value in ("forged", "equivocation", "mismatch")}
    plain = {node.peer for node in table.nodes if type(node) in (Honest, Liar, Mute, Late, Broken)}
    assert not provable & plain


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.sampled_from([Honest, Liar]), min_size=1, max_size=3),
    st.lists(st.sampled_from(KINDS), max_size=5),
    st.integers(1, 4),
    st.data(),
)
def test_a_session_that_goes_on_from_an_earlier_one_asks_no_node_twice(before, more, confidence, data):
    earlier = Shuffled(before, make_rule(replication=len(before), confidence=1), data.draw, hasty=False)
    earlier.play()
    found = (*earlier.decision.agreeing, *earlier.decision.dissenting)
    prior = Prior(record=TASK, commitments=earlier.published[-1], receipts=found)
    rule = make_rule(replication=2, confidence=confidence)
    later = Shuffled(more, rule, data.draw, prior=prior, first=10)
    assert later.queue[0].count <= max(confidence, len(found))
    later.play()
    receipts = (*later.decision.agreeing, *later.decision.dissenting)
    assert set(found) <= set(receipts)
    assert {receipt.node for receipt in receipts} - {receipt.node for receipt in found} <= {
        node.peer for node in later.nodes
    }
    if later.decision.verdict is Verdict.AGREED:
        assert len(later.decision.agreeing) >= confidence
        assert 2 * len(later.decision.agreeing) > len(receipts)
    # What an audit looks at: each receipt's round is a list whose commitments are all in the last one.
    lists = {list_cid(commitments): commitments for commitments in [*earlier.published, *later.published]}
    final = set(later.published[-1].commitments)
    for receipt in receipts:
        check_reveal(receipt, lists[receipt.round])
        assert set(lists[receipt.round].commitments) <= final


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from([Honest, Liar]), min_size=1, max_size=7), st.data())
def test_without_deadlines_the_order_of_messages_does_not_matter(kinds, data):
    table = Shuffled(kinds, make_rule(replication=len(kinds)), data.draw, hasty=False)
    table.play()
    most = max(kinds.count(Honest), kinds.count(Liar))
    assert len(table.decision.agreeing) + len(table.decision.dissenting) == len(kinds)
    assert (table.decision.verdict is Verdict.AGREED) == (most >= 2 and 2 * most > len(kinds))
    assert table.session.faults == ()

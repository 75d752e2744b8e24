import importlib
import inspect

import pytest

from network.session import TRANSITIONS, LocalProtocolError, default_max_nodes, start, step
from network.session_events import (
    AskNodes,
    Assigned,
    Committed,
    DeadlinePassed,
    Execute,
    FaultKind,
    Phase,
    PublishRound,
    Revealed,
    Undetermined,
    Withdrawn,
)
from network.session_state import Session
from tests.acceptance_table import ACCEPTANCE
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
    Table,
    commitment_of,
    output,
    sit,
)
from tests.vectors.records.world import identity
from verifier.commitment import check_round
from verifier.compare import compare, make_rule
from verifier.model import Receipt, Verdict

H, L = Honest, Liar


def faults(table: Table) -> dict[int, FaultKind]:
    numbers = {node.peer: node.number for node in table.nodes}
    return {numbers[fault.peer]: fault.kind for fault in table.session.faults}


def counted(table: Table) -> tuple[int, int]:
    assert table.decision
    return len(table.decision.agreeing), len(table.decision.dissenting)


def test_three_honest_nodes_agree_in_one_round():
    table = sit([H] * 9, make_rule())
    assert counted(table) == (3, 0)
    assert [type(action).__name__ for action in table.trace] == ["AskNodes", "Execute", "PublishRound", "Finish"]
    assert table.session.phase is Phase.DONE
    assert table.decision.claim == (output("y"), 0)


@pytest.mark.parametrize("shard", [0, 1])
@pytest.mark.parametrize(("nodes", "liars", "confidence", "expected"), ACCEPTANCE)
def test_the_acceptance_table_without_further_nodes(nodes, liars, confidence, expected, shard):
    kinds = [H] * (nodes - liars) + [L] * liars
    rule = make_rule(replication=nodes, confidence=confidence)
    assert counted(sit(kinds[shard:] + kinds[:shard], rule, max_nodes=nodes)) == expected


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        (Copycat, FaultKind.FORGED),
        (Resigner, FaultKind.MISMATCH),
        (BaitAndSwitch, FaultKind.MISMATCH),
        (Mute, FaultKind.MUTE),
        (Late, FaultKind.LATE),
        (Equivocator, FaultKind.EQUIVOCATION),
    ],
)
def test_a_bad_actor_is_blamed_and_does_not_vote(kind, fault):
    table = sit([H, H, kind], make_rule(), max_nodes=3)
    assert table.decision.verdict is Verdict.AGREED
    assert table.decision.claim == (output("y"), 0)
    assert faults(table) == {2: fault}
    bad = table.nodes[2].peer
    assert bad not in {receipt.node for receipt in (*table.decision.agreeing, *table.decision.dissenting)}


def test_a_double_reveal_before_the_others_loses_its_vote():
    table = sit([DoubleRevealer, H, H], make_rule(), max_nodes=3)
    assert counted(table) == (2, 0)
    assert faults(table) == {0: FaultKind.EQUIVOCATION}
    assert len(table.session.faults[0].evidence) == 2


def test_a_liar_is_no_fault_but_dissent():
    table = sit([L, H, H], make_rule())
    assert counted(table) == (2, 1)
    assert table.session.faults == ()


def test_evidence_of_a_mismatch_convinces_a_third_party():
    table = sit([H, H, BaitAndSwitch], make_rule(), max_nodes=3)
    (fault,) = table.session.faults
    commitments, receipt = fault.evidence
    check_round(commitments, TASK)
    assert receipt.node == fault.peer
    assert receipt.node in {one.node for one in commitments.commitments}


def test_a_split_asks_for_just_enough_more_nodes():
    table = sit([H, L, H, H], make_rule(replication=2))
    asked = [action.count for action in table.trace if isinstance(action, AskNodes)]
    assert asked == [2, 1]
    assert counted(table) == (2, 1)


def test_later_lists_hold_the_earlier_commitments_and_receipts_keep_their_round():
    table = sit([H, L, Mute, H, H], make_rule(replication=3, confidence=3))
    first, *_, last = table.published
    assert set(first.commitments) < set(last.commitments)
    assert table.decision.verdict is Verdict.AGREED
    assert len({receipt.round for receipt in table.decision.agreeing}) == len(table.published)


def test_liars_in_the_majority_win_which_no_vote_can_prevent():
    assert sit([L, L, H], make_rule()).decision.claim == (output("a lie"), 0)


def test_what_stays_split_ends_at_the_bound():
    table = sit([H, L] * 10, make_rule(replication=2, confidence=2), max_nodes=4)
    assert table.decision.verdict in (Verdict.SPLIT, Verdict.AGREED)
    table = sit([H, L, H, L], make_rule(replication=4, confidence=3), max_nodes=4)
    assert table.decision.verdict is Verdict.SPLIT
    assert len(table.session.asked) == 4
    assert len(table.decision.dissenting) == 4


def test_a_failed_host_is_replaced_before_anything_is_revealed():
    table = sit([Broken, Broken, H, H], make_rule())
    assert [type(action).__name__ for action in table.trace] == [
        "AskNodes", "Execute", "AskNodes", "Execute", "PublishRound", "Finish",
    ]  # fmt: skip
    assert counted(table) == (2, 0)
    assert [reason for _, reason in table.session.undetermined] == ["worker died"] * 2


def test_nodes_that_all_fail_give_too_few_and_no_list():
    table = sit([Broken] * 9, make_rule())
    assert table.decision.verdict is Verdict.TOO_FEW
    assert table.published == []
    assert len(table.session.undetermined) == default_max_nodes(make_rule())


def test_no_nodes_at_all_give_too_few():
    table = sit([], make_rule())
    assert table.decision.verdict is Verdict.TOO_FEW


def test_fewer_nodes_than_wanted_still_reveal_so_that_the_output_is_known():
    table = sit([H], make_rule())
    assert table.decision.verdict is Verdict.TOO_FEW
    assert len(table.decision.dissenting) == 1


def test_one_node_asked_for_is_one_node_asked():
    table = sit([H] * 9, make_rule(replication=1))
    assert table.decision.verdict is Verdict.TOO_FEW
    assert len(table.session.asked) == 1


def committing(nodes: int = 3) -> tuple[Session, Execute]:
    session, _ = start(TASK, make_rule(replication=nodes))
    session, (action,) = step(session, Assigned(nodes=tuple(identity(number).peer for number in range(nodes))))
    return session, action


def commit(session: Session, number: int, text: str = "y"):
    return step(session, Committed(peer=identity(number).peer, commitment=commitment_of(number, text)))


def test_nothing_is_published_before_the_last_commitment_or_the_deadline():
    session, _ = committing()
    session, actions = commit(session, 0)
    assert actions == ()
    session, actions = commit(session, 1)
    assert actions == ()
    early, actions = step(session, DeadlinePassed(round_number=1, phase=Phase.COMMITTING))
    assert isinstance(actions[0], PublishRound)
    assert [fault.kind for fault in early.faults] == [FaultKind.LATE]
    session, actions = commit(session, 2)
    assert isinstance(actions[0], PublishRound)


def test_a_deadline_without_enough_commitments_asks_for_more():
    session, _ = committing()
    session, _ = commit(session, 0)
    session, actions = step(session, DeadlinePassed(round_number=1, phase=Phase.COMMITTING))
    assert actions == (AskNodes(count=1),)


def test_stale_deadlines_repeats_and_strangers_change_nothing():
    session, _ = committing()
    session, _ = commit(session, 0)
    before = session
    for event in (
        DeadlinePassed(round_number=1, phase=Phase.REVEALING),
        DeadlinePassed(round_number=2, phase=Phase.COMMITTING),
        Committed(peer=identity(0).peer, commitment=commitment_of(0)),
        Committed(peer=identity(7).peer, commitment=commitment_of(7)),
        Undetermined(peer=identity(7).peer, reason="x"),
        Undetermined(peer=identity(0).peer, reason="x"),
    ):
        session, actions = step(session, event)
        assert actions == ()
    assert session == before


def test_a_flood_of_bad_messages_leaves_one_fault():
    session, _ = committing()
    for number in range(50):
        bad = commitment_of(number + 10)
        session, _ = step(session, Committed(peer=identity(1).peer, commitment=bad))
    assert len(session.faults) == 1


def test_an_equivocator_is_not_in_the_list():
    session, _ = committing()
    for number, text in ((0, "y"), (0, "z"), (1, "y")):
        session, _ = commit(session, number, text)
    session, (publish,) = commit(session, 2)
    assert [one.node for one in publish.commitments.commitments] == sorted(identity(number).peer for number in (1, 2))
    again, actions = commit(session, 0)
    assert (again.commitments, again.pending, actions) == (session.commitments, session.pending, ())


def test_who_sends_anothers_receipt_is_blamed_not_its_signer():
    session, _ = committing()
    nodes = [Honest(number) for number in range(3)]
    for node in nodes:
        session, actions = step(session, node.on_execute()[0])
    (revealed,) = nodes[0].on_publish(actions[0].commitments)
    session, _ = step(session, Revealed(peer=nodes[1].peer, receipt=revealed.receipt))
    assert [(fault.peer, fault.kind) for fault in session.faults] == [(nodes[1].peer, FaultKind.FORGED)]
    session, _ = step(session, revealed)
    assert set(session.receipts) == {nodes[0].peer}


def revealing(nodes: int = 3, confidence: int | None = None):
    """Return a session whose first round is closed, its nodes and the list."""
    honest = [Honest(number) for number in range(nodes)]
    session, _ = start(TASK, make_rule(replication=nodes, confidence=confidence))
    session, _ = step(session, Assigned(nodes=tuple(node.peer for node in honest)))
    for node in honest:
        session, actions = step(session, node.on_execute()[0])
    return session, honest, actions[0].commitments


def test_a_late_receipt_counts_against_a_liar_who_was_asked_later():
    session, (slow,), first = revealing(1, confidence=1)
    session, (ask,) = step(session, DeadlinePassed(round_number=1, phase=Phase.REVEALING))
    assert (ask.count, [fault.kind for fault in session.faults]) == (1, [FaultKind.MUTE])
    (late,) = slow.on_publish(first)
    session, actions = step(session, late)
    assert (set(session.receipts), session.mute, actions) == ({slow.peer}, {}, ())
    liar = Liar(5)
    session, _ = step(session, Assigned(nodes=(liar.peer,)))
    session, (publish,) = step(session, liar.on_execute()[0])
    session, (ask,) = step(session, liar.on_publish(publish.commitments)[0])
    assert isinstance(ask, AskNodes)
    assert compare(session.receipts.values(), session.rule).verdict is Verdict.SPLIT


def test_a_late_receipt_that_its_commitment_does_not_cover_convicts():
    session, (slow,), first = revealing(1, confidence=1)
    session, _ = step(session, DeadlinePassed(round_number=1, phase=Phase.REVEALING))
    (late,) = slow.on_publish(first)
    node = late.receipt.to_node() | {"output": output("another")}
    other = Receipt.from_node(identity(0).sign(node))
    session, _ = step(session, Revealed(peer=slow.peer, receipt=other))
    assert [fault.kind for fault in session.faults] == [FaultKind.MUTE, FaultKind.MISMATCH]
    session, _ = step(session, late)
    assert session.receipts == {}


def test_a_reveal_before_the_close_is_not_looked_at():
    session, _ = committing()
    node = Honest(0)
    node.on_execute()
    early = node.participant._sign(TASK)
    after, actions = step(session, Revealed(peer=node.peer, receipt=early))
    assert (after, actions) == (session, ())


def test_a_driver_that_breaks_the_rules_is_told_and_nobody_is_blamed():
    session, _ = committing()
    with pytest.raises(LocalProtocolError):
        step(session, Assigned(nodes=()))
    fresh, _ = start(TASK, make_rule())
    for nodes in ((identity(1).peer,) * 2, tuple(identity(number).peer for number in range(20))):
        with pytest.raises(LocalProtocolError):
            step(fresh, Assigned(nodes=nodes))
    assert session.faults == ()


def test_the_table_covers_every_message_in_every_phase():
    messages = {Committed, Revealed, Undetermined, DeadlinePassed, Withdrawn}
    assert {phase for phase in Phase for kind in messages if (phase, kind) not in TRANSITIONS} == set()
    assert [phase for phase in Phase if (phase, Assigned) in TRANSITIONS] == [Phase.ASSIGNING]


PURE = {
    "__future__", "collections", "dataclasses", "enum", "hashlib", "re", "types", "typing",
    "network", "runtime", "storage", "verifier",
}  # fmt: skip
DECIDING = (
    "session", "session_events", "session_faults", "session_state", "participant", "transition_table", "messages",
    "message_codec", "blame", "protocol_errors", "protocol_events", "bid_choice", "capacity_book", "requester",
    "requester_bids", "requester_entries", "requester_memory", "requester_state", "requester_steps", "requester_task",
    "compute_node", "node_state", "node_task", "demand",
)  # fmt: skip
COUNTING = ("capacity", "capacity_ledger")
"""What of the floor below decides with them."""


@pytest.mark.parametrize("name", [*(f"network.{name}" for name in DECIDING), *(f"runtime.{name}" for name in COUNTING)])
def test_the_deciding_code_imports_no_clock_entropy_or_io(name):
    lines = inspect.getsource(importlib.import_module(name)).splitlines()
    imported = {line.split()[1].split(".")[0] for line in lines if line.startswith(("import ", "from "))}
    assert imported <= PURE
    ours = {line.split()[1] for line in lines if line.startswith("from runtime")}
    assert ours <= {"runtime.engine", "runtime.quantity", *(f"runtime.{name}" for name in COUNTING)}

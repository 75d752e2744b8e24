import itertools

import pytest

from storage.cid import RAW, make_cid
from storage.errors import VerificationError
from tests.acceptance_table import ACCEPTANCE
from tests.vectors.records.world import STATE, identity, nonce
from verifier.compare import Decision, compare, make_rule
from verifier.model import EngineInfo, Receipt, Task, Verdict
from verifier.receipt import receipt_cid, sign_receipt
from verifier.record import build_record

LEAF = make_cid(RAW, b"leaf")
ENGINE = EngineInfo(name="pyodide", version="1", arch="x86_64", isolation=())


def output(text: str):
    return make_cid(RAW, text.encode())


def receipt(number: int, text: str = "y", **changes) -> Receipt:
    values = {
        "task": LEAF,
        "output": output(text),
        "exit_code": 0,
        "fuel": None,
        "state_digest": STATE,
        "engine": ENGINE,
        "nonce": nonce(number),
        "round": LEAF,
    }
    return sign_receipt(identity(number), **(values | changes))


def votes(nodes: int, liars: int, *, colluding: bool) -> list[Receipt]:
    lies = ["a lie" if colluding else f"lie {number}" for number in range(liars)]
    return [receipt(number, text) for number, text in enumerate(["y"] * (nodes - liars) + lies)]


def counted(decision: Decision) -> tuple[int, int]:
    return len(decision.agreeing), len(decision.dissenting)


@pytest.mark.parametrize("colluding", [False, True])
@pytest.mark.parametrize("shard", ["shard 0", "shard 1"])
@pytest.mark.parametrize(("nodes", "liars", "confidence", "expected"), ACCEPTANCE)
def test_the_acceptance_table(nodes, liars, confidence, expected, shard, colluding):
    rule = make_rule(replication=nodes, confidence=confidence)
    task = make_cid(RAW, shard.encode())
    receipts = [
        receipt(number, text=one.output.hex(), task=task)
        for number, one in enumerate(votes(nodes, liars, colluding=colluding))
    ]
    assert counted(compare(receipts, rule)) == expected


@pytest.mark.parametrize(
    ("texts", "confidence", "verdict"),
    [
        ("", 1, Verdict.TOO_FEW),
        ("a", 2, Verdict.TOO_FEW),
        ("aa", 3, Verdict.TOO_FEW),
        ("ab", 1, Verdict.SPLIT),
        ("aabb", 2, Verdict.SPLIT),
        ("aabbc", 2, Verdict.SPLIT),
        ("aaabb", 2, Verdict.AGREED),
        ("aaabb", 4, Verdict.SPLIT),
        ("aab", 2, Verdict.AGREED),
        ("abc", 1, Verdict.SPLIT),
    ],
)
def test_enough_and_a_strict_majority(texts, confidence, verdict):
    receipts = [receipt(number, text) for number, text in enumerate(texts)]
    for order in itertools.islice(itertools.permutations(receipts), 24):
        decision = compare(order, make_rule(confidence=confidence))
        assert decision.verdict is verdict
        assert len(decision.agreeing) + len(decision.dissenting) == len(receipts)


def test_an_exit_code_is_part_of_the_claim():
    decision = compare([receipt(0), receipt(1), receipt(2, exit_code=1)], make_rule())
    assert counted(decision) == (2, 1)


def test_fuel_and_state_do_not_decide_and_a_different_state_is_told():
    same = compare([receipt(0), receipt(1, fuel=5)], make_rule())
    assert (same.verdict, same.same_state) == (Verdict.AGREED, True)
    other = compare([receipt(0), receipt(1, state_digest="00" * 32)], make_rule())
    assert (other.verdict, other.same_state) == (Verdict.AGREED, False)
    assert not compare([], make_rule()).same_state


def test_a_dissenters_state_says_nothing_about_ours():
    decision = compare([receipt(0), receipt(1), receipt(2, "z", state_digest="00" * 32)], make_rule())
    assert decision.same_state


def test_diverse_wants_two_kinds_among_those_that_agree():
    rule = make_rule(diverse=True)
    arm = EngineInfo(name="pyodide", version="1", arch="aarch64", isolation=())
    newer = EngineInfo(name="pyodide", version="2", arch="x86_64", isolation=("x",))
    assert compare([receipt(0), receipt(1), receipt(2)], rule).verdict is Verdict.TOO_FEW
    assert compare([receipt(0), receipt(1, engine=newer)], rule).verdict is Verdict.TOO_FEW
    assert compare([receipt(0), receipt(1, engine=arm)], rule).verdict is Verdict.AGREED
    assert compare([receipt(0), receipt(1), receipt(2, "z", engine=arm)], rule).verdict is Verdict.SPLIT
    assert compare([receipt(0)], make_rule(replication=1, confidence=1, diverse=True)).verdict is Verdict.AGREED


def test_unchecked_receipts_are_a_bug_of_the_caller():
    with pytest.raises(ValueError, match="distinct"):
        compare([receipt(0), receipt(0, "z")], make_rule())
    with pytest.raises(ValueError, match="one task"):
        compare([receipt(0), receipt(1, task=output("other"))], make_rule())


def test_confidence_one_must_be_asked_for():
    assert make_rule(replication=1).confidence == 2
    assert make_rule(replication=9).confidence == 2
    with pytest.raises(ValueError, match="confidence"):
        make_rule(confidence=0)


def test_a_record_holds_both_sides_sorted():
    receipts = [receipt(0), receipt(1), receipt(2, "z")]
    rule = make_rule()
    parts = Task(function=LEAF, input=output("x"))
    record = build_record(
        compare(receipts, rule), task=LEAF, parts=parts, rule=rule, commitments=LEAF, parents=[LEAF] * 2
    )
    assert record.output == output("y")
    assert record.receipts == tuple(sorted(receipt_cid(one) for one in receipts[:2]))
    assert record.dissent == (receipt_cid(receipts[2]),)
    assert record.parents == (LEAF,)
    assert (record.function, record.input) == (LEAF, output("x"))


@pytest.mark.parametrize("receipts", [[], [receipt(0)], [receipt(0), receipt(1, "z")]])
def test_there_is_no_record_without_agreement(receipts):
    rule = make_rule()
    with pytest.raises(VerificationError, match="no record"):
        build_record(
            compare(receipts, rule), task=LEAF, parts=Task(function=LEAF, input=LEAF), rule=rule, commitments=LEAF
        )

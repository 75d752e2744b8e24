import hashlib
from dataclasses import replace

import pytest

from storage import dag_cbor
from storage.cid import RAW, make_cid
from storage.errors import VerificationError
from tests.vectors.records.world import STATE, identity, nonce
from verifier.commitment import (
    check_commitment,
    check_reveal,
    check_round,
    close_round,
    commitment_digest,
    list_cid,
    sign_commitment,
)
from verifier.model import EngineInfo, ModelError, Receipt, node_cid
from verifier.receipt import check_receipt, sign_receipt

TASK = make_cid(RAW, b"task")
Y = make_cid(RAW, b"y")
ENGINE = EngineInfo(name="e", version="1", arch="x", isolation=())


def commit(number: int, output=Y):
    return sign_commitment(identity(number), task=TASK, nonce=nonce(number), output=output, state_digest=STATE)


def reveal(number: int, commitments, **changes) -> Receipt:
    values = {
        "task": TASK,
        "output": Y,
        "exit_code": 0,
        "fuel": None,
        "state_digest": STATE,
        "engine": ENGINE,
        "nonce": nonce(number),
        "round": list_cid(commitments),
    }
    return sign_receipt(identity(number), **(values | changes))


def test_the_digest_is_of_the_written_preimage():
    preimage = {
        "v": "commitment-preimage/1",
        "task": TASK,
        "node": identity(1).peer,
        "nonce": nonce(1),
        "output": Y,
        "state_digest": STATE,
    }
    assert commit(1).digest == hashlib.sha256(dag_cbor.encode(preimage)).hexdigest()


def test_the_digest_depends_on_every_part():
    parts = {"task": TASK, "node": identity(1).peer, "nonce": nonce(1), "output": Y, "state_digest": STATE}
    others = {"task": Y, "node": identity(2).peer, "nonce": nonce(2), "output": TASK, "state_digest": "00" * 32}
    digests = {commitment_digest(**parts)} | {commitment_digest(**(parts | {key: others[key]})) for key in parts}
    assert len(digests) == 6


def test_a_commitment_is_signed_by_its_node_for_one_task():
    check_commitment(commit(1), TASK)
    with pytest.raises(VerificationError, match="another task"):
        check_commitment(commit(1), Y)
    copied = commit(1).to_node() | {"node": identity(2).peer}
    with pytest.raises(VerificationError, match="not by this node"):
        check_commitment(type(commit(1)).from_node(copied), TASK)


def test_a_signature_that_held_vouches_for_nothing_else():
    for _ in range(2):
        check_commitment(commit(1), TASK)
        for change in ({"digest": "00" * 32}, {"signature": commit(2).signature}, {"node": identity(2).peer}):
            with pytest.raises(VerificationError, match="not by this node"):
                check_commitment(replace(commit(1), **change), TASK)
    lists = [close_round(TASK, [commit(n) for n in range(1, count)]) for count in range(1, 25)]
    assert [list_cid(one) for one in lists * 2] == [node_cid(one) for one in lists * 2]


def test_a_list_is_sorted_and_has_a_node_once():
    assert close_round(TASK, [commit(2), commit(1)]) == close_round(TASK, [commit(1), commit(2)])
    check_round(close_round(TASK, [commit(1), commit(2)]), TASK)
    with pytest.raises(ModelError, match="sorted by node"):
        close_round(TASK, [commit(1), commit(1, output=TASK)])
    with pytest.raises(VerificationError):
        check_round(close_round(Y, [commit(1)]), Y)
    with pytest.raises(VerificationError, match="another task"):
        check_round(close_round(Y, []), TASK)


def test_a_reveal_must_be_what_was_committed_to_in_this_round():
    commitments = close_round(TASK, [commit(1), commit(2)])
    check_reveal(reveal(1, commitments), commitments)
    for change in ({"output": TASK}, {"nonce": nonce(9)}, {"state_digest": "00" * 32}, {"task": Y}):
        with pytest.raises(VerificationError, match="not what its node committed to"):
            check_reveal(reveal(1, commitments, **change), commitments)
    with pytest.raises(VerificationError, match="another round"):
        check_reveal(reveal(1, commitments, round=TASK), commitments)
    with pytest.raises(VerificationError, match="did not commit"):
        check_reveal(reveal(3, commitments), commitments)


def test_a_receipt_is_signed_by_its_node_for_one_task():
    commitments = close_round(TASK, [commit(1)])
    receipt = reveal(1, commitments)
    check_receipt(receipt, TASK)
    with pytest.raises(VerificationError, match="another task"):
        check_receipt(receipt, Y)
    for change in ({"exit_code": 1}, {"fuel": 1}, {"node": identity(2).peer}, {"round": TASK}):
        with pytest.raises(VerificationError, match="not by this node"):
            check_receipt(Receipt.from_node(receipt.to_node() | change), TASK)

import pytest

from network.participant import Participant
from storage.errors import PeerError
from tests.unit.network.personas import TASK, commitment_of, execution, output
from tests.vectors.records.world import identity, nonce
from verifier.commitment import check_reveal, close_round
from verifier.model import Commitment
from verifier.receipt import check_receipt


def committed() -> Participant:
    return Participant.commit(identity(0), execution(), nonce(0))


def test_it_reveals_what_it_committed_to():
    me = committed()
    commitments = close_round(TASK, [me.commitment, commitment_of(1)])
    after, receipt = me.reveal(commitments, "requester")
    check_receipt(receipt, TASK)
    check_reveal(receipt, commitments)
    assert receipt.output == output("y")
    assert after.reveal(commitments, "requester") == (after, receipt)


def test_it_never_reveals_for_two_lists():
    me = committed()
    after, _ = me.reveal(close_round(TASK, [me.commitment]), "requester")
    second = close_round(TASK, [me.commitment, commitment_of(1)])
    with pytest.raises(PeerError, match="second reveal") as caught:
        after.reveal(second, "requester")
    assert caught.value.peer == "requester"
    assert caught.value.evidence


def test_it_reveals_nothing_for_a_list_without_its_own_commitment():
    for commitments in (close_round(TASK, [commitment_of(1)]), close_round(TASK, [commitment_of(0, "other")])):
        with pytest.raises(PeerError, match="without our commitment"):
            committed().reveal(commitments, "requester")


def test_it_reveals_nothing_for_a_forged_list():
    me = committed()
    forged = Commitment.from_node(commitment_of(1).to_node() | {"digest": "00" * 32})
    with pytest.raises(PeerError, match="forged"):
        me.reveal(close_round(TASK, [me.commitment, forged]), "requester")
    with pytest.raises(PeerError, match="forged"):
        me.reveal(close_round(output("another task"), [me.commitment]), "requester")

import dataclasses

import pytest

from network.blame import Blame, blame_of, check_blame, proven_lists
from network.message_codec import sign_close, sign_commit
from network.session_events import Fault, FaultKind
from storage import dag_cbor
from storage.errors import VerificationError
from tests.unit.network.personas import TASK, commitment_of
from tests.unit.network.protocol_world import REQUESTER, SESSION, participant
from tests.vectors.records.world import identity
from verifier.commitment import close_round, list_cid
from verifier.model import Commitment, Receipt

ME = identity(0)
OTHER = "ee" * 32


def signed(text="y", session=SESSION):
    return sign_commit(ME, session, commitment_of(0, text))


def receipt(text="y", listed=None, **changes):
    me = participant(0, text)
    made = me._sign(list_cid(listed or close_round(TASK, [participant(0).commitment])))
    return Receipt.from_node(ME.sign(made.to_node() | changes)) if changes else made


LIST = close_round(TASK, [participant(0).commitment, commitment_of(1)])
FORGED = Commitment.from_node(commitment_of(0).to_node() | {"digest": "00" * 32})

GUILTY = {
    "two commitments": Blame(node=ME.peer, kind="equivocation", commits=(signed(), signed("z"))),
    "two receipts": Blame(node=ME.peer, kind="equivocation", receipts=(receipt(), receipt(exit_code=1))),
    "another output": Blame(
        node=ME.peer, kind="mismatch", commitments=LIST, receipts=(receipt("z", LIST),)
    ),
    "not in the list": Blame(
        node=ME.peer,
        kind="mismatch",
        commitments=close_round(TASK, [commitment_of(1)]),
        receipts=(receipt("y", close_round(TASK, [commitment_of(1)])),),
    ),
    "another's commitment": Blame(node=ME.peer, kind="forged", commits=(sign_commit(ME, SESSION, commitment_of(1)),)),
    "unsigned commitment": Blame(node=ME.peer, kind="forged", commits=(sign_commit(ME, SESSION, FORGED),)),
    "two lists": Blame(
        node=REQUESTER.peer,
        kind="equivocation",
        closes=(
            sign_close(REQUESTER, SESSION, 1, LIST),
            sign_close(REQUESTER, SESSION, 1, close_round(TASK, [commitment_of(1)])),
        ),
    ),
}  # fmt: skip

INNOCENT = {
    "one commitment twice": Blame(node=ME.peer, kind="equivocation", commits=(signed(), signed())),
    "two sessions of one task": Blame(node=ME.peer, kind="equivocation", commits=(signed(), signed("z", OTHER))),
    "receipts of two rounds": Blame(
        node=ME.peer, kind="equivocation", receipts=(receipt(), receipt(listed=LIST))
    ),
    "one receipt twice": Blame(node=ME.peer, kind="equivocation", receipts=(receipt(), receipt())),
    "a sound reveal": Blame(node=ME.peer, kind="mismatch", commitments=LIST, receipts=(receipt("y", LIST),)),
    "a receipt of another round": Blame(node=ME.peer, kind="mismatch", commitments=LIST, receipts=(receipt("z"),)),
    "a sound commitment": Blame(node=ME.peer, kind="forged", commits=(signed(),)),
    "lists of two rounds": Blame(
        node=REQUESTER.peer,
        kind="equivocation",
        closes=(
            sign_close(REQUESTER, SESSION, 1, close_round(TASK, [commitment_of(1)])),
            sign_close(REQUESTER, SESSION, 2, LIST),
        ),
    ),
    "lateness": Blame(node=ME.peer, kind="late", commits=(signed(),)),
    "silence": Blame(node=ME.peer, kind="mute", commitments=LIST),
    "nothing": Blame(node=ME.peer, kind="equivocation"),
}  # fmt: skip


@pytest.mark.parametrize("case", GUILTY)
def test_what_a_node_signed_itself_convicts_it(case):
    check_blame(GUILTY[case])


@pytest.mark.parametrize("case", GUILTY)
def test_it_convicts_from_its_bytes_and_nobody_else(case):
    blame = GUILTY[case]
    assert Blame.from_node(dag_cbor.decode(dag_cbor.encode(blame.to_node()))) == blame
    with pytest.raises(VerificationError):
        check_blame(dataclasses.replace(blame, node=identity(1).peer))


@pytest.mark.parametrize("case", INNOCENT)
def test_what_honest_nodes_do_convicts_nobody(case):
    with pytest.raises(VerificationError):
        check_blame(INNOCENT[case])


@pytest.mark.parametrize("case", GUILTY)
def test_evidence_that_the_accuser_made_convicts_nobody(case):
    """Every signature of the accused is replaced by one of somebody else."""
    forger, blame = identity(9), GUILTY[case]

    def again(thing):
        return type(thing).from_node(forger.sign(thing.to_node()))

    changed = dataclasses.replace(
        blame,
        commits=tuple(map(again, blame.commits)),
        closes=tuple(map(again, blame.closes)),
        receipts=tuple(map(again, blame.receipts)),
    )
    with pytest.raises(VerificationError):
        check_blame(changed)


@pytest.mark.parametrize("kind", [FaultKind.LATE, FaultKind.MUTE])
def test_what_no_signature_shows_is_no_blame(kind):
    fault = Fault(peer=ME.peer, kind=kind, evidence=(LIST,))
    assert blame_of(fault, signed(), signed()) is None


def test_a_requester_that_closes_twice_is_convicted_by_its_nodes():
    first, second = GUILTY["two lists"].closes
    assert proven_lists(first, second) == GUILTY["two lists"]
    assert proven_lists(first, first) is None

import pytest

from storage.errors import UnavailableError, VerificationError
from tests.vectors.records.world import World, identity
from verifier.witness import witness_of


def witnessed(**world):
    made = World(**world)
    return made, witness_of(made.build(), made.store)


def peers(*numbers):
    return {identity(number).peer for number in numbers}


def test_a_record_tells_who_agreed_and_who_did_not():
    world, found = witnessed(nodes=4, liars=1)
    assert found.task == world.task
    assert (found.agreeing, found.dissenting) == (peers(0, 1, 2), peers(3))


def refused(**world):
    with pytest.raises(VerificationError):
        witnessed(**world)


def test_what_its_signatures_do_not_show_counts_for_nothing():
    refused(edits={"receipt/1": lambda node: node.update(node=identity(2).peer)})
    refused(edits={"receipt/1": lambda node: node.update(fuel=7, nonce="00" * 32)})
    refused(edits={"signed commitment/1": lambda node: node.update(digest="00" * 32)})
    refused(edits={"list": lambda node: node.update(commitments=node["commitments"][:2])})


def test_sides_are_what_the_rule_makes_of_the_receipts():
    refused(nodes=4, liars=2)
    refused(nodes=3, liars=0, confidence=4)

    def swap(node):
        node["receipts"], node["dissent"] = node["dissent"], node["receipts"]

    refused(nodes=3, liars=1, edits={"record": swap})

    def leave_out(node):
        node["dissent"] = [node["receipts"].pop()]

    refused(nodes=3, edits={"record": leave_out})
    refused(edits={"record": lambda node: node.update(output=node["function"])})
    refused(edits={"record": lambda node: node.update(task=node["input"])})


def test_a_record_that_is_not_all_here_is_not_counted():
    world = World()
    record = world.build()
    store = type(world.store)()
    store.put_many((cid, data) for cid, data in world.store.kept.items() if cid != world.receipts[1])
    with pytest.raises(UnavailableError):
        witness_of(record, store)

"""What is known of other nodes, when there are more of them than are remembered."""

from network.message_codec import sign_capacity
from network.node import peer_book
from network.node.announcement import announce
from network.node.peer_book import PeerBook
from tests.unit.network.node.node_world import KIND, UNIT
from tests.vectors.records.world import identity


def said(number, **labels):
    record = sign_capacity(identity(number), sequence=1, total=UNIT, free=UNIT, engines=(KIND,))
    return announce(record, addresses=(), labels=labels)


async def nowhere(address):
    raise AssertionError(address)


def test_a_node_whose_labels_were_forgotten_has_none_that_a_selector_asks_for(monkeypatch):
    monkeypatch.setattr(peer_book, "MAX_PEERS", 2)
    book = PeerBook(None, nowhere)
    for number, zone in enumerate(("us", "us", "eu")):
        book.note(said(number, zone=zone))
    peers = [identity(number).peer for number in range(3)]
    assert book.unlike((("zone", "eu"),), peers) == {*peers[:2]}
    assert book.unlike((), peers) == frozenset()

import pytest
from hypothesis import given
from hypothesis import strategies as st

from network.node import trust_book
from network.node.datastore import Machine, Put, Remove, RemoveBelow
from network.node.trust_book import TrustBook
from network.node.trust_entries import DissentEntry, read_trust, write_entry
from storage.cid import DAG_CBOR, make_cid
from storage.errors import VerificationError
from tests.vectors.records.world import identity
from verifier.credibility import History, TrustGoal, Witness, histories

PEERS = [identity(number).peer for number in range(6)]
A, B, C, *_ = PEERS
TASKS = [make_cid(DAG_CBOR, b"%d" % number) for number in range(8)]
RECORD = make_cid(DAG_CBOR, b"a record")
RECEIPT = make_cid(DAG_CBOR, b"a receipt")
GOAL = TrustGoal(asked=0.999)


class Disk:
    """Entries as a datastore keeps them."""

    def __init__(self):
        self.entries = {}

    def commit(self, changes):
        for change in changes:
            assert change.machine is Machine.TRUST
            if isinstance(change, Put):
                self.entries[change.key] = change.value
            elif isinstance(change, Remove):
                self.entries.pop(change.key, None)
            else:
                assert isinstance(change, RemoveBelow)
                self.entries = {k: v for k, v in self.entries.items() if not k.startswith(change.prefix)}


def witness(task, agreeing, dissenting=()):
    return Witness(task=TASKS[task], agreeing=frozenset(agreeing), dissenting=frozenset(dissenting))


def booked(*witnesses):
    book, disk = TrustBook(), Disk()
    for one in witnesses:
        disk.commit(book.note(one, RECORD))
    return book, disk


def reloaded(disk):
    book = TrustBook()
    book.load(disk.entries)
    return book


told = st.lists(
    st.builds(
        lambda task, said: witness(task, {p for p, ok in said.items() if ok}, {p for p, ok in said.items() if not ok}),
        st.integers(0, 7),
        st.dictionaries(st.sampled_from(PEERS), st.booleans(), max_size=4),
    ),
    max_size=20,
)


@given(told)
def test_a_book_knows_what_the_records_say_and_so_does_its_disk(witnesses):
    book, disk = booked(*witnesses)
    said = {peer: history for peer, history in histories(witnesses).items() if history != History()}
    assert {peer: history for peer, history in book.histories().items() if history != History()} == said
    assert reloaded(disk).histories() == book.histories()
    assert all(book.passes(peer) == said.get(peer, History()).passes for peer in PEERS)


def test_what_a_dissent_rests_on_is_kept():
    book, disk = booked(witness(0, {A, B}))
    disk.commit(book.note(witness(1, {B}, {A}), RECORD, receipts={A: RECEIPT}, among=2))
    kept = read_trust(disk.entries)
    assert kept.dissents == {A: DissentEntry(times=1, record=RECORD, receipt=RECEIPT)}
    assert [peer for peer, _ in kept.passes] == [B, B]
    assert (book.passes(A), book.passes(B)) == (0, 2)


def test_the_oldest_is_forgotten_first_and_never_makes_a_node_better(monkeypatch):
    monkeypatch.setattr(trust_book, "MAX_PASSES_OF_NODE", 3)
    monkeypatch.setattr(trust_book, "MAX_PASSES", 5)
    book, disk = booked(*(witness(task, {A, B}) for task in range(4)))
    assert (book.passes(A), book.passes(B)) == (2, 3)
    assert not book.has_passed(A, TASKS[0])
    assert book.has_passed(B, TASKS[3])
    assert len(disk.entries) == 5
    again = reloaded(disk)
    for one in (book, again):
        one.note(witness(5, {C, B}), RECORD)
    assert again.histories() == book.histories()


def test_of_those_that_dissented_the_oldest_are_forgotten(monkeypatch):
    monkeypatch.setattr(trust_book, "MAX_DISSENTING", 2)
    book, disk = booked(*(witness(0, {PEERS[5]}, {peer}) for peer in (A, B, C)))
    assert set(book.histories()) == {B, C}
    assert set(read_trust(disk.entries).dissents) == {B, C}


def test_a_plan_is_made_again_when_more_is_known_or_others_are_there(monkeypatch):
    monkeypatch.setattr(trust_book, "PLAN_AGAIN", 3)
    book, _ = booked()
    book.begin("job", GOAL)
    looked = []

    def candidates():
        looked.append(1)
        return PEERS

    assert book.terms("other", 6, candidates) is None
    assert book.terms("job", 6, candidates).words == 4
    book.note(witness(0, PEERS), RECORD)
    book.note(witness(1, PEERS), RECORD)
    assert book.terms("job", 6, candidates).words == 4
    assert len(looked) == 1
    book.note(witness(2, PEERS), RECORD)
    assert book.terms("job", 6, candidates).words == 2
    assert book.terms("job", 5, candidates).words == 2
    assert len(looked) == 3
    book.end("job")
    assert book.terms("job", 6, candidates) is None


CUT = write_entry(DissentEntry(times=1, record=RECORD, receipt=None))[:-1]


@pytest.mark.parametrize(
    "entries", [{"what/x": b""}, {f"pass/{A}/00": b"\x00"}, {"pass/nobody/00": b""}, {f"dissent/{A}": CUT}]
)
def test_a_damaged_entry_is_no_knowledge(entries):
    with pytest.raises(VerificationError):
        TrustBook().load(entries)

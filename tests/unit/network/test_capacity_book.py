"""What a requester knows of nodes: who is picked, who is forgotten, and that strangers cannot fill it up."""

from functools import cache

from hypothesis import given
from hypothesis import strategies as st

from network import capacity_book
from network.capacity_book import MAX_PEERS, MAX_SLOTS, SILENT_PERIODS, CapacityBook, times
from network.message_codec import sign_capacity
from network.messages import Capacity, Demand
from tests.unit.network.protocol_world import KIND, UNIT, total
from tests.vectors.records.world import identity
from verifier.peer_id import peer_id_of

NOBODY = frozenset()
SIGNATURE = sign_capacity(identity(0), sequence=0, total=UNIT, free=UNIT, engines=(KIND,)).signature


@cache
def name(number):
    return peer_id_of(number.to_bytes(31, "big") + b"\x09")


def record(number, sequence=0, room=UNIT):
    """Return a record as the book takes it: who hands it over has checked its signature."""
    return Capacity(node=name(number), sequence=sequence, total=room, free=room, engines=(KIND,), signature=SIGNATURE)


def book_of(*numbers):
    book = CapacityBook()
    for number in numbers:
        book.note(record(number))
    return book


def pass_periods(book, count):
    for _ in range(count):
        book.period_passed()


def picked(book, demand=UNIT):
    return set(book.pick(100, demand, seed="s", exclude=NOBODY))


def test_slots_count_what_is_scarcest_and_follow_the_records():
    book = CapacityBook()
    demand = Demand(cpu_milli=500, memory=1 << 30, disk=0, gpus=0)
    assert book.slots(demand) == 0
    for sequence, memory_gb in ((0, 3), (1, 1)):
        room = Demand(cpu_milli=2000, memory=memory_gb << 30, disk=0, gpus=0)
        book.note(record(0, sequence, room))
        assert book.slots(demand) == memory_gb
    assert book.slots(Demand(cpu_milli=0, memory=0, disk=0, gpus=1)) == 0
    assert book.slots(Demand(cpu_milli=0, memory=0, disk=0, gpus=0)) == MAX_SLOTS


def test_the_least_loaded_that_fit_are_picked():
    book = CapacityBook()
    for number in range(4):
        book.note(record(number, 0, Demand(cpu_milli=1000 * (number + 1), memory=1 << 30, disk=0, gpus=0)))
    two = Demand(cpu_milli=2000, memory=1, disk=0, gpus=0)
    peers = [name(number) for number in range(4)]
    assert set(book.pick(9, two, seed="s", exclude=NOBODY)) == set(peers[1:])
    book.engage(peers[1], 3)
    book.engage(peers[2], 1)
    assert book.pick(9, two, seed="s", exclude=NOBODY) == (peers[3], peers[2], peers[1])
    assert book.pick(9, two, seed="s", exclude=frozenset(peers[2:])) == (peers[1],)


def test_a_node_that_is_silent_for_long_is_not_picked_until_it_is_heard_again():
    book = book_of(0, 1)
    for sequence in range(1, SILENT_PERIODS + 1):
        pass_periods(book, 1)
        book.note(record(1, sequence))
        assert picked(book) == {name(0), name(1)}
    pass_periods(book, 1)
    assert picked(book) == {name(1)}
    assert (len(book), list(book.peers), book.slots(UNIT)) == (1, [name(1)], 1)
    assert not book.note(record(0, 0))  # somebody says again what it said then
    assert picked(book) == {name(1)}
    assert book.note(record(0, 1))
    assert picked(book) == {name(0), name(1)}
    assert book.slots(UNIT) == 2


def test_the_number_of_a_silent_node_s_record_is_remembered():
    book = CapacityBook()
    book.note(record(0, 7))
    pass_periods(book, SILENT_PERIODS + 1)
    assert book.sequence_of(name(0)) == 7
    assert book.sequence_of(name(1)) == -1


def test_when_it_is_full_the_one_goes_that_was_not_heard_for_longest(monkeypatch):
    monkeypatch.setattr(capacity_book, "MAX_PEERS", 3)
    book = book_of(0, 1, 2)
    book.note(record(0, 1))
    assert book.note(record(3))
    assert picked(book) == {name(0), name(2), name(3)}
    pass_periods(book, SILENT_PERIODS + 1)
    book.note(record(0, 2))
    assert book.note(record(4))
    assert picked(book) == {name(0), name(4)}
    assert book.sequence_of(name(2)) == -1  # of the silent ones it was the first
    assert book.sequence_of(name(3)) == 0


def test_whom_this_requester_has_something_with_is_not_forgotten(monkeypatch):
    monkeypatch.setattr(capacity_book, "MAX_PEERS", 2)
    book = book_of(0, 1)
    book.engage(name(0), 1)
    assert book.note(record(2))
    assert picked(book) == {name(0), name(2)}
    book.engage(name(2), 1)
    assert not book.note(record(3))
    book.engage(name(0), -1)
    assert book.note(record(3))
    assert picked(book) == {name(2), name(3)}


def test_twenty_thousand_strangers_do_not_keep_an_honest_node_out():
    book = book_of(*range(MAX_PEERS + 500))
    honest = MAX_PEERS + 500
    assert book.note(record(honest))
    others = frozenset(book.peers) - {name(honest)}
    assert book.pick(1, UNIT, seed="s", exclude=others) == (name(honest),)
    assert len(book) == book.slots(UNIT) == MAX_PEERS


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("note"), st.integers(0, 9), st.integers(0, 5), st.integers(0, 4)),
            st.tuples(st.just("period"), st.just(0), st.just(0), st.just(0)),
            st.tuples(st.just("engage"), st.integers(0, 9), st.just(0), st.just(0)),
        ),
        max_size=60,
    )
)
def test_what_is_counted_one_by_one_is_what_is_there(steps):
    """Slots are kept up to date by each change; counted anew from the nodes that are picked they are the same."""
    demands = (UNIT, Demand(cpu_milli=0, memory=0, disk=0, gpus=0), Demand(cpu_milli=2000, memory=1, disk=0, gpus=0))
    book, rooms = CapacityBook(), {}
    for what, number, sequence, size in steps:
        if what == "note":
            if book.note(record(number, sequence, total(size))):
                rooms[name(number)] = total(size)
        elif what == "engage":
            book.engage(name(number), 1)
        else:
            book.period_passed()
        assert len(set(book.peers)) == len(book)
        for demand in demands:
            assert book.slots(demand) == sum(times(demand, rooms[peer]) for peer in book.peers)

"""Capacity records, scores and the plan of dials: pure rules, with time as a parameter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from network.transport import MAX_CAPACITY_BYTES
from network.transport_backoff import LONGEST_S, DialPlan
from network.transport_capacity import MAX_NODES, CapacityRecord, CapacityTable, Reception, read_record, sign_record
from network.transport_score import BAN_S, HALF_LIFE_S, MAX_PEERS, Offence, PeerScores
from storage.errors import VerificationError
from tests.unit.network.transport_world import identity
from verifier.peer_id import PeerId

NODE = identity(1)


@given(st.integers(0, 2**64 - 1), st.binary(max_size=MAX_CAPACITY_BYTES))
def test_a_record_reads_back(sequence: int, payload: bytes) -> None:
    record = read_record(sign_record(NODE, sequence, payload))
    assert record == CapacityRecord(node=NODE.peer, sequence=sequence, payload=payload)


def test_any_changed_byte_is_noticed() -> None:
    data = sign_record(NODE, 7, b"payload")
    for at in range(len(data)):
        with pytest.raises(VerificationError):
            read_record(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])


def test_sizes_are_bounded() -> None:
    with pytest.raises(ValueError, match="larger"):
        sign_record(NODE, 1, bytes(MAX_CAPACITY_BYTES + 1))
    for size in (0, 1, 104, 5000):
        with pytest.raises(VerificationError, match="bytes"):
            read_record(bytes(size))


def record(number: int, sequence: int, payload: bytes = b"") -> CapacityRecord:
    return CapacityRecord(node=PeerId(str(number)), sequence=sequence, payload=payload)


def test_the_latest_wins_and_no_faster_than_once_a_second() -> None:
    table = CapacityTable()
    assert table.take(record(1, 5, b"five"), 0.0) is Reception.NEW
    assert table.take(record(1, 5, b"again"), 10.0) is Reception.STALE
    assert table.take(record(1, 4, b"four"), 10.0) is Reception.STALE
    assert table.take(record(1, 6, b"six"), 0.5) is Reception.STALE
    assert table.take(record(1, 7, b"seven"), 1.0) is Reception.NEW
    assert table.take(record(2, 1, b"other"), 1.0) is Reception.NEW
    assert table.payloads() == {PeerId("1"): b"seven", PeerId("2"): b"other"}


def test_a_table_is_bounded_and_forgets_who_is_silent() -> None:
    table = CapacityTable()
    for number in range(MAX_NODES):
        table.take(record(number, 1), 0.0)
    table.take(record(0, 2), 5.0)
    table.take(record(MAX_NODES, 1), 5.0)
    assert len(table.payloads()) == MAX_NODES
    assert PeerId("0") in table.payloads()
    assert PeerId("1") not in table.payloads()


def test_one_broken_rule_is_a_ban_for_a_while() -> None:
    scores = PeerScores()
    assert not scores.is_banned(NODE.peer, 0.0)
    assert scores.add(NODE.peer, Offence.BROKE_RULES, 0.0)
    assert scores.is_banned(NODE.peer, BAN_S - 1)
    assert not scores.is_banned(NODE.peer, BAN_S)


def test_a_flood_is_a_ban_and_a_slow_drip_is_not() -> None:
    scores = PeerScores()
    flood = [scores.add(NODE.peer, Offence.TOO_MUCH, 0.01 * number) for number in range(101)]
    assert flood.index(True) in (99, 100)
    drip = [scores.add(identity(2).peer, Offence.TOO_MUCH, HALF_LIFE_S / 30 * number) for number in range(10_000)]
    assert not any(drip)


def test_new_identities_do_not_wash_a_ban_away() -> None:
    scores = PeerScores()
    scores.add(NODE.peer, Offence.BROKE_RULES, 0.0)
    for number in range(3 * MAX_PEERS):
        scores.add(PeerId(str(number)), Offence.TOO_MUCH, 1.0)
    assert scores.is_banned(NODE.peer, 1.0)


def test_dials_back_off_and_come_back() -> None:
    plan = DialPlan()
    assert plan.is_due(NODE.peer, 0.0)
    waits = [plan.dialled(NODE.peer, 100.0, 0.5) for _ in range(8)]
    assert waits == [0.75, 1.5, 3.0, 6.0, 12.0, 22.5, 22.5, 22.5]
    assert plan.dialled(NODE.peer, 100.0, 0.999) <= LONGEST_S
    assert not plan.is_due(NODE.peer, 110.0)
    plan.lasted(NODE.peer)
    assert plan.is_due(NODE.peer, 110.0)
    assert plan.dialled(NODE.peer, 110.0, 0.0) == 0.5

import io

import pytest

import storage.car_block_store as module
from storage.car_block_store import CarBlockStore
from storage.cid import CID, DAG_CBOR, IDENTITY, RAW, cid_text, make_cid
from storage.errors import UnavailableError, VerificationError
from storage.varint import encode_varint
from tests.vectors.audit.car_writing import car, header, reachable
from tests.vectors.records.world import World


@pytest.fixture
def blocks():
    world = World()
    record = world.build()
    return record, reachable(world.store.kept, [record])


def opened(data):
    return CarBlockStore(io.BytesIO(data))


def test_it_gives_the_blocks_of_the_file_and_no_others(blocks):
    record, every = blocks
    store = opened(car([record], every))
    assert (store.damage, store.excess, store.strays, store.roots) == ("", "", (), (record,))
    assert [store.get(cid) for cid, _ in every] == [data for _, data in every]
    assert (len(store), store.size) == (len(every), sum(len(data) for _, data in every))
    other = make_cid(RAW, b"other")
    assert not store.has(other)
    with pytest.raises(UnavailableError):
        store.get(other)


def test_bytes_under_another_codec_are_another_block(blocks):
    record, every = blocks
    store = opened(car([record], every))
    raw = CID(b"\x01\x55" + record[2:])
    assert store.has(record)
    assert not store.has(raw)


def test_inline_blocks_are_always_there():
    inline = CID(bytes([1, RAW, IDENTITY, 2]) + b"hi")
    store = opened(header([]))
    assert store.has(inline)
    assert store.get(inline) == b"hi"


def test_it_is_only_read(blocks):
    record, every = blocks
    store = opened(car([record], every))
    with pytest.raises(io.UnsupportedOperation):
        store.put(*every[0])
    with pytest.raises(io.UnsupportedOperation):
        store.put_many(every)


def test_a_file_that_changes_afterwards_is_noticed(blocks):
    record, every = blocks
    stream = io.BytesIO(car([record], every))
    store = CarBlockStore(stream)
    cid, data = every[-1]
    stream.seek(-len(data), io.SEEK_END)
    stream.write(bytes(len(data)))
    with pytest.raises(VerificationError):
        store.get(cid)


def test_strays_are_named(blocks):
    record, every = blocks
    stray = make_cid(RAW, b"stray")
    store = opened(car([record], [(stray, b"stray"), *every]))
    assert store.strays == (stray,)


def test_what_comes_before_the_block_that_links_to_it_is_no_stray(blocks):
    record, every = blocks
    assert opened(car([record], every[::-1])).strays == ()


def test_bounds_leave_it_unknown_not_wrong(blocks, monkeypatch):
    record, every = blocks
    monkeypatch.setattr(module, "MAX_BLOCKS", 3)
    store = opened(car([record], every))
    assert (store.damage, len(store)) == ("", 3)
    assert "more than 3 blocks" in store.excess
    monkeypatch.setattr(module, "MAX_BLOCKS", 1000)
    monkeypatch.setattr(module, "MAX_OPEN_LINKS", 2)
    assert "links" in opened(car([record], every)).excess


def test_a_section_that_claims_to_be_huge_is_damage_and_takes_no_memory():
    root = make_cid(DAG_CBOR, b"\xa0")
    store = opened(header([root]) + encode_varint(1 << 40))
    assert "bad length" in store.damage
    assert cid_text(root) in map(cid_text, store.roots)

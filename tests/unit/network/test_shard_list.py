"""Lists of shards: what is written is read, in one form only, within bounds."""

import dataclasses

import pytest

from network.shard_list import (
    MAX_SHARDS,
    PART_SHARDS,
    ListedShard,
    ShardList,
    ShardPart,
    listed,
    load_shards,
    store_shards,
)
from storage.blocks import MemoryBlockStore
from storage.cid import DAG_CBOR, DAG_PB, make_cid
from storage.errors import UnavailableError, VerificationError
from verifier.model import ModelError, load_node, store_node

DATA = make_cid(DAG_PB, b"what was split")
HOW = {"data": DATA, "pattern": "/*", "base": "", "batch_size": 1}


def shard(number):
    return listed(make_cid(DAG_CBOR, b"task %d" % number), picks=1, first=f"{number}.csv")


@pytest.mark.parametrize("count", [1, PART_SHARDS, PART_SHARDS + 1, 10_000])
def test_what_is_written_is_read(count):
    store = MemoryBlockStore()
    shards = tuple(map(shard, range(count)))
    cid = store_shards(store, iter(shards), **HOW)
    found, read = load_shards(store, cid)
    assert read == shards
    assert (found.count, len(found.parts)) == (count, -(-count // PART_SHARDS))
    assert found.data.startswith("bafybei")


def test_the_same_shards_are_the_same_list():
    one, other = (store_shards(MemoryBlockStore(), map(shard, range(300)), **HOW) for _ in range(2))
    assert one == other != store_shards(MemoryBlockStore(), map(shard, range(299)), **HOW)


def test_more_than_a_node_takes_cannot_be_listed():
    part = (make_cid(DAG_CBOR, b"part"),) * (MAX_SHARDS // PART_SHARDS + 1)
    with pytest.raises(ModelError, match="more than 128 items"):
        ShardList(data="bafkqaaa", pattern="/*", base="", batch_size=1, count=1, parts=part)
    with pytest.raises(ModelError, match="more than 256 items"):
        ShardPart(shards=(shard(1),) * (PART_SHARDS + 1))


def test_a_name_that_cannot_be_shown_is_left_out():
    assert listed(make_cid(DAG_CBOR, b"x"), picks=2, first="a\nb").first is None
    assert listed(make_cid(DAG_CBOR, b"x"), picks=2, first="").first is None


def of_parts(store, *parts, count):
    cids = tuple(store_node(store, ShardPart(shards=part)) for part in parts)
    return store_node(
        store, ShardList(data="bafkqaaa", pattern="/*", base="", batch_size=1, count=count, parts=cids)
    )  # fmt: skip


def test_a_list_in_another_form_is_refused():
    store = MemoryBlockStore()
    few, full = tuple(map(shard, range(3))), tuple(map(shard, range(100, 100 + PART_SHARDS)))
    for cid, problem in (
        (of_parts(store, few, count=2), "not a whole list"),
        (of_parts(store, few, few, count=6), "not a full part"),
        (of_parts(store, full, full, count=2 * PART_SHARDS), "distinct"),
        (of_parts(store, full, (), count=PART_SHARDS), "not a full part"),
        (of_parts(store, count=0), "not a whole list"),
        (store_node(store, ShardPart(shards=few)), "shard-list/1"),
    ):
        with pytest.raises(VerificationError) as caught:
            load_shards(store, cid)
        assert problem in str(caught.value)


def test_a_part_that_is_not_here_is_said():
    store, other = MemoryBlockStore(), MemoryBlockStore()
    cid = store_shards(store, map(shard, range(3)), **HOW)
    store_node(other, load_node(store, cid, ShardList))
    with pytest.raises(UnavailableError):
        load_shards(other, cid)


def test_what_was_split_is_named_and_not_linked():
    """Shards may leave parts of it out, which nobody has to have."""
    node = ShardList(data="bafkqaaa", pattern="/*", base="", batch_size=1, count=0, parts=()).to_node()
    assert isinstance(node["data"], str)
    with pytest.raises(ModelError, match="must be a CID"):
        dataclasses.replace(ShardList.from_node(node), data="what")
    with pytest.raises(ModelError, match="picks"):
        ListedShard(task=DATA, picks=0, first=None)

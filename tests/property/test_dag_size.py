"""What a DAG says of its size, against the bytes that are there: for what our importer makes, and for lies."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import dag_cbor
from storage.blocks import MemoryBlockStore
from storage.cid import DAG_CBOR, DAG_PB, RAW, make_cid
from storage.dag_pb import Link, encode_node
from storage.dag_size import MAX_BYTES, claimed_bytes
from storage.dag_walk import walk
from storage.errors import UnavailableError, UserError, VerificationError
from storage.reserved_block_store import ReservedBlockStore
from storage.unixfs_import import Importer
from tests.vectors.records.world import tree

NAMES = st.sampled_from(["a", "b", "c.txt", "d/e", "d/f/g", "h/i"])


def put(store, codec, block):
    cid = make_cid(codec, block)
    store.put(cid, block)
    return cid


def node(store, value):
    return put(store, DAG_CBOR, dag_cbor.encode(value))


@settings(max_examples=60, deadline=None)
@given(files=st.dictionaries(NAMES, st.binary(max_size=300), max_size=6))
def test_a_tree_claims_at_least_what_it_has(files):
    store = MemoryBlockStore()
    root = tree(store, files)
    blocks = sum(len(data) for _, data in walk(store, root))
    repeated = len(set(files.values())) < len(files)
    assert claimed_bytes(store, root) == blocks or (repeated and claimed_bytes(store, root) > blocks)


def test_a_large_file_is_known_by_its_root_alone():
    whole, root_alone = MemoryBlockStore(), MemoryBlockStore()
    root = Importer(whole).bytes(bytes(range(256)) * (12 << 10)).cid
    root_alone.put(root, whole.get(root))
    assert claimed_bytes(root_alone, root) > 3 << 20


def test_nodes_are_followed_to_their_roots_each_once():
    store = MemoryBlockStore()
    leaf = put(store, RAW, b"x" * 1000)
    inner = node(store, {"leaf": leaf})
    outer = node(store, {"one": inner, "two": inner, "leaf": leaf})
    assert claimed_bytes(store, outer) == 1000 + len(store.get(inner)) + len(store.get(outer))


def test_claims_without_end_end():
    store = MemoryBlockStore()
    links = [Link(cid=make_cid(RAW, b"%d" % n), name=b"%d" % n, tsize=(1 << 63) - 1) for n in range(3)]
    assert claimed_bytes(store, put(store, DAG_PB, encode_node(links, b"\x08\x01"))) == MAX_BYTES


def test_what_is_not_here_or_malformed():
    store = MemoryBlockStore()
    with pytest.raises(UnavailableError):
        claimed_bytes(store, make_cid(RAW, b"gone"))
    with pytest.raises(VerificationError):
        claimed_bytes(store, put(store, DAG_PB, b"nonsense"))


def test_an_inline_block_takes_no_room():
    store = MemoryBlockStore()
    inline = b"\x01\x55\x00\x03abc"
    assert claimed_bytes(store, node(store, {"x": inline})) == len(dag_cbor.encode({"x": inline}))


@settings(max_examples=50, deadline=None)
@given(sizes=st.lists(st.lists(st.integers(0, 9), max_size=4), max_size=6), reserved=st.integers(0, 40))
def test_no_more_is_written_than_was_reserved(sizes, reserved):
    below = MemoryBlockStore()
    store, written = ReservedBlockStore(below, reserved), 0
    for number, batch in enumerate(sizes):
        rows = [(make_cid(RAW, data), data) for data in (b"%d" % number * size for size in batch)]
        size = sum(len(data) for _, data in rows)
        if written + size > reserved:
            with pytest.raises(UserError, match=f"more than the {reserved} bytes that were reserved"):
                store.put_many(rows)
            continue
        store.put_many(rows)
        written += size
        assert all(store.has(cid) and store.get(cid) == data for cid, data in rows)
    assert written == reserved - store.left_bytes
    assert written <= reserved

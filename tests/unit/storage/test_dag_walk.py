import pytest

from storage import dag_cbor
from storage.blocks import MemoryBlockStore
from storage.cid import CID, DAG_CBOR, DAG_PB, IDENTITY, RAW, cid_of_digest, make_cid, split_cid
from storage.dag_walk import links_of, walk
from storage.errors import UnavailableError, VerificationError
from storage.unixfs_import import Importer


@pytest.fixture
def store():
    return MemoryBlockStore()


def cbor(store, node):
    block = dag_cbor.encode(node)
    cid = make_cid(DAG_CBOR, block)
    store.put(cid, block)
    return cid


def test_a_walk_goes_depth_first_through_both_codecs_and_sees_each_block_once(store):
    importer = Importer(store)
    one, two = importer.bytes(b"1"), importer.bytes(b"2")
    inner = importer.directory({"x": one, "y": two})
    outer = importer.directory({"a": one, "b": inner})
    leaf = cbor(store, {"n": 1})
    root = cbor(store, {"b": [two.cid, outer.cid], "a": leaf, "cc": leaf})
    visited = list(walk(store, root))
    assert [cid for cid, _ in visited] == [root, leaf, two.cid, outer.cid, one.cid, inner.cid]
    assert all(store.get(cid) == data for cid, data in visited)


def test_cid_versions_are_one_block_and_codecs_are_two(store):
    importer = Importer(store)
    file = importer.bytes(b"1")
    folder = importer.directory({"f": file})
    digest = split_cid(folder.cid).digest
    as_raw, v0 = cid_of_digest(RAW, digest), CID(b"\x12\x20" + digest)
    root = cbor(store, [as_raw, v0, folder.cid])
    assert [cid for cid, _ in walk(store, root)] == [root, as_raw, v0, file.cid]


def test_identity_cids_are_walked_through(store):
    target = make_cid(RAW, b"t")
    store.put(target, b"t")
    node = dag_cbor.encode([target])
    inline = CID(bytes([1, DAG_CBOR, IDENTITY, len(node)]) + node)
    assert [cid for cid, _ in walk(store, inline)] == [inline, target]


def test_an_identity_cid_cannot_hide_the_block_with_that_digest(store):
    target = make_cid(RAW, b"t")
    store.put(target, b"t")
    impostor = CID(bytes([1, RAW, IDENTITY, 32]) + split_cid(target).digest)
    root = cbor(store, [impostor, target])
    assert [cid for cid, _ in walk(store, root)] == [root, impostor, target]


def test_a_missing_block_ends_the_walk(store):
    root = cbor(store, [make_cid(RAW, b"gone")])
    with pytest.raises(UnavailableError):
        list(walk(store, root))


def test_a_block_that_cannot_be_read_for_links_is_refused(store):
    for codec, data in [(DAG_PB, b"\xff"), (DAG_CBOR, b"\xff"), (0x0129, b"{}")]:
        with pytest.raises(VerificationError):
            links_of(make_cid(codec, data), data)
    assert links_of(make_cid(RAW, b"\xff"), b"\xff") == ()

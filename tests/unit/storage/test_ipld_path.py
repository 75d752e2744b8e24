"""Paths through data into directories: where they lead, what is read on the way, and what is said when they do not."""

import pytest

from storage import dag_cbor
from storage.blocks import MemoryBlockStore
from storage.cid import DAG_CBOR, RAW, cid_text, make_cid
from storage.errors import UnavailableError, UserError, VerificationError
from storage.ipld_path import check_unixfs, content_at, follow
from storage.unixfs_import import Importer
from storage.unixfs_read import UnixfsReader

NAMES = [f"{n:050d}" for n in range(6000)]


class World:
    def __init__(self):
        self.store = MemoryBlockStore()
        importer = Importer(self.store)
        leaf = importer.bytes(b"y")
        many = importer.directory(dict.fromkeys(NAMES, leaf))
        tree = importer.directory(
            {"result": leaf, "many": many, "link": importer.symlink("result"), "big": importer.bytes(bytes(3 << 20))}
        )
        self.leaf, self.many, self.tree = leaf.cid, many.cid, tree.cid
        self.receipt = self.data({"node": "x", "output": self.tree})
        self.record = self.data(
            {
                "v": "record/1",
                "output": self.tree,
                "receipts": [self.receipt, {"deep": [self.leaf]}],
                "rule": {"replication": 3, "none": None, "ok": True, "f": 1.5, "names": []},
                "": self.leaf,
                "a/b": self.leaf,
            }
        )

    def data(self, node):
        block = dag_cbor.encode(node)
        cid = make_cid(DAG_CBOR, block)
        self.store.put(cid, block)
        return cid


@pytest.fixture(scope="module")
def world():
    return World()


@pytest.mark.parametrize(
    ("path", "end", "way"),
    [
        ("", "record", []),
        ("output", "tree", ["record"]),
        ("/output//result/", "leaf", ["record", "tree"]),
        ("receipts/0", "receipt", ["record"]),
        ("receipts/0/output/result", "leaf", ["record", "receipt", "tree"]),
        ("receipts/1/deep/0", "leaf", ["record"]),
    ],
)
def test_a_path_through_data_into_a_directory(world, path, end, way):
    assert content_at(world.store, world.record, path) == getattr(world, end)
    found = follow(world.store, world.record, [name for name in path.split("/") if name])
    assert found.proof == tuple(getattr(world, name) for name in way)
    assert (found.roots[0], found.roots[-1], found.inside) == (world.record, getattr(world, end), ())


def test_only_the_way_is_read_and_it_is_enough(world):
    found = follow(world.store, world.record, ["output", "many", NAMES[77]])
    assert found.proof[:3] == (world.record, world.tree, world.many)
    assert 3 <= len(found.proof) <= 5
    here = MemoryBlockStore()
    here.put_many((cid, world.store.get(cid)) for cid in found.proof)
    assert content_at(here, world.record, f"output/many/{NAMES[77]}") == found.end == world.leaf
    with pytest.raises(UnavailableError):
        content_at(here, world.record, "receipts/0/output")


def test_a_path_may_end_inside_of_a_block(world):
    found = follow(world.store, world.record, ["rule", "replication"])
    assert (found.end, found.inside, found.proof) == (world.record, ("rule", "replication"), ())


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("gone", "{record}/gone: 'gone' is not there: {record} is a map; it has , v, a/b, rule, output, receipts"),
        ("rule/x", "/rule/x: 'x' is not there: {record}/rule is a map; it has f, ok, none, names, replication"),
        ("receipts/2", "/receipts/2: '2' is not there: {record}/receipts is a list of 2; it has items 0 to 1"),
        ("receipts/-1", "'-1' is not there"),
        ("receipts/\N{ARABIC-INDIC DIGIT ONE}", "is not there: {record}/receipts is a list of 2"),
        ("receipts/" + "9" * 5000, "is not there"),
        ("receipts/x", "'x' is not there: {record}/receipts is a list"),
        ("rule/names/0", "is a list of 0; write the path only as far as that"),
        ("v/x", "/v/x: 'x' is not there: {record}/v is a text; write the path only as far as that"),
        ("rule/replication/x", "{record}/rule/replication is a number"),
        ("rule/f/x", "{record}/rule/f is a number"),
        ("rule/none/x", "{record}/rule/none is null"),
        ("rule/ok/x", "{record}/rule/ok is true"),
        ("receipts/0/gone", "{record}/receipts/0/gone: 'gone' is not there: {receipt} is a map; it has node, output"),
        ("output/gone", "/output/gone: 'gone' is not there: {tree} is a directory without it; list the directory with"),
        ("output/many/gone", "'gone' is not there: {many} is a directory without it; .* `bacalhau ls {many}`"),
        ("output/result/x", "'x' is not there: {leaf} is not a directory but a file; write the path only as far"),
        ("output/big/x", "is not a directory but a file"),
        ("output/link/x", "is not a directory but a symlink"),
        ("output/..", r"/output/\.\.: '\.\.' is not a name that a directory can hold; write the path from the CID on"),
        ("rule", "/rule: is a map inside the block {record}, and no link to content; name something with a link"),
        ("receipts", "is a list of 2 inside the block {record}.*; name one of its links: 0, 1/deep/0$"),
        ("v", "/v: is a text inside the block {record}, and no link to content"),
    ],
)
def test_a_path_that_leads_nowhere_says_where_it_broke_off(world, path, said):
    names = {name: cid_text(getattr(world, name)) for name in ("record", "receipt", "tree", "many", "leaf")}
    with pytest.raises(UserError, match=said.format(**names)) as caught:
        content_at(world.store, world.record, path)
    assert caught.value.where == f"{names['record']}/{path}"
    assert caught.value.fix


def test_what_there_is_instead_is_bounded(world):
    wide = world.data({f"{n:0900d}": world.leaf for n in range(1000)})
    for call in (lambda: content_at(world.store, wide, "x"), lambda: check_unixfs(world.store, wide, "w")):
        with pytest.raises(UserError) as caught:
            call()
        assert len(caught.value.fix) < 1000
        assert caught.value.fix.endswith("…, …")


def test_data_is_no_content(world):
    said = "RECORD: is data, not a file or directory; name one of its links: , a/b, output, receipts/0, receipts/1/"
    with pytest.raises(UserError, match=said):
        check_unixfs(world.store, world.record, "RECORD")
    with pytest.raises(UserError, match="is data"):
        check_unixfs(MemoryBlockStore(), world.record, "RECORD")
    for cid in (world.tree, world.leaf):
        check_unixfs(MemoryBlockStore(), cid, "")


def test_a_malformed_block_on_the_way_is_named(world):
    bad = make_cid(DAG_CBOR, b"\xff")
    world.store.put(bad, b"\xff")
    with pytest.raises(VerificationError, match=f"{cid_text(bad)}: not DAG-CBOR"):
        content_at(world.store, bad, "x")
    other = make_cid(0x0129, b"{}")
    world.store.put(other, b"{}")
    with pytest.raises(VerificationError, match=f"{cid_text(other)}: not UnixFS: codec 0x129"):
        content_at(world.store, other, "x")


def test_a_damaged_block_is_not_followed(world):
    store = MemoryBlockStore()
    store.put(world.record, dag_cbor.encode({"output": make_cid(RAW, b"other")}))
    with pytest.raises(VerificationError, match="does not match its CID"):
        content_at(store, world.record, "output")


def test_the_same_names_lead_to_the_same_place_as_in_the_reader(world):
    for path in ("result", "big", f"many/{NAMES[5]}", "link"):
        assert content_at(world.store, world.tree, path) == UnixfsReader(world.store).resolve(world.tree, path)

import io
import re

import pytest

from storage import dag_cbor
from storage.blocks import MemoryBlockStore
from storage.car import read_car
from storage.cid import CID, DAG_CBOR, DAG_PB, IDENTITY, RAW, cid_text, make_cid
from storage.dag_pb import Link, decode_node, encode_node
from storage.dag_walk import walk
from storage.errors import UnavailableError
from storage.gateway_answer import answer
from storage.hamt import FANOUT, MURMUR3_X64_64, bitfield_of, prefix_of
from storage.unixfs_import import Importer
from storage.unixfs_node import NodeType, UnixfsNode, encode_unixfs
from storage.unixfs_profile import V1_2025
from storage.unixfs_read import UnixfsReader
from storage.unixfs_write import BlockBatch, NodeWriter

CAR = "application/vnd.ipld.car"
BLOCK = "application/vnd.ipld.raw"
MIB = 1 << 20


class House:
    """A store with a tree in it, and a way to ask for it."""

    def __init__(self):
        self.store = MemoryBlockStore()
        importer = Importer(self.store)
        big = importer.bytes(b"".join(bytes([n]) * MIB for n in range(4)) + b"tail")
        inner = importer.directory({"f": importer.bytes(b"deep"), "link": importer.symlink("f")})
        names = {f"{n:04}{'x' * 60}": importer.bytes(b"%d" % n) for n in range(3000)}
        many = importer.directory(names)
        self.big, self.inner, self.many = big.cid, inner.cid, many.cid
        self.name = f"{2999:04}{'x' * 60}"
        self.root = importer.directory({"big": big, "in ner": inner, "many": many}).cid
        node = dag_cbor.encode({"output": self.root, "list": [1, {"deep": self.big}], "n": 3})
        self.record = make_cid(DAG_CBOR, node)
        self.store.put(self.record, node)

    def ask(self, path, query="", method="GET", **headers):
        said = answer(
            self.store, method, path.encode(), query.encode(), {k.replace("_", "-"): v for k, v in headers.items()}
        )
        return said.status, dict(said.headers), b"".join(said.body)

    def car(self, path, query=""):
        status, headers, body = self.ask(f"/ipfs/{path}", f"format=car&{query}".rstrip("&"))
        assert status == 200, body
        assert headers["Content-Type"] == f"{CAR}; version=1; order=dfs; dups=n"
        car = read_car(io.BytesIO(body))
        blocks = list(car.blocks)
        assert len(dict(blocks)) == len(blocks)
        return car.roots, dict(blocks)


@pytest.fixture(scope="module")
def house():
    return House()


def test_a_block_as_it_is(house):
    text = cid_text(house.big)
    for query, headers in (("format=raw", {}), ("", {"accept": BLOCK}), ("format=raw", {"accept": CAR})):
        status, said, body = house.ask(f"/ipfs/{text}", query, **headers)
        assert (status, body) == (200, house.store.get(house.big))
        assert said["Content-Type"] == BLOCK
        assert said["Content-Length"] == str(len(body))
        assert said["Content-Disposition"] == f'attachment; filename="{text}.bin"'
        assert said["Etag"] == f'"{text}.raw"'
        assert said["Cache-Control"] == "public, max-age=29030400, immutable"
        assert said["X-Content-Type-Options"] == "nosniff"
        assert said["X-Ipfs-Path"] == f"/ipfs/{text}"
        assert said["X-Ipfs-Roots"] == text
        assert ("Content-Location" in said, "Vary" in said) == ((not query),) * 2


def test_a_whole_dag(house):
    roots, blocks = house.car(cid_text(house.root))
    assert roots == (house.root,)
    assert list(blocks.items()) == list(walk(house.store, house.root))


def test_head_says_the_same_without_a_body(house):
    for query in ("format=raw", "format=car"):
        path = f"/ipfs/{cid_text(house.big)}"
        status, headers, body = house.ask(path, query, method="HEAD")
        assert (status, headers) == house.ask(path, query)[:2]
        assert body == b""


def test_a_path_is_proved(house):
    roots, blocks = house.car(f"{cid_text(house.root)}/in%20ner/f")
    leaf = UnixfsReader(house.store).resolve(house.inner, "f")
    assert roots == (leaf,)
    assert list(blocks) == [house.root, house.inner, leaf]
    _, headers, _ = house.ask(f"/ipfs/{cid_text(house.root)}/in%20ner/f", "format=car")
    assert headers["X-Ipfs-Roots"] == ",".join(map(cid_text, (house.root, house.inner, leaf)))
    assert headers["X-Ipfs-Path"] == f"/ipfs/{cid_text(house.root)}/in%20ner/f"


def test_a_path_through_a_shard_is_proved_by_its_shards_alone(house):
    roots, blocks = house.car(f"{cid_text(house.many)}/{house.name}")
    here = MemoryBlockStore()
    here.put_many(blocks.items())
    assert UnixfsReader(here).resolve(house.many, house.name) == roots[0]
    assert len(blocks) in (2, 3, 4)


def test_a_path_through_data(house):
    record = cid_text(house.record)
    assert list(house.car(f"{record}/output/in ner".replace(" ", "%20"), "dag-scope=block")[1]) == [
        house.record, house.root, house.inner,
    ]  # fmt: skip
    assert house.car(f"{record}/list/1/deep", "dag-scope=block")[0] == (house.big,)
    # A path that ends inside a block ends at the block.
    assert list(house.car(f"{record}/list/0", "dag-scope=block")[1]) == [house.record]


def test_scopes(house):
    root = cid_text(house.root)
    assert list(house.car(root, "dag-scope=block")[1]) == [house.root]
    assert list(house.car(root, "dag-scope=entity")[1]) == [house.root]
    assert list(house.car(cid_text(house.record), "dag-scope=entity")[1]) == [house.record]
    assert list(house.car(f"{root}/big", "dag-scope=entity")[1]) == [house.root, *dict(walk(house.store, house.big))]


def test_the_entity_of_a_sharded_directory_lists_it_and_holds_no_file(house):
    _, blocks = house.car(cid_text(house.many), "dag-scope=entity")
    here = MemoryBlockStore()
    here.put_many(blocks.items())
    assert len(list(UnixfsReader(here).entries(house.many))) == 3000
    assert all(cid[1] != RAW for cid in blocks)


@pytest.mark.parametrize(
    ("span", "leaves"),
    [
        ("0:*", [0, 1, 2, 3, 4]),
        ("0:0", [0]),
        (f"{MIB - 1}:{MIB}", [0, 1]),
        (f"{MIB}:{2 * MIB - 1}", [1]),
        ("-1:*", [4]),
        ("-4:-1", [4]),
        ("-5:*", [3, 4]),
        (f"{MIB}:-{2 * MIB + 5}", [1]),
        ("-99999999999:0", [0]),
        (f"{4 * MIB}:99999999999", [4]),
        ("99999999999:*", []),
        ("0:-99999999999", []),
    ],
)
def test_byte_ranges_take_the_leaves_that_they_touch(house, span, leaves):
    _, blocks = house.car(cid_text(house.big), f"entity-bytes={span}")
    everything = list(dict(walk(house.store, house.big)))
    assert list(blocks) == [everything[0], *(everything[1 + n] for n in leaves)]


def test_byte_ranges_of_what_has_no_bytes_are_ignored(house):
    assert (
        house.car(cid_text(house.root), "entity-bytes=0:5")[1] == house.car(cid_text(house.root), "dag-scope=entity")[1]
    )


def test_tags_tell_answers_apart_and_match(house):
    path = f"/ipfs/{cid_text(house.big)}"
    queries = ["format=raw", "format=car", *(f"format=car&dag-scope={one}" for one in ("block", "entity"))]
    queries += ["format=car&entity-bytes=0:1", "format=car&entity-bytes=0:2"]
    tags = [house.ask(path, query)[1]["Etag"] for query in queries]
    other_way = house.ask(f"/ipfs/{cid_text(house.root)}/big", "format=car")[1]["Etag"]
    assert len({*tags, other_way}) == len(tags) + 1
    assert tags[1] == house.ask(path, "format=car&dag-scope=all")[1]["Etag"]
    for query, tag in zip(queries, tags, strict=True):
        for said in (tag, f'"other", W/{tag}', "*"):
            status, headers, body = house.ask(path, query, if_none_match=said)
            assert (status, body, headers["Etag"]) == (304, b"", tag)
        assert house.ask(path, query, if_none_match='"other"')[0] == 200


def test_the_probe_is_answered(house):
    assert house.ask("/ipfs/bafkqaaa", "format=raw")[::2] == (200, b"")
    assert house.ask("/ipfs/bafkqaaa", "format=car", method="HEAD")[0] == 200
    inline = CID(bytes([1, RAW, IDENTITY, 0]))
    assert house.car("bafkqaaa") == ((inline,), {})


GONE = cid_text(make_cid(RAW, b"gone"))
BIG = "{big}"
BAD_SPANS = ("", "1", ":", "a:b", "*:1", "5:4", "-1:-2", "1:1" + "0" * 30)
REFUSALS = [
    ("/", "", {}, 404),
    ("/ipfs", "format=raw", {}, 404),
    ("/ipns/x", "format=raw", {}, 404),
    ("/ipfs/nonsense", "format=raw", {}, 400),
    ("/ipfs/%ff", "format=raw", {}, 400),
    (f"/ipfs/{BIG}", "", {}, 400),
    (f"/ipfs/{BIG}", "", {"accept": "text/html"}, 406),
    (f"/ipfs/{BIG}", "", {"accept": "*/*"}, 406),
    (f"/ipfs/{BIG}", "", {"accept": f"{BLOCK};q=0"}, 406),
    (f"/ipfs/{BIG}", "format=tar", {"accept": BLOCK}, 406),
    (f"/ipfs/{BIG}", "", {"accept": f"{CAR}; version=2"}, 406),
    (f"/ipfs/{BIG}", "format=car&car-version=2", {}, 400),
    (f"/ipfs/{BIG}", "format=car&car-order=bfs", {}, 400),
    (f"/ipfs/{BIG}", "format=car&dag-scope=some", {}, 400),
    *((f"/ipfs/{BIG}", f"format=car&entity-bytes={bad}", {}, 400) for bad in BAD_SPANS),
    (f"/ipfs/{BIG}", "format=%ff", {}, 400),
    (f"/ipfs/{BIG}", "&".join(f"a{n}=1" for n in range(99)), {}, 400),
    (f"/ipfs/{BIG}", "format=raw", {"service-worker": "script"}, 400),
    ("/ipfs/{root}/big", "format=raw", {}, 400),
    ("/ipfs/{root}/none", "format=car", {}, 404),
    ("/ipfs/{root}/big/x", "format=car", {}, 404),
    ("/ipfs/{root}/..", "format=car", {}, 404),
    ("/ipfs/{record}/none", "format=car", {}, 404),
    ("/ipfs/{record}/list/9", "format=car", {}, 404),
    ("/ipfs/{record}/list/-1", "format=car", {}, 404),
    (f"/ipfs/{GONE}", "format=raw", {}, 404),
    (f"/ipfs/{GONE}", "format=car", {}, 404),
    (f"/ipfs/{GONE}/a", "format=car", {}, 404),
    (f"/ipfs/{GONE}", "format=raw", {"cache-control": "only-if-cached"}, 412),
    ("/ipfs/{root}" + "/a" * 65, "format=car", {}, 400),
    ("/ipfs/{root}/" + "a" * 5000, "format=car", {}, 414),
    (f"/ipfs/{BIG}", "x=" + "a" * 5000, {}, 414),
]  # fmt: skip


@pytest.mark.parametrize(("path", "query", "headers", "status"), REFUSALS)
def test_refusals(house, path, query, headers, status):
    for name in ("big", "root", "record"):
        path = path.replace(f"{{{name}}}", cid_text(getattr(house, name)))
    for method in ("GET", "HEAD"):
        said = answer(house.store, method, path.encode(), query.encode(), headers)
        body = b"".join(said.body)
        assert said.status == status
        assert dict(said.headers)["Cache-Control"] == "no-store"
        assert (body != b"") == (method == "GET")


def test_only_reading_is_answered(house):
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        status, headers, _ = house.ask(f"/ipfs/{cid_text(house.big)}", "format=raw", method=method)
        assert (status, headers["Allow"]) == (405, "GET, HEAD")


def test_the_heavier_choice_of_an_accept_header_wins(house):
    path = f"/ipfs/{cid_text(house.big)}"
    for accept, kind in (
        (f"{BLOCK};q=0.5, {CAR}", CAR),
        (f"{BLOCK}, {CAR};q=0.5", BLOCK),
        (f"{CAR};order=foo, {CAR};order=dfs;dups=y;q=0.5", CAR),
        (f"text/html, {BLOCK.upper()};q=0.1", BLOCK),
    ):
        assert house.ask(path, accept=accept)[1]["Content-Type"].startswith(kind)


def test_a_name_for_the_file_cannot_break_the_header(house):
    _, headers, _ = house.ask(f"/ipfs/{cid_text(house.big)}", "format=raw&filename=a%22%0d%0aSet-Cookie:%20x%C3%A9.bin")
    said = headers["Content-Disposition"]
    assert re.fullmatch(r"attachment; filename=\"[\w. -]+\"; filename\*=UTF-8''[\w.%-]+", said, re.ASCII)


def test_a_path_cannot_break_the_headers(house):
    status, headers, _ = house.ask(f"/ipfs/{cid_text(house.record)}/%0d%0aSet-Cookie:x/..%2f", "format=car")
    assert status == 404
    assert all(re.fullmatch(r"[ -~]*", value) for value in headers.values())


def test_a_car_breaks_off_where_a_block_is_missing():
    house, part = House(), MemoryBlockStore()
    part.put_many(list(walk(house.store, house.root))[:4])
    said = answer(part, "GET", f"/ipfs/{cid_text(house.root)}".encode(), b"format=car", {})
    assert said.status == 200
    with pytest.raises(UnavailableError):
        list(said.body)


def test_a_damaged_store_is_no_missing_block(house):
    cid = make_cid(RAW, b"good")
    house.store.put(cid, b"bad")
    assert house.ask(f"/ipfs/{cid_text(cid)}", "format=raw")[0] == 500


@pytest.fixture
def twins(house):
    """A directory that has one file of five leaves, two of them the same, under two names."""
    importer = Importer(house.store)
    file = importer.bytes(b"".join(bytes([n]) * MIB for n in (1, 2, 1, 3)) + b"end")
    return importer.directory({"a": file, "b": file}).cid, file.cid, [link.cid for link in links(house.store, file.cid)]


def links(store, cid):
    return decode_node(store.get(cid)).links


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("format=car&car-dups=y", {}),
        ("format=car&car-dups=y", {"accept": f"{CAR}; dups=n"}),
        ("format=car", {"accept": f"{CAR}; version=1; order=dfs; dups=y"}),
        ("car-dups=y", {"accept": f"{CAR};dups=n;q=0.5, {BLOCK};q=0.4"}),
        ("", {"accept": f"text/html, {CAR}; order=dfs; dups=y"}),
    ],
)
def test_blocks_are_given_as_often_as_they_are_met_to_whom_asks_for_it(house, twins, query, headers):
    root, file, leaves = twins
    status, said, body = house.ask(f"/ipfs/{cid_text(root)}", query, **headers)
    assert (status, said["Content-Type"]) == (200, f"{CAR}; version=1; order=dfs; dups=y")
    assert [cid for cid, _ in read_car(io.BytesIO(body)).blocks] == [root, *[file, *leaves] * 2]
    # A cache must know what else would have given something else.
    assert ("Vary" in said) == ("car-dups" not in query or "format" not in query)
    if "Content-Location" in said:
        assert said["Content-Location"] == f"/ipfs/{cid_text(root)}?format=car&car-dups=y"
    once = house.ask(f"/ipfs/{cid_text(root)}", "format=car&car-dups=n")[1]
    assert once["Etag"] != said["Etag"]
    assert once["Content-Type"].endswith("dups=n")


def test_repeats_are_those_of_the_scope(house, twins):
    root, file, leaves = twins

    def asked(path, query):
        body = house.ask(f"/ipfs/{path}", f"format=car&car-dups=y&{query}")[2]
        return [cid for cid, _ in read_car(io.BytesIO(body)).blocks]

    assert asked(f"{cid_text(root)}/b", "dag-scope=entity") == [root, file, *leaves]
    assert asked(cid_text(file), f"entity-bytes={MIB}:{3 * MIB - 1}") == [file, leaves[1], leaves[2]]
    assert asked(cid_text(root), "dag-scope=entity") == [root]
    assert asked(cid_text(CID(bytes([1, RAW, IDENTITY, 3]) + b"abc")), "") == []


def hostile_file(store, levels):
    """A file of 100**levels bytes in one block a level."""
    batch = BlockBatch(store)
    with batch.open():
        writer = NodeWriter(batch, V1_2025)
        entry = writer.leaf(b"x")
        for _ in range(levels):
            entry = writer.parent([entry] * 100)
    return entry.cid


def hostile_shard(store, levels):
    """A shard of which every slot leads to one shard below: 256**levels ways."""
    cid = None
    for _ in range(levels):
        names = [prefix_of(slot) for slot in range(FANOUT)]
        below = [] if cid is None else [Link(cid=cid, name=name, tsize=1) for name in names]
        bits = bitfield_of(range(len(below)))
        node = UnixfsNode(type=NodeType.SHARD, data=bits, hash_type=MURMUR3_X64_64, fanout=FANOUT)
        block = encode_node(below, encode_unixfs(node))
        cid = make_cid(DAG_PB, block)
        store.put(cid, block)
    return cid


@pytest.mark.parametrize(
    ("make", "levels", "query"),
    [
        (hostile_file, 8, "dag-scope=entity"),
        (hostile_file, 8, "dag-scope=all"),
        (hostile_file, 8, f"entity-bytes=3:{10**16 - 5}"),
        (hostile_shard, 20, "dag-scope=entity"),
        (hostile_shard, 20, "dag-scope=all"),
    ],
)
def test_few_blocks_that_stand_for_many_are_given_once_each(make, levels, query):
    """Entered as often as they are met they would take years, in which nothing is sent that could be broken off."""
    house = House()
    cid = make(house.store, levels)
    expected = dict(walk(house.store, cid))
    assert house.car(cid_text(cid), query)[1] == expected


@pytest.mark.parametrize("query", ["dag-scope=entity", "dag-scope=all"])
@pytest.mark.parametrize("make", [hostile_file, hostile_shard])
def test_repeats_have_a_bound_at_which_the_answer_breaks_off(make, query, monkeypatch):
    monkeypatch.setattr("storage.gateway_blocks.MAX_REPEATED_BYTES", 1 << 20)
    store = MemoryBlockStore()
    path = f"/ipfs/{cid_text(make(store, 8))}".encode()
    said = answer(store, "GET", path, f"format=car&car-dups=y&{query}".encode(), {})
    sizes: list[int] = []
    with pytest.raises(UnavailableError, match="repeats more than 1048576 bytes"):
        sizes.extend(map(len, said.body))
    assert sum(sizes) < 2 << 20

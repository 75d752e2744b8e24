"""Whatever is sent to the gateway, it answers; and its headers are headers."""

import dataclasses
import io
import re

from hypothesis import example, given
from hypothesis import strategies as st

from storage import dag_cbor
from storage.blocks import MemoryBlockStore
from storage.car import read_car
from storage.cid import DAG_CBOR, cid_text, make_cid
from storage.dag_walk import walk
from storage.gateway_answer import answer
from storage.unixfs_import import Importer
from storage.unixfs_profile import LEGACY
from storage.unixfs_read import UnixfsReader

SMALL = dataclasses.replace(LEGACY, name="test", chunk_bytes=1000, links_per_node=4)
TINY = dataclasses.replace(LEGACY, name="tiny", chunk_bytes=2, links_per_node=2)
STORE = MemoryBlockStore()
_IMPORTER = Importer(STORE)
FILE = _IMPORTER.bytes(bytes(range(200)) * 50).cid
TREE = _IMPORTER.directory({"a": _IMPORTER.bytes(b"a"), "ü": _IMPORTER.directory({"b": _IMPORTER.bytes(b"b")})}).cid
_NODE = dag_cbor.encode({"x": [TREE, 1], "": FILE})
RECORD = make_cid(DAG_CBOR, _NODE)
STORE.put(RECORD, _NODE)

CIDS = st.sampled_from([cid_text(cid) for cid in (FILE, TREE, RECORD)] + ["bafkqaaa", "Qm", ""])
NAMES = (
    st.sampled_from(["a", "ü", "%C3%BC", "b", "x", "0", "9" * 40, "..", "%2F", "%00", "%0d%0a", "%ff", ""]) | st.text()
)
PATHS = st.builds(
    lambda cid, names: "/".join(["/ipfs", cid, *names]).encode("utf-8", "replace"), CIDS, st.lists(NAMES, max_size=4)
)
PAIRS = st.tuples(
    st.sampled_from(["format", "dag-scope", "entity-bytes", "car-version", "car-order", "car-dups", "filename"]),
    st.sampled_from(["raw", "car", "all", "entity", "block", "0:*", "-1:*", "5:9", "1", "dfs", "n", "a\r\nb", "ü"])
    | st.text(),
)
QUERIES = st.lists(PAIRS, max_size=4).map(
    lambda pairs: "&".join(f"{k}={v}" for k, v in pairs).encode("utf-8", "replace")
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "accept": st.sampled_from(["application/vnd.ipld.raw", "application/vnd.ipld.car; order=dfs", "*/*"])
        | st.text(),
        "if-none-match": st.text(),
        "cache-control": st.just("only-if-cached"),
    },
)


@given(PATHS | st.binary(), QUERIES | st.binary(), HEADERS, st.sampled_from(["GET", "HEAD", "POST"]))
@example(b"/ipfs/" + cid_text(FILE).encode(), b"format=car&entity-bytes=3:*", {}, "GET")
def test_every_request_is_answered(path, query, headers, method):
    said = answer(STORE, method, path, query, headers)
    body = b"".join(said.body)
    assert said.status in (200, 304, 400, 404, 405, 406, 412, 414)
    assert all(re.fullmatch(r"[!-~][ -~]*", value) for _, value in said.headers)
    assert (body == b"") >= (method == "HEAD" or said.status == 304)
    kind = dict(said.headers).get("Content-Type", "")
    if said.status == 200 and method == "GET" and "car" in kind:
        car = read_car(io.BytesIO(body))
        assert all(STORE.get(cid) == data for cid, data in car.blocks)


def exactly(stream, size):
    """Read `size` bytes without reading ahead."""
    while size:
        part = stream.read(size)
        size -= len(part)
        yield part


@given(st.integers(-60_000, 60_000), st.one_of(st.none(), st.integers(-60_000, 60_000)))
@example(first=1, last=-50_000)
def test_a_byte_range_can_be_read_from_its_blocks(first, last):
    """The blocks of a range are enough to read it, and no leaf is sent that it does not touch."""
    store = MemoryBlockStore()
    importer = Importer(store, SMALL)
    data = bytes(n % 251 for n in range(50_000))
    root = importer.bytes(data).cid
    query = f"format=car&entity-bytes={first}:{'*' if last is None else last}".encode()
    said = answer(store, "GET", f"/ipfs/{cid_text(root)}".encode(), query, {})
    if said.status == 400:
        assert last is not None
        assert last < first
        return
    blocks = dict(read_car(io.BytesIO(b"".join(said.body))).blocks)
    here = MemoryBlockStore()
    here.put_many(blocks.items())
    start = first if first >= 0 else max(0, len(data) + first)
    end = len(data) if last is None else min(len(data), (last if last >= 0 else len(data) + last) + 1)
    with UnixfsReader(here).open(root) as stream:
        stream.raw.seek(start)
        if end > start:
            assert b"".join(exactly(stream.raw, end - start)) == data[start:end]
    leaves = sum(cid[1] == 0x55 for cid in blocks)
    assert leaves == (0 if end <= start else (end - 1) // 1000 - start // 1000 + 1)
    assert len(blocks) <= len(list(walk(store, root)))


@given(
    st.lists(st.sampled_from([b"aa", b"bb", b"cc"]), min_size=1, max_size=40),
    st.sampled_from(["entity-bytes=0:*", "dag-scope=all"])
    | st.tuples(st.integers(0, 80), st.integers(0, 80)).map(lambda ends: f"entity-bytes={min(ends)}:{max(ends)}"),
)
def test_blocks_given_once_are_those_given_as_often_as_they_are_met(chunks, query):
    """What is passed over because it was entered before would have given nothing new."""
    store = MemoryBlockStore()
    root = Importer(store, TINY).bytes(b"".join(chunks)).cid

    def blocks(dups):
        said = answer(
            store, "GET", f"/ipfs/{cid_text(root)}".encode(), f"format=car&car-dups={dups}&{query}".encode(), {}
        )
        return [cid for cid, _ in read_car(io.BytesIO(b"".join(said.body))).blocks]

    assert blocks("n") == list(dict.fromkeys(blocks("y")))

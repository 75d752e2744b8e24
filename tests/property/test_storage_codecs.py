"""Codecs: what is encoded decodes to the same, and whatever decodes encodes to the same bytes."""

import io

from hypothesis import given, settings
from hypothesis import strategies as st

from storage import dag_cbor
from storage.car import read_car, write_car
from storage.cid import (
    CID,
    DAG_CBOR,
    DAG_PB,
    RAW,
    cid_text,
    codec_of,
    make_cid,
    parse_cid,
    split_cid,
    verify_block,
)
from storage.dag_pb import Link, decode_node, encode_node
from storage.errors import VerificationError
from storage.unixfs_node import NodeType, UnixfsNode, decode_unixfs, encode_unixfs
from storage.varint import decode_varint, encode_varint

deterministic = settings(deadline=None, derandomize=True, max_examples=150)

blocks = st.binary(max_size=40)
cids = st.builds(make_cid, st.sampled_from([RAW, DAG_PB, DAG_CBOR, 0x0129]), blocks) | st.builds(
    lambda data: CID(b"\x12\x20" + split_cid(make_cid(DAG_PB, data)).digest), blocks
)
numbers = st.integers(0, (1 << 63) - 1)


def accepted(decode, data):
    """Return what `decode` makes of any bytes, None if it refuses them; every other error is a failure."""
    try:
        return decode(data)
    except VerificationError:
        return None


@deterministic
@given(numbers, st.binary(max_size=5), st.binary(max_size=5))
def test_varints_round_trip_between_other_bytes(value, before, after):
    data = before + encode_varint(value) + after
    assert decode_varint(data, len(before)) == (value, len(data) - len(after))


@deterministic
@given(st.binary(max_size=12))
def test_a_varint_that_is_accepted_is_the_minimal_one(data):
    found = accepted(decode_varint, data)
    if found is not None:
        value, end = found
        assert encode_varint(value) == data[:end]


@deterministic
@given(cids)
def test_cids_round_trip_through_text(cid):
    assert parse_cid(cid_text(cid)) == cid


@deterministic
@given(st.sampled_from([RAW, DAG_PB, DAG_CBOR]), blocks, blocks)
def test_a_block_matches_only_its_own_cid(codec, data, other):
    cid = make_cid(codec, data)
    assert codec_of(cid) == codec
    verify_block(cid, data)
    if other != data:
        assert accepted(lambda block: verify_block(cid, block) or True, other) is None


@deterministic
@given(cids, st.binary(max_size=8))
def test_a_cid_ends_where_it_ends(cid, tail):
    assert split_cid(cid + tail).end == len(cid)


links = st.builds(lambda cid, name, tsize: Link(cid=cid, name=name, tsize=tsize), cids, st.binary(max_size=6), numbers)


@deterministic
@given(st.lists(links, max_size=8), st.none() | blocks)
def test_dag_pb_nodes_round_trip_with_links_sorted(some, data):
    node = decode_node(encode_node(some, data))
    assert list(node.links) == sorted(some, key=lambda link: link.name)
    assert node.data == data
    assert encode_node(node.links, node.data) == encode_node(some, data)


@deterministic
@given(st.binary(max_size=60))
def test_dag_pb_refuses_or_reads_any_bytes(data):
    accepted(decode_node, data)


@deterministic
@given(st.lists(links, min_size=1, max_size=3), st.none() | blocks, st.data())
def test_a_changed_byte_of_a_dag_pb_node_is_another_node_or_none(some, data, draw):
    block = bytearray(encode_node(some, data))
    before = decode_node(bytes(block))
    at = draw.draw(st.integers(0, len(block) - 1))
    block[at] ^= draw.draw(st.integers(1, 255))
    assert accepted(decode_node, bytes(block)) != before


unixfs_nodes = st.builds(
    lambda kind, data, filesize, sizes, hash_type, fanout, mode: UnixfsNode(
        type=kind, data=data, filesize=filesize, blocksizes=sizes, hash_type=hash_type, fanout=fanout, mode=mode
    ),
    st.sampled_from(NodeType),
    st.none() | blocks,
    st.none() | numbers,
    st.lists(numbers, max_size=5).map(tuple),
    st.none() | numbers,
    st.none() | numbers,
    st.none() | numbers,
)


@deterministic
@given(unixfs_nodes)
def test_unixfs_messages_round_trip(node):
    assert decode_unixfs(encode_unixfs(node)) == node


@deterministic
@given(st.binary(max_size=60))
def test_unixfs_refuses_or_reads_any_bytes(data):
    accepted(decode_unixfs, data)


leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | cids
)
nodes = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=15,
)


@deterministic
@given(nodes)
def test_dag_cbor_round_trips(node):
    data = dag_cbor.encode(node)
    again = dag_cbor.decode(data)
    assert again == node
    assert dag_cbor.encode(again) == data


@deterministic
@given(st.binary(max_size=40))
def test_dag_cbor_that_is_accepted_is_canonical(data):
    node = accepted(lambda block: (dag_cbor.decode(block),), data)
    if node is not None:
        assert dag_cbor.encode(node[0]) == data


@deterministic
@given(st.lists(cids, max_size=3), st.lists(st.tuples(st.sampled_from([RAW, DAG_PB]), blocks), max_size=6))
def test_car_files_round_trip(roots, contents):
    sections = [(make_cid(codec, data), data) for codec, data in contents]
    stream = io.BytesIO()
    write_car(stream, roots, sections)
    stream.seek(0)
    car = read_car(stream)
    assert car.roots == tuple(roots)
    assert list(car.blocks) == sections


@deterministic
@given(st.lists(st.tuples(st.just(RAW), st.binary(min_size=1, max_size=9)), min_size=1, max_size=3), st.data())
def test_a_changed_byte_of_a_car_is_noticed(contents, draw):
    sections = [(make_cid(codec, data), data) for codec, data in contents]
    stream = io.BytesIO()
    write_car(stream, [sections[0][0]], sections)
    data = bytearray(stream.getvalue())
    data[draw.draw(st.integers(0, len(data) - 1))] ^= draw.draw(st.integers(1, 255))

    def read(changed):
        car = read_car(io.BytesIO(changed))
        return car.roots, list(car.blocks)

    assert accepted(read, bytes(data)) != ((sections[0][0],), sections)

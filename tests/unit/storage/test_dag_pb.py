import pytest

from storage.cid import RAW, make_cid
from storage.dag_pb import MAX_NODE_BYTES, Link, PbNode, decode_node, encode_node
from storage.errors import VerificationError
from storage.protobuf import bytes_field, varint_field

A = make_cid(RAW, b"a")
B = make_cid(RAW, b"b")
LINK_A = bytes_field(1, A) + bytes_field(2, b"a") + varint_field(3, 1)


def test_links_are_sorted_by_bytes_and_come_before_the_data():
    block = encode_node([Link(cid=B, name=b"b", tsize=2), Link(cid=A, name=b"a", tsize=1)], b"\x08\x01")
    link_b = bytes_field(1, B) + bytes_field(2, b"b") + varint_field(3, 2)
    assert block == bytes_field(2, LINK_A) + bytes_field(2, link_b) + b"\x0a\x02\x08\x01"


def test_unnamed_links_keep_their_order():
    block = encode_node([Link(cid=B), Link(cid=A), Link(cid=B)], None)
    assert [link.cid for link in decode_node(block).links] == [B, A, B]


@pytest.mark.parametrize("data", [None, b"", b"x"])
def test_no_data_and_empty_data_are_different_nodes(data):
    assert decode_node(encode_node([], data)).data == data


def test_the_empty_block_is_the_node_without_anything():
    assert decode_node(b"") == PbNode(links=(), data=None)


def test_data_may_come_first_and_a_link_may_lack_name_and_size():
    node = decode_node(bytes_field(1, b"x") + bytes_field(2, bytes_field(1, A)))
    assert node == PbNode(links=(Link(cid=A, name=b"", tsize=0),), data=b"x")


MALFORMED = {
    "truncated tag": b"\x80",
    "truncated field": b"\x0a\x05abc",
    "unknown field": varint_field(3, 1),
    "data as a number": varint_field(1, 1),
    "data twice": bytes_field(1, b"x") * 2,
    "data between links": bytes_field(2, LINK_A) + bytes_field(1, b"x") + bytes_field(2, LINK_A),
    "link without a CID": bytes_field(2, bytes_field(2, b"a")),
    "link fields out of order": bytes_field(2, bytes_field(2, b"a") + bytes_field(1, A)),
    "link field twice": bytes_field(2, bytes_field(1, A) * 2),
    "link with an unknown field": bytes_field(2, LINK_A + varint_field(4, 1)),
    "link whose CID has a tail": bytes_field(2, bytes_field(1, A + b"x")),
    "link whose CID is not one": bytes_field(2, bytes_field(1, b"hello")),
    "size as bytes": bytes_field(2, bytes_field(1, A) + bytes_field(3, b"\x01")),
    "wire type 3": b"\x0b",
    "non-minimal length": b"\x0a\x81\x00x",
    "over 2 MiB": bytes_field(1, bytes(MAX_NODE_BYTES)),
}


@pytest.mark.parametrize("block", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_blocks_are_refused(block):
    with pytest.raises(VerificationError):
        decode_node(block)

import pytest

from storage.errors import VerificationError
from storage.protobuf import bytes_field, varint_field
from storage.unixfs_names import check_name
from storage.unixfs_node import NodeType, UnixfsNode, decode_unixfs, encode_unixfs


def test_fields_are_written_in_the_order_of_their_numbers():
    node = UnixfsNode(type=NodeType.FILE, data=b"ab", filesize=5, blocksizes=(1, 2), mode=0o644)
    assert encode_unixfs(node).hex() == "0802" + "12026162" + "1805" + "2001" + "2002" + "38a403"
    assert decode_unixfs(encode_unixfs(node)) == node


def test_a_shard_has_its_hash_and_fanout():
    node = UnixfsNode(type=NodeType.SHARD, data=b"\x01", hash_type=0x22, fanout=256)
    assert encode_unixfs(node).hex() == "0805" + "120101" + "2822" + "308002"


def test_packed_block_sizes_and_unknown_fields_are_read():
    message = varint_field(1, 2) + bytes_field(4, b"\x01\x80\x01") + bytes_field(8, b"\x08\x05") + b"\x4d1234"
    assert decode_unixfs(message) == UnixfsNode(type=NodeType.FILE, blocksizes=(1, 128))


MALFORMED = {
    "empty": b"",
    "no type": varint_field(3, 1),
    "unknown type": varint_field(1, 6),
    "type twice": varint_field(1, 1) * 2,
    "data twice": varint_field(1, 2) + bytes_field(2, b"x") * 2,
    "data as a number": varint_field(1, 2) + varint_field(2, 1),
    "size as bytes": varint_field(1, 2) + bytes_field(3, b"\x01"),
    "block sizes fixed": varint_field(1, 2) + b"\x25\x01\x00\x00\x00",
    "packed sizes truncated": varint_field(1, 2) + bytes_field(4, b"\x80"),
    "truncated": varint_field(1, 2) + b"\x12\x05a",
}


@pytest.mark.parametrize("message", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_messages_are_refused(message):
    with pytest.raises(VerificationError):
        decode_unixfs(message)


@pytest.mark.parametrize("name", [b"", b".", b"..", b"a/b", b"/", b"a\0", b"\xff", "\udcff", "..", "a/b"])
def test_unsafe_names_are_refused(name):
    with pytest.raises(VerificationError):
        check_name(name)


@pytest.mark.parametrize("name", ["a", "...", ".hidden", "é", "e\u0301", "\U0001f41f", "a b", "-rf", "a\nb", "\u202e"])
def test_other_names_are_kept_as_they_are(name):
    assert check_name(name.encode()) == name

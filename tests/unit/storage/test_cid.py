import pytest

from storage.cid import (
    CID,
    DAG_PB,
    IDENTITY,
    RAW,
    SHA2_256,
    check_cid,
    cid_of_digest,
    cid_text,
    codec_of,
    inline_data,
    is_cid_text,
    make_cid,
    parse_cid,
    split_cid,
    verify_block,
)
from storage.errors import UserError, VerificationError
from storage.varint import decode_varint, encode_varint

HELLO = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"


def test_a_known_block_has_its_known_cid():
    cid = make_cid(RAW, b"hello world")
    assert cid_text(cid) == HELLO
    assert parse_cid(HELLO) == cid
    assert codec_of(cid) == RAW


def test_cidv0_is_read_and_written_as_base58():
    text = "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn"
    cid = parse_cid(text)
    assert split_cid(cid).version == 0
    assert codec_of(cid) == DAG_PB
    assert cid_text(cid) == text
    assert split_cid(parse_cid("bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354")).digest == cid[2:]


@pytest.mark.parametrize("text", ["", "hello", "bafk", HELLO[:-1], HELLO + "a", "Qm" + "0" * 44, "z", "b", "\0", "é"])
def test_what_is_no_cid_is_the_users_fault(text):
    assert not is_cid_text(text)
    with pytest.raises(UserError, match="not a CID"):
        parse_cid(text)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01",
        b"\x01\x55",
        b"\x01\x55\x12",
        b"\x01\x55\x12\x20short",
        b"\x12\x20short",
        b"\x02\x55\x00\x00",
        b"\x00\x55\x00\x00",
        b"\x01\xd5\x00\x00\x00",  # the codec is not minimal
        bytes([1, RAW, 0x12]) + encode_varint(1 << 40),
        make_cid(RAW, b"x") + b"\0",
    ],
)
def test_malformed_binary_cids_are_refused(data):
    with pytest.raises(VerificationError):
        check_cid(data)


def test_a_cid_is_taken_apart_the_same_at_the_end_of_bytes_and_inside_them():
    short, long = cid_of_digest(RAW, bytes(range(32))), cid_of_digest(0x0129, bytes(range(32)))
    for cid in (short, long):
        alone, inside = split_cid(cid), split_cid(b"before" + cid + b"after", 6)
        assert (alone.version, alone.hash_code, alone.digest) == (1, SHA2_256, bytes(range(32)))
        assert (inside.codec, inside.digest, inside.end - 6) == (alone.codec, alone.digest, alone.end)
        assert alone.end == len(cid)
        for size in range(len(cid)):
            with pytest.raises(VerificationError):
                split_cid(cid[:size])
    assert (split_cid(short).codec, split_cid(long).codec) == (RAW, 0x0129)


def test_identity_cids_hold_their_block():
    cid = CID(bytes([1, RAW, IDENTITY, 2]) + b"hi")
    assert inline_data(cid) == b"hi"
    assert inline_data(make_cid(RAW, b"hi")) is None
    verify_block(cid, b"hi")
    with pytest.raises(VerificationError):
        verify_block(cid, b"ho")


def test_a_block_that_does_not_match_or_cannot_be_checked_is_refused():
    with pytest.raises(VerificationError, match="does not match") as caught:
        verify_block(make_cid(RAW, b"a"), b"b")
    assert caught.value.where == cid_text(make_cid(RAW, b"a"))
    with pytest.raises(VerificationError, match="hash function 0x1e"):
        verify_block(CID(bytes([1, RAW, 0x1E, 1]) + b"x"), b"x")


def test_a_digest_of_another_length_is_our_bug():
    with pytest.raises(ValueError, match="32 bytes"):
        cid_of_digest(RAW, b"short")


@pytest.mark.parametrize(
    ("value", "encoded"), [(0, "00"), (127, "7f"), (128, "8001"), ((1 << 63) - 1, "ff" * 8 + "7f")]
)
def test_varints_are_those_of_the_specification(value, encoded):
    assert encode_varint(value).hex() == encoded
    assert decode_varint(bytes.fromhex(encoded)) == (value, len(encoded) // 2)


@pytest.mark.parametrize("encoded", ["", "80", "8000", "ff" * 9, "ff" * 9 + "01"])
def test_malformed_varints_are_refused(encoded):
    with pytest.raises(VerificationError):
        decode_varint(bytes.fromhex(encoded))


@pytest.mark.parametrize("value", [-1, 1 << 63])
def test_numbers_out_of_range_are_our_bug(value):
    with pytest.raises(ValueError, match="out of range"):
        encode_varint(value)

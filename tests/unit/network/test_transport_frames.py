"""The frames of the request protocol and the messages of the block protocol, byte by byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from network.block_exchange import (
    AnswerBudget,
    Status,
    decode_answer,
    decode_count,
    decode_wanted,
    encode_answer,
    encode_want,
)
from network.transport import MAX_BLOCK_BYTES, MAX_FETCH_BYTES, MAX_PAYLOAD_BYTES
from network.transport_frames import ANSWERS, HEAD_BYTES, QUESTIONS, Kind, decode_head, encode_frame, reason_text
from storage.cid import CID
from storage.errors import VerificationError
from tests.unit.network.transport_world import raw_block


@given(st.sampled_from(sorted(QUESTIONS)), st.integers(0, 2**32 - 1), st.binary(max_size=100))
def test_a_frame_reads_back(kind: Kind, number: int, payload: bytes) -> None:
    frame = encode_frame(kind, number, payload)
    head = decode_head(frame[:HEAD_BYTES], QUESTIONS)
    assert (head.kind, head.id, frame[HEAD_BYTES:]) == (kind, number, payload)
    assert head.length == len(payload)


def test_the_bytes_of_a_frame() -> None:
    assert encode_frame(Kind.ANSWER, 0x01020304, b"abc") == bytes.fromhex("00000003 10 01020304 616263")


@pytest.mark.parametrize(
    ("head", "allowed"),
    [
        (bytes.fromhex("00000000 10 00000001"), QUESTIONS),  # an answer where questions are expected
        (bytes.fromhex("00000000 01 00000001"), ANSWERS),
        (bytes.fromhex("00000000 00 00000001"), QUESTIONS),
        (bytes.fromhex("00000000 ff 00000001"), ANSWERS),
        (bytes.fromhex("00100001 01 00000001"), QUESTIONS),  # one byte above 1 MiB
        (bytes.fromhex("ffffffff 10 00000001"), ANSWERS),
        (bytes.fromhex("00000001 11 00000001"), ANSWERS),  # ACCEPTED has no payload
        (bytes.fromhex("00000101 12 00000001"), ANSWERS),  # a reason of 257 bytes
    ],
)
def test_heads_that_are_refused(head: bytes, allowed: frozenset[Kind]) -> None:
    with pytest.raises(VerificationError):
        decode_head(head, allowed)


def test_the_largest_payload_and_one_more() -> None:
    assert decode_head(encode_frame(Kind.REQUEST, 1, bytes(MAX_PAYLOAD_BYTES))[:HEAD_BYTES], QUESTIONS)
    with pytest.raises(ValueError, match="larger"):
        encode_frame(Kind.REQUEST, 1, bytes(MAX_PAYLOAD_BYTES + 1))


def test_a_reason_is_one_printable_line() -> None:
    assert reason_text(b"no\n\x1b[31m\xff") == "no\ufffd\ufffd[31m\ufffd"


def test_the_bytes_of_a_want() -> None:
    cid, _ = raw_block(1, 10)
    assert encode_want([cid]) == b"\x01\x24" + cid
    assert decode_count(b"\x01") == 1
    assert decode_wanted(bytes(cid)) == cid


@pytest.mark.parametrize("count", [0, 65, 255])
def test_wants_of_none_and_of_too_many(count: int) -> None:
    with pytest.raises(VerificationError):
        decode_count(bytes([count]))
    with pytest.raises(ValueError, match="CIDs"):
        encode_want([raw_block(1, 10)[0]] * count)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01",
        raw_block(1, 10)[0] + b"\0",
        raw_block(1, 10)[0][:-1],
        b"\x01\x55\x00\x03abc",  # an identity CID: nothing to fetch
        b"\x01\x55\x1e\x20" + bytes(32),  # blake3
        b"\x01\x55\x12\x10" + bytes(16),  # a short digest
    ],
)
def test_cids_that_are_not_asked_for(data: bytes) -> None:
    with pytest.raises(VerificationError):
        decode_wanted(data)
    with pytest.raises(VerificationError):
        encode_want([CID(data)])


def test_the_bytes_of_answers() -> None:
    assert encode_answer(Status.FOUND, 258) == bytes.fromhex("00 00000102")
    assert decode_answer(bytes.fromhex("01 00000000")).status is Status.ABSENT
    assert decode_answer(encode_answer(Status.FOUND, MAX_BLOCK_BYTES)).size == MAX_BLOCK_BYTES


@pytest.mark.parametrize("head", ["00 00200001", "01 00000001", "02 00000001", "03 00000000", "ff ffffffff"])
def test_answers_that_are_refused(head: str) -> None:
    with pytest.raises(VerificationError):
        decode_answer(bytes.fromhex(head))


def test_an_answer_may_end_when_enough_was_given_and_not_before() -> None:
    budget = AnswerBudget()
    with pytest.raises(VerificationError):
        budget.check_later()
    budget.spend(MAX_FETCH_BYTES - 1)
    budget.spend(MAX_BLOCK_BYTES)
    budget.check_later()
    with pytest.raises(VerificationError):
        budget.spend(1)

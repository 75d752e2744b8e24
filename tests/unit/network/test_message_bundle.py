"""Several messages as one payload: what is joined is split, and anything else is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from network.message_bundle import MAX_BYTES, MAX_MESSAGES, fits, join, split
from network.protocol_errors import RemoteProtocolError
from tests.vectors.records.world import identity

PEER = identity(1).peer
MESSAGES = st.lists(st.binary(min_size=1, max_size=50).filter(lambda data: data[0] != 0), min_size=1, max_size=64)


@given(MESSAGES)
def test_what_is_joined_is_split(messages):
    assert split(join(messages), PEER) == messages


def test_one_message_travels_as_it_is():
    assert join([b"\xa1av"]) == b"\xa1av"


def test_a_bundle_is_bounded():
    assert fits(MAX_BYTES - 5, 1, 5)
    assert not fits(MAX_BYTES - 5, 1, 6)
    assert not fits(10, MAX_MESSAGES, 1)
    with pytest.raises(RemoteProtocolError):
        split(join([b"a"] * (MAX_MESSAGES + 1)), PEER)


@pytest.mark.parametrize(
    "payload",
    [
        b"\0",  # nothing
        b"\0\0\0\0\x01a",  # one alone has no bundle
        b"\0\0\0\0\x01a\0\0\0",  # a length that is cut
        b"\0\0\0\0\x01a\0\0\0\x05b",  # a message that is cut
        b"\0\0\0\0\x01a\0\0\0\x06\0\0\0\0\x01b",  # a bundle in a bundle
        b"\0\0\0\0\x01a\xff\xff\xff\xff",  # longer than anything
    ],
)
def test_what_join_does_not_make_is_refused(payload):
    with pytest.raises(RemoteProtocolError, match="malformed bundle"):
        split(payload, PEER)

"""Frames between the parent and a worker."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.frames import Frame, read_frame, write_frame
from storage.errors import VerificationError

HEADERS = st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text(), max_size=5)


@given(HEADERS, st.text(), st.binary(max_size=1000))
def test_what_is_written_is_read(header, kind, payload):
    stream = io.BytesIO()
    frame = Frame(header=header | {"type": kind}, payload=payload)
    write_frame(stream, frame)
    write_frame(stream, frame)
    stream.seek(0)
    assert [read_frame(stream), read_frame(stream)] == [frame, frame]
    with pytest.raises(EOFError):
        read_frame(stream)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_frame_an_end_or_an_error(data):
    try:
        assert read_frame(io.BytesIO(data)).type is not None
    except (EOFError, VerificationError):
        return


def test_the_layout():
    stream = io.BytesIO()
    write_frame(stream, Frame(header={"type": "é"}, payload=b"\x00\x01"))
    assert stream.getvalue() == b"\x0d\0\0\0\x02\0\0\0" + '{"type":"é"}'.encode() + b"\x00\x01"

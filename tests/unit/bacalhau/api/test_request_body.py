import pytest
import trio
from starlette.requests import Request

from bacalhau.api.answers import RefusedError
from bacalhau.api.request_body import GRACE_S, MIN_BYTES_PER_S, BodyReader
from tests.unit.network.transport_world import on_trio


def request(pieces, *, every_s=0.0, headers=()):
    """Return a request whose body comes in pieces; None is the end of the connection."""
    left = list(pieces)

    async def receive():
        await trio.sleep(every_s)
        if not left:
            return {"type": "http.request", "body": b"", "more_body": False}
        piece = left.pop(0)
        return (
            {"type": "http.disconnect"} if piece is None else {"type": "http.request", "body": piece, "more_body": True}
        )

    return Request({"type": "http", "headers": list(headers)}, receive)


@on_trio
async def test_a_body_is_read_whole():
    assert await BodyReader(request([b"a", b"", b"b"]), limit=2).whole() == b"ab"


@on_trio
async def test_a_body_beyond_the_limit_is_refused_as_early_as_possible():
    for given in (request([b"abc"]), request([b"ab", b"c"])):
        with pytest.raises(RefusedError) as refused:
            await BodyReader(given, limit=2).whole()
        assert refused.value.status == 413
    for length in (b"3", b"9" * 5000):
        with pytest.raises(RefusedError, match="longer than 2 bytes"):
            BodyReader(request([], headers=[(b"content-length", length)]), limit=2)


@on_trio
async def test_a_body_that_drips_is_let_go_and_a_slow_one_is_not():
    drips = request([b"a"] * 1000, every_s=1.0)
    began = trio.current_time()
    with pytest.raises(RefusedError) as refused:
        await BodyReader(drips, limit=1 << 20).whole()
    assert refused.value.status == 408
    assert GRACE_S <= trio.current_time() - began < GRACE_S + 1
    slow = request([bytes(MIN_BYTES_PER_S * 2)] * 30, every_s=1.9)
    assert len(await BodyReader(slow, limit=1 << 30).whole()) == 60 * MIN_BYTES_PER_S


@on_trio
async def test_time_that_we_take_ourselves_is_not_the_senders():
    reader = BodyReader(request([b"a"] * 5), limit=10)
    while await reader.piece():
        await trio.sleep(GRACE_S)


@on_trio
async def test_a_connection_that_ends_is_no_end_of_the_body():
    with pytest.raises(RefusedError, match="ended before the body did"):
        await BodyReader(request([b"a", None]), limit=10).whole()

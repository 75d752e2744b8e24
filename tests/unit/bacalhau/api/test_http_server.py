"""The server against clients that are slow, many, gone or rude; on a clock that jumps, so that no limit costs time."""

import logging
from urllib.parse import urlsplit

import pytest
import trio
import trio.testing

from bacalhau.api import http_server
from bacalhau.api.http_server import HEAD_S, MAX_CONNECTIONS, WRITE_S, serve_api
from storage.errors import UnavailableError, UserError
from tests.unit.network.transport_world import on_trio

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def small(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


class Large:
    """Sends far more than sockets hold, and tells when it was told that the client is gone."""

    def __init__(self):
        self.begun = trio.Event()
        self.gone = trio.Event()

    async def __call__(self, scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        self.begun.set()
        await send({"type": "http.response.body", "body": bytes(64 << 20), "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        self.gone.set()


async def connect(url):
    parts = urlsplit(url)
    return await trio.open_tcp_stream(parts.hostname, parts.port)


async def rest(stream):
    """Return all that comes until the other end closes, however it does."""
    said = b""
    try:
        async for piece in stream:
            said += piece
    except trio.BrokenResourceError:
        pass
    return said


@on_trio
async def test_it_serves_and_ends_when_cancelled():
    async with trio.open_nursery() as nursery:
        url = await nursery.start(serve_api, small, "127.0.0.1", 0)
        async with await connect(url) as stream:
            await stream.send_all(GET + GET)
            said = b""
            while said.count(b"ok") < 2:
                said += await stream.receive_some()
            nursery.cancel_scope.cancel()
    with pytest.raises(OSError, match="all attempts to connect"):
        await connect(url)


@on_trio
async def test_a_head_that_drips_is_let_go():
    async with trio.open_nursery() as nursery:
        url = await nursery.start(serve_api, small, "127.0.0.1", 0)
        began = trio.current_time()
        async with await connect(url) as stream:
            await stream.send_all(GET[:-2])
            assert await rest(stream) == b""
        assert trio.current_time() - began == pytest.approx(HEAD_S, abs=0.1)
        async with await connect(url) as stream:  # after an answer the next head has the same time
            await stream.send_all(GET)
            assert (await rest(stream)).endswith(b"ok")
        nursery.cancel_scope.cancel()


@on_trio
async def test_a_client_that_does_not_read_is_let_go():
    app = Large()
    async with trio.open_nursery() as nursery:
        url = await nursery.start(serve_api, app, "127.0.0.1", 0)
        began = trio.current_time()
        async with await connect(url) as stream:
            await stream.send_all(GET)
            await app.gone.wait()
            assert trio.current_time() - began == pytest.approx(WRITE_S, abs=0.1)
        nursery.cancel_scope.cancel()


def test_cancelling_does_not_wait_for_a_client_that_does_not_read(monkeypatch):
    monkeypatch.setattr(http_server, "WRITE_S", float("inf"))

    async def main():
        app = Large()
        async with trio.open_nursery() as nursery:
            url = await nursery.start(serve_api, app, "127.0.0.1", 0)
            async with await connect(url) as stream:
                await stream.send_all(GET)
                await app.begun.wait()
                await trio.testing.wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()

    trio.run(main)


@on_trio
async def test_there_are_so_many_connections_and_no_more():
    async with trio.open_nursery() as nursery:
        url = await nursery.start(serve_api, small, "127.0.0.1", 0)
        streams = [await connect(url) for _ in range(MAX_CONNECTIONS)]
        for stream in streams:
            await stream.send_all(GET)
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")
        async with await connect(url) as one_more:
            assert await rest(one_more) == b""
        for stream in streams:
            await stream.aclose()
        nursery.cancel_scope.cancel()


@on_trio
async def test_an_error_of_one_connection_ends_no_other(caplog):
    async def broken(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"more than two"})

    async with trio.open_nursery() as nursery:
        url = await nursery.start(serve_api, broken, "127.0.0.1", 0)
        for _ in range(2):
            async with await connect(url) as stream:
                await stream.send_all(GET)
                await rest(stream)
        nursery.cancel_scope.cancel()
    assert [record for record in caplog.records if record.levelno >= logging.ERROR]


@on_trio
async def test_a_port_that_is_taken_and_a_host_that_is_not_ours():
    async with trio.open_nursery() as nursery:
        url = await nursery.start(serve_api, small, "127.0.0.1", 0)
        with pytest.raises(UnavailableError, match="choose another port"):
            await serve_api(small, "127.0.0.1", urlsplit(url).port)
        with pytest.raises(UserError, match="address of this machine"):
            await serve_api(small, "192.0.2.1", 0)
        nursery.cancel_scope.cancel()


@on_trio
async def test_ipv6_is_written_in_brackets():
    async with trio.open_nursery() as nursery:
        try:
            url = await nursery.start(serve_api, small, "::1", 0)
        except UserError:
            pytest.skip("this machine has no IPv6 loopback")
        assert url.startswith("http://[::1]:")
        async with await connect(url) as stream:
            await stream.send_all(GET)
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")
        nursery.cancel_scope.cancel()

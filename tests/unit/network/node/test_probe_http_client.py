"""An operator's URL as a probe: a real server on loopback."""

import json

import pytest
import trio
from trio.testing import MockClock

from network.node.probe_http_client import ask_url
from tests.unit.network.node.offers import on_real_time
from tests.unit.network.node.probe_server import probe_server, status

LONG_S = 50.0


@pytest.mark.parametrize("line", ["200 OK", "204 No Content", "299 Fine"])
@on_real_time
async def test_success_takes_the_job(line: str) -> None:
    async with probe_server(status(line)) as server:
        assert await ask_url(server.url, b"{}", limit_s=LONG_S) == ""


@on_real_time
async def test_the_job_is_posted_as_json() -> None:
    async with probe_server(status("200 OK")) as server:
        await ask_url(server.url, b'{"x": 1}\n', limit_s=LONG_S)
    [(head, body)] = server.asked
    assert head.startswith(b"POST /probe?key=word HTTP/1.1\r\n")
    assert b"\r\ncontent-type: application/json\r\n" in head.lower()
    assert json.loads(body) == {"x": 1}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (status("403 No", b"not today\nwhy"), "not today"),
        (status("403 No"), "refused by the operator's probe (status 403)"),
        (status("500 Oh", b"\x1b[31mred \xff"), "[31mred \ufffd"),
        (status("403 No", b"x" * 300_000), "x" * 255),
        (status("302 There", b"", "Location: http://127.0.0.1:1/"), "refused by the operator's probe (status 302)"),
    ],
)
@on_real_time
async def test_any_other_status_refuses_with_the_first_line(answer: bytes, said: str) -> None:
    async with probe_server(answer) as server:
        assert await ask_url(server.url, b"{}", limit_s=LONG_S) == said
    assert len(server.asked) == 1


@on_real_time
async def test_an_answer_is_not_unpacked() -> None:
    async with probe_server(status("403 No", b"plain", "Content-Encoding: gzip")) as server:
        assert await ask_url(server.url, b"{}", limit_s=LONG_S) == "plain"


@pytest.mark.parametrize("answer", [b"HELLO\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300_000, b"HTTP/1.1 403"])
@on_real_time
async def test_what_is_no_answer_refuses(answer: bytes) -> None:
    async with probe_server(answer) as server:
        assert await ask_url(server.url, b"{}", limit_s=LONG_S) == (
            "the operator's probe is out of reach (RemoteProtocolError)"
        )


@on_real_time
async def test_nobody_there_refuses_and_tells_no_address() -> None:
    async with probe_server(b"") as server:
        pass
    assert await ask_url(server.url, b"{}", limit_s=LONG_S) == "the operator's probe is out of reach (ConnectError)"


@on_real_time
async def test_proxies_of_the_environment_are_not_asked() -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            patch.setenv(name, "http://127.0.0.1:1")
        patch.delenv("no_proxy", raising=False)
        patch.delenv("NO_PROXY", raising=False)
        async with probe_server(status("200 OK")) as server:
            assert await ask_url(server.url, b"{}", limit_s=LONG_S) == ""


@pytest.mark.parametrize("beginning", [b"", b"HTTP/1.1 403 No\r\nContent-Length: 9\r\n\r\nnot"])
def test_who_does_not_finish_is_given_up_on(beginning: bytes) -> None:
    clock, said = MockClock(), []  # stands still until it is told to jump

    async def ask(url: str) -> None:
        said.append(await ask_url(url, b"{}", limit_s=5.0))

    async def unfinished() -> None:
        async with probe_server(beginning, finishes=False) as server, trio.open_nursery() as nursery:
            nursery.start_soon(ask, server.url)
            await server.answered.wait()
            clock.jump(5.0)

    trio.run(unfinished, clock=clock)
    assert said == ["the operator's probe did not answer within 5 s"]

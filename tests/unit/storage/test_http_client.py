"""Against real sockets: what goes wrong below HTTP."""

import socket
from threading import Thread

import pytest

from storage.cid import RAW, make_cid
from storage.errors import UnavailableError
from storage.gateway_client import GatewayClient
from storage.http_client import HttpClient
from storage.kubo_client import KuboClient

CID = make_cid(RAW, b"data")


class LyingServer:
    """Answers every connection with the same bytes and hangs up."""

    def __init__(self, answer: bytes):
        self._answer = answer
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        while True:
            connection, _ = self._socket.accept()
            with connection:
                if not connection.recv(1 << 16):
                    return
                connection.sendall(self._answer)

    def close(self):
        with socket.create_connection(self._socket.getsockname()):
            pass
        self._thread.join()
        self._socket.close()


@pytest.fixture
def serve():
    servers = []

    def start(answer):
        servers.append(LyingServer(answer))
        return servers[-1].url

    yield start
    for server in servers:
        server.close()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.ipld.raw\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"junk\r\n\r\n",
        HEAD + b"Content-Length: 400\r\n\r\nda",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n4\r\ndata\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nda",
        HEAD + b"X: " + b"a" * 200_000,
    ],
    ids=["nothing", "junk", "short", "no-last-chunk", "bad-chunk", "two-lengths", "long-header"],
)
def test_an_answer_that_breaks_off_is_unavailable(serve, answer):
    client = HttpClient(serve(answer))
    with pytest.raises(UnavailableError, match="connection broke off") as caught:
        GatewayClient(client).block(CID)
    assert caught.value.where == client.name
    client.close()


def test_nobody_there():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    client = HttpClient(url)
    with pytest.raises(UnavailableError, match=r"nothing answers there; is it running there\?"):
        KuboClient(client).version()
    client.close()


def test_a_machine_on_loopback_is_not_reached_through_a_proxy(serve, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    client = HttpClient(serve(HEAD + b"Content-Length: 4\r\n\r\ndata"))
    assert GatewayClient(client).block(CID) == b"data"
    client.close()


def test_silence_is_told():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = HttpClient(f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(UnavailableError, match="was silent"), client.send("GET", "/", silence_s=0.01):
            pass
        client.close()

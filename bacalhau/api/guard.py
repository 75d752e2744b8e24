"""Who may ask what: in front of everything else, and without reading a body.

1. HTTP/1.1 only, no WebSocket. 2. The Host header must name this machine's loopback and the port that was connected to,
or be one that the operator named: a page whose name was made to lead here (DNS rebinding) is told apart by it. 3. The
bearer token, but for health, the API's description, `/ipfs/` and the files of the pages. There are no CORS headers:
pages of others read nothing. What goes wrong without being expected is answered as 500 without details, and logged.
"""

from __future__ import annotations

import hmac
import ipaddress
import logging
import math
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, TypeAlias

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bacalhau.api.answers import RefusedError
from bacalhau.api.request_counts import RequestCounts
from storage.gateway_asgi import BrokenOffError

PREFIX: Final = "/api/v1"
GATEWAY: Final = "/ipfs"
PAGES: Final = "/pages"
PAGES_DATA: Final = f"{PAGES}/data"
OPEN_PATHS: Final = frozenset({"/", f"{PREFIX}/health", f"{PREFIX}/openapi.json"})
"""Asked without a token; so are the files of the pages, which are the same on every node."""

LINGER_S: Final = 1.0
LINGER_BYTES: Final = 2 << 20
"""What is still read of a body that was refused: a client that sends it whole reads the answer afterwards."""

_HTTP_PORT: Final = 80
_log = logging.getLogger("bacalhau.api")
_Call: TypeAlias = Callable[[Receive, Send], Awaitable[None]]


class Guard:
    """An ASGI application around another."""

    def __init__(
        self, app: ASGIApp, *, token: str, hosts: Iterable[str] = (), counts: RequestCounts | None = None
    ) -> None:
        """Guard `app`.

        hosts: further ones to answer as: `node.example` (with our port), `proxy.example:80`; counts: told how requests
        were answered.
        """
        self._app = app
        self._counts = counts
        self._token = token.encode("ascii")
        self._hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] == "http":
            told = send if self._counts is None else self._counts.watch(scope, send)
            await _Answering(receive, told).run(lambda receive, send: self._answer(scope, receive, send))

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._check(scope)
        except RefusedError as refusal:
            await refusal.answer()(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        """Check a request by its head.

        Raises:
            RefusedError: 505, 421 or 401.
        """
        if scope["http_version"] not in ("1.0", "1.1"):
            raise RefusedError(505, "only HTTP/1.1 is spoken here")
        headers = [(name.lower(), value) for name, value in scope["headers"]]
        hosts = [value.decode("latin-1").lower() for name, value in headers if name == b"host"]
        if len(hosts) != 1 or not self._is_ours(hosts[0], scope.get("server")):
            fix = "use 127.0.0.1 or localhost with the port, or have its operator name this host"
            raise RefusedError(421, "this host is not served here", where=hosts[0][:256] if hosts else "", fix=fix)
        path: str = scope["path"]
        if path in OPEN_PATHS or path == GATEWAY or path.startswith(f"{GATEWAY}/"):
            return
        if path.startswith(f"{PAGES}/") and not path.startswith(f"{PAGES_DATA}/"):
            return
        given = [value for name, value in headers if name == b"authorization"]
        if len(given) != 1 or not self._opens(given[0]):
            fix = "send `Authorization: Bearer` with what is in api-token of the node's BACALHAU_DIR"
            raise RefusedError(401, "the token is not right", fix=fix, headers={"WWW-Authenticate": "Bearer"})

    def _opens(self, header: bytes) -> bool:
        kind, _, token = header.partition(b" ")
        return kind.lower() == b"bearer" and hmac.compare_digest(token.strip(), self._token)

    def _is_ours(self, host: str, server: tuple[str, int | None] | None) -> bool:
        if host in self._hosts:
            return True
        name, port = _split_host(host)
        return server is not None and port == server[1] and (name in self._hosts or _is_loopback(name))


def _split_host(host: str) -> tuple[str, int | None]:
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):
        return host, _HTTP_PORT
    return name, int(port) if port.isascii() and port.isdigit() and len(port) <= 5 else None


def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False


class _Answering:
    """One request: what its body and its answer have come to."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._body_ended = False
        self._began = False

    async def run(self, call: _Call) -> None:
        try:
            await call(self.receive, self.send)
        except BrokenOffError:
            raise  # the server cuts the connection: nobody may take the half for the whole
        except Exception:  # noqa: BLE001  the boundary: a bug of ours in one request ends not the node
            _log.exception("a request could not be answered")
            if self._began:
                raise BrokenOffError("the answer broke off") from None
            refusal = RefusedError(500, "something went wrong here; the node's log says what")
            await refusal.answer()({"type": "http"}, self.receive, self.send)

    async def receive(self) -> Message:
        message = await self._receive()
        self._body_ended = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        self._began = True
        is_end = message["type"] == "http.response.body" and not message.get("more_body", False)
        if not is_end or self._body_ended:
            await self._send(message)
            return
        # A connection that is closed with something unread is reset, and the client may never see the answer.
        with anyio.move_on_after(LINGER_S):
            await self._drain(LINGER_BYTES)
        # Hypercorn waits for room in a request's queue before it ends the connection, and would wait for ever if
        # the queue were full of a body that nobody reads.
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._drain, math.inf)
            await self._send(message)
            tasks.cancel_scope.cancel()

    async def _drain(self, limit: float) -> None:
        size = 0
        while not self._body_ended and size < limit:
            size += len((await self.receive()).get("body", b""))

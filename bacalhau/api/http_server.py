"""Serves an ASGI application over HTTP/1.1 on trio. The one file that imports Hypercorn.

Hypercorn's own `serve` has no bound on connections, ends with the first error of any of them, and cannot be cancelled
while a client does not read, because it shields its writes. So its connections are run here, one by one:

* at most 64 of them; a further one is closed at once;
* a head has 10 s to come, also the next one on the same connection (bodies: `request_body`);
* a write that makes no progress for 30 s ends its connection;
* whatever one connection does, the others go on;
* cancelling ends all of them at once.
"""

from __future__ import annotations

import errno
import logging
from functools import partial
from typing import Any, Final

import trio
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from hypercorn.utils import wrap_app
from starlette.types import ASGIApp

from storage.errors import UnavailableError, UserError

MAX_CONNECTIONS: Final = 64
HEAD_S: Final = 10.0
WRITE_S: Final = 30.0
MAX_HEAD_BYTES: Final = 16 << 10
_WRITE_BYTES: Final = 64 << 10
"""Of one write, so that progress is seen."""
_BACKLOG: Final = 64
_QUEUED_PIECES: Final = 4
"""Pieces of a body (64 KiB each) that wait for a handler."""
_log = logging.getLogger("bacalhau.api")


async def serve_api(
    app: ASGIApp, host: str, port: int, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve until cancelled; started with the URL once connections are accepted.

    host: an IP address or a name of this machine; port: 0 takes a free one.

    Raises:
        UserError: the host is none of this machine.
        UnavailableError: the port is taken.
    """
    listener = await _listen(host, port)
    connections = _Connections(app)
    async with listener, trio.open_nursery() as nursery:
        nursery.start_soon(connections.cut_off)
        serving = partial(trio.serve_listeners, connections.serve, [listener])
        await nursery.start(serving)
        task_status.started(_url(listener))


async def _listen(host: str, port: int) -> trio.SocketListener:
    try:
        first, *others = await trio.open_tcp_listeners(port, host=host, backlog=_BACKLOG)
    except OSError as error:
        where, reason = f"--api {host}:{port}", (error.strerror or str(error)).lower()
        if error.errno == errno.EADDRINUSE:
            raise UnavailableError(f"cannot be served: {reason}", where=where, fix="choose another port") from error
        fix = "give an address of this machine, such as 127.0.0.1:0"
        raise UserError(f"cannot be served: {reason}", where=where, fix=fix) from error
    for other in others:  # a name with several addresses: with port 0 each would have a port of its own
        await other.aclose()
    return first


def _url(listener: trio.SocketListener) -> str:
    host, port, *_ = listener.socket.getsockname()
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Connections:
    """The connections of one server."""

    def __init__(self, app: ASGIApp) -> None:
        self._config = _configure()
        self._app = wrap_app(app, 0, "asgi")  # type: ignore[arg-type]
        self._context = WorkerContext(None)
        self._open: set[trio.SocketStream] = set()

    async def serve(self, stream: trio.SocketStream) -> None:
        """Serve one connection; no error leaves it."""
        if len(self._open) >= MAX_CONNECTIONS:
            await trio.aclose_forcefully(stream)
            return
        self._open.add(stream)
        watched: Any = _Watched(stream)
        try:
            await TCPServer(self._app, self._config, self._context, ConnectionState({}), watched)
        except* Exception:  # noqa: BLE001  the boundary: one connection does not end the others
            _log.exception("a connection ended with an error")
        finally:
            self._open.discard(stream)
            stream.socket.close()

    async def cut_off(self) -> None:
        """End all connections when cancelled: those that write do not notice it themselves."""
        try:
            await trio.sleep_forever()
        finally:
            for stream in self._open:
                stream.socket.close()


class _Watched:
    """A stream as Hypercorn uses it, whose writes end."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self.socket = stream.socket

    async def send_all(self, data: bytes) -> None:
        """Send all of it, as long as there is progress."""
        view = memoryview(data)
        for start in range(0, len(view), _WRITE_BYTES):
            with trio.move_on_after(WRITE_S) as scope:
                await self._stream.send_all(view[start : start + _WRITE_BYTES])
            if scope.cancelled_caught:
                self.socket.close()
                raise trio.BrokenResourceError("the client does not read")

    async def receive_some(self, max_bytes: int) -> bytes:
        """Return what came."""
        return bytes(await self._stream.receive_some(max_bytes))

    async def send_eof(self) -> None:
        """Say that nothing follows."""
        await self._stream.send_eof()

    async def aclose(self) -> None:
        """Close it."""
        await self._stream.aclose()


def _configure() -> Config:
    config = Config()
    config.accesslog = None
    config.errorlog = _log
    config.h11_max_incomplete_size = MAX_HEAD_BYTES
    config.include_server_header = False
    config.keep_alive_timeout = HEAD_S
    config.max_app_queue_size = _QUEUED_PIECES
    config.websocket_max_message_size = 1
    return config

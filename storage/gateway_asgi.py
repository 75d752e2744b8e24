"""The trustless gateway as an ASGI application, for any ASGI server, on asyncio or trio.

The store is read in threads, a bounded number of them, so that the server's loop never waits for a disk.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any, Final, TypeAlias

import anyio
from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from storage.blocks import BlockStore
from storage.errors import UnavailableError, VerificationError
from storage.gateway_answer import answer

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

READERS: Final = 4
"""Threads that read the store: blocks are hashed as they are read, and more threads hash no faster."""
SEND_BYTES: Final = 64 << 10
SLOW_CLIENT_S: Final = 60.0
"""A client that does not take one piece in this time is let go."""


class BrokenOffError(Exception):
    """A CAR could not be finished: the server must cut the connection, so that the client cannot take it for whole."""


class GatewayApp:
    """Answers GET and HEAD below `/ipfs/` from one store, which is safe for threads."""

    def __init__(self, store: BlockStore) -> None:
        self._store = store
        self._limiter: CapacityLimiter | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request.

        Raises:
            BrokenOffError: in the middle of a CAR.
        """
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Message, receive: Receive, send: Send) -> None:
        if self._limiter is None:  # belongs to the loop that runs, so not made before
            self._limiter = CapacityLimiter(READERS)
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        path = scope.get("raw_path") or scope["path"].encode()
        query = scope.get("query_string", b"")
        said = await run_sync(answer, self._store, scope["method"], path, query, headers, limiter=self._limiter)
        sent = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in said.headers]
        await send_pieces(receive, send, status=said.status, headers=sent, body=said.body, limiter=self._limiter)


async def send_pieces(
    receive: Receive,
    send: Send,
    *,
    status: int,
    headers: list[tuple[bytes, bytes]],
    body: Iterator[bytes],
    limiter: CapacityLimiter,
) -> None:
    """Answer with a body that is read in threads, piece by piece, and no further when the client has gone.

    Raises:
        BrokenOffError: it could not be read to its end.
    """
    broken: BrokenOffError | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_end_with_client, receive, tasks.cancel_scope)
        try:
            await send({"type": "http.response.start", "status": status, "headers": headers})
            while (piece := await run_sync(_next, body, limiter=limiter)) is not None:
                view = memoryview(piece)
                for start in range(0, len(view), SEND_BYTES):  # servers copy what they are given
                    part = bytes(view[start : start + SEND_BYTES])
                    with anyio.fail_after(SLOW_CLIENT_S):
                        await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except BrokenOffError as error:  # raised below: as itself, not in a group
            broken = error
        tasks.cancel_scope.cancel()
    if broken is not None:
        raise broken


def _next(body: Iterator[bytes]) -> bytes | None:
    try:
        return next(body, None)
    except (UnavailableError, VerificationError) as error:
        raise BrokenOffError(str(error)) from error


async def _end_with_client(receive: Receive, scope: anyio.CancelScope) -> None:
    """Stop when the client has gone: nobody would read the rest of a large CAR."""
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def _live(receive: Receive, send: Send) -> None:
    """Follow the server's life; there is nothing to start or stop."""
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return

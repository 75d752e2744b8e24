"""Reads bodies that come from outside: bounded in size, and in the time that the sender may take.

The sender has 10 s and one more for every 16 KiB that came: a connection that drips is let go, a slow one that goes on
is not. Only the time that was waited for the sender counts, not what we take ourselves.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

import anyio
import anyio.from_thread
from starlette.requests import Request
from starlette.types import Message

from bacalhau.api.answers import JSON, RefusedError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

GRACE_S: Final = 10.0
MIN_BYTES_PER_S: Final = 16 << 10
MAX_JSON_BYTES: Final = 1 << 20


class BodyReader:
    """Pieces of one request's body."""

    def __init__(self, request: Request, *, limit: int) -> None:
        """Look at the head alone.

        limit: bytes.

        Raises:
            RefusedError: 413, it says that it is longer.
        """
        self._request = request
        self._limit = limit
        self._received = 0
        self._waited_s = 0.0
        self._ended = False
        said = request.headers.get("content-length", "")
        # Python would take very long to read very long numbers.
        if said.isascii() and said.isdigit() and (len(said) > 18 or int(said) > limit):
            raise self._too_large()

    async def piece(self) -> bytes:
        """Return what came next; empty at the end.

        Raises:
            RefusedError: 413 it is longer than the limit, 408 it came too slowly, 400 the sender is gone.
        """
        while not self._ended:
            message = await self._next()
            if message["type"] != "http.request":
                raise RefusedError(400, "the connection ended before the body did", where="body")
            self._ended = not message.get("more_body", False)
            data: bytes = message.get("body", b"")
            self._received += len(data)
            if self._received > self._limit:
                raise self._too_large()
            if data:
                return data
        return b""

    async def whole(self) -> bytes:
        """Return all of it.

        Raises:
            RefusedError: as `piece`.
        """
        body = bytearray()
        while piece := await self.piece():
            body += piece
        return bytes(body)

    async def _next(self) -> Message:
        allowed_s = GRACE_S + self._received / MIN_BYTES_PER_S - self._waited_s
        began = anyio.current_time()
        try:
            with anyio.fail_after(max(0.0, allowed_s)):
                message = await self._request.receive()
        except TimeoutError as error:
            raise RefusedError(
                408, "the body came too slowly", where="body", headers={"Connection": "close"}
            ) from error
        self._waited_s += anyio.current_time() - began
        return message

    def _too_large(self) -> RefusedError:
        problem = f"is longer than {self._limit} bytes"
        return RefusedError(413, problem, where="body", headers={"Connection": "close"})


class BodyFile(io.RawIOBase):
    """A body as a binary file that is read once, in a thread of `anyio.to_thread.run_sync`."""

    def __init__(self, reader: BodyReader) -> None:
        super().__init__()
        self._reader = reader
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """It can be read."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read some.

        Raises:
            RefusedError: as `BodyReader.piece`.
        """
        if not self._rest:
            self._rest = memoryview(anyio.from_thread.run(self._reader.piece))
        view = memoryview(buffer).cast("B")
        size = min(len(view), len(self._rest))
        view[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


async def read_json_body(request: Request) -> bytes:
    """Return a JSON body.

    Raises:
        RefusedError: 415 it is not said to be JSON, else as `BodyReader`.
    """
    check_media_type(request, JSON)
    return await BodyReader(request, limit=MAX_JSON_BYTES).whole()


def check_media_type(request: Request, wanted: str) -> None:
    """Refuse a body of another type.

    Raises:
        RefusedError: 415.
    """
    said = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if said != wanted:
        fix = f"send it with `Content-Type: {wanted}`"
        raise RefusedError(415, f"is not said to be {wanted}", where="body", fix=fix)

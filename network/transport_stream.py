"""Duplex byte streams between two peers, and bounded reading from them.

A `ByteStream` is what a transport opens for a protocol. Its errors are one, `StreamBrokenError`, whatever lies below.
Time limits here guard against peers that stall; they are counted by trio's clock, so tests need not wait.
"""

from __future__ import annotations

from typing import Final, Protocol

import trio

from storage.errors import BacalhauError

STALL_S: Final = 10.0
"""A frame that has begun arrives within this time, and what we write is taken within it; else the peer is too slow.
1 MiB in 10 s is a line of 0.8 Mbit/s."""


class ByteStream(Protocol):
    """Bytes both ways, in order. One task reads and one writes at a time."""

    async def read(self, limit: int) -> bytes:
        """Return 1 to `limit` bytes as soon as there are any; none when the peer has ended its side.

        Raises:
            StreamBrokenError: reset, or the connection ended.
        """
        ...

    async def write(self, data: bytes) -> None:
        """Write all of it. A caller that is cancelled meanwhile has to reset the stream.

        Raises:
            StreamBrokenError: reset, or the connection ended.
        """
        ...

    async def reset(self) -> None:
        """End both sides at once. Does not raise, and is not cancelled."""
        ...


class StreamBrokenError(BacalhauError):
    """The stream or its connection ended. Nobody's fault."""


class StalledError(BacalhauError):
    """The peer did not go on within STALL_S seconds."""


async def read_exactly(stream: ByteStream, size: int) -> bytes:
    """Read `size` bytes that have to arrive within STALL_S seconds. Memory is taken as bytes arrive, not as announced.

    Raises:
        StreamBrokenError: the stream ended before.
        StalledError: they did not arrive in time.
    """
    with trio.move_on_after(STALL_S):
        return await _read(stream, size)
    raise StalledError(f"{size} bytes did not arrive within {STALL_S:g} s")


async def read_head(stream: ByteStream, size: int) -> bytes | None:
    """Wait for as long as it takes for the first of `size` bytes, then read the others in time; None if none comes.

    Raises:
        StreamBrokenError, StalledError: as `read_exactly` does.
    """
    first = await stream.read(1)
    return first + await read_exactly(stream, size - 1) if first else None


async def skip(stream: ByteStream, size: int) -> None:
    """Read `size` bytes and keep none.

    Raises:
        StreamBrokenError, StalledError: as `read_exactly` does.
    """
    while size:
        size -= len(await read_exactly(stream, min(size, 64 << 10)))


async def write_whole(stream: ByteStream, data: bytes) -> None:
    """Write `data` whole or end the stream: what is cut in the middle cannot be continued.

    Not cancelled while it writes, which takes at most STALL_S seconds.

    Raises:
        StreamBrokenError: the stream ended.
        StalledError: the peer does not take it; the stream was reset.
    """
    with trio.move_on_after(STALL_S, shield=True):
        await stream.write(data)
        return
    await stream.reset()
    raise StalledError(f"{len(data)} bytes were not taken within {STALL_S:g} s")


async def _read(stream: ByteStream, size: int) -> bytes:
    buffer = bytearray()
    while len(buffer) < size:
        piece = await stream.read(size - len(buffer))
        if not piece:
            raise StreamBrokenError("stream ended in the middle of a message")
        buffer += piece
    return bytes(buffer)

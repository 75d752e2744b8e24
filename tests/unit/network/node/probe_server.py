"""An HTTP server on loopback, in the test's own trio loop: answers a request with bytes that the test chose."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

import trio


@dataclass
class ProbeServer:
    answer: bytes
    """Sent as it is, head and body."""
    finishes: bool = True
    """Hang up when the answer is sent, or never."""
    asked: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Heads and bodies of the requests."""
    url: str = ""
    answered: trio.Event = field(default_factory=trio.Event)

    async def serve(self, stream: trio.SocketStream) -> None:
        async with stream:
            received = b""
            while b"\r\n\r\n" not in received:
                received += await stream.receive_some()
            head, _, body = received.partition(b"\r\n\r\n")
            lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
            while len(body) < int(lines[b"content-length"]):
                body += await stream.receive_some()
            self.asked.append((head, body))
            with suppress(trio.BrokenResourceError):  # who has read enough hangs up
                await stream.send_all(self.answer)
            self.answered.set()
            if not self.finishes:
                await trio.sleep_forever()


@asynccontextmanager
async def probe_server(answer: bytes, *, finishes: bool = True) -> AsyncIterator[ProbeServer]:
    server = ProbeServer(answer, finishes)
    async with trio.open_nursery() as nursery:
        [listener] = await nursery.start(partial(trio.serve_tcp, server.serve, 0, host="127.0.0.1"))
        server.url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}/probe?key=word"
        yield server
        nursery.cancel_scope.cancel()


def status(line: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {line}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body

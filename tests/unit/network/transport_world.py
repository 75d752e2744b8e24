"""What tests of transports share: identities by number, handlers that remember, and a way to run trio."""

import functools
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

import trio
from trio.testing import MockClock

from storage.cid import CID, RAW, make_cid
from storage.errors import UserError
from verifier.identity import Identity
from verifier.peer_id import PeerId


def identity(number: int) -> Identity:
    return Identity.from_seed(hashlib.sha256(f"transport {number}".encode()).digest())


def raw_block(number: int, size: int) -> tuple[CID, bytes]:
    data = hashlib.shake_128(str(number).encode()).digest(size)
    return make_cid(RAW, data), data


class Echo:
    """Answers with what it was asked, and remembers messages. `wait` holds answers back; `fail` refuses."""

    def __init__(self) -> None:
        self.received: list[tuple[PeerId, bytes]] = []
        self.asked = 0
        self.arrived = trio.Event()
        self.go_on = trio.Event()

    async def answer(self, peer: PeerId, payload: bytes) -> bytes:
        self.asked += 1
        if payload == b"wait":
            await self.go_on.wait()
        if payload == b"fail":
            raise UserError("cannot\n\x1b[31mdo that")
        if payload == b"bug":
            raise RuntimeError("a secret of the node")
        if payload == b"large":
            return bytes(1 << 20) + b"!"
        return b"echo " + payload

    async def receive(self, peer: PeerId, payload: bytes) -> None:
        self.received.append((peer, payload))
        self.arrived.set()


def on_trio(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run an async test on a clock that jumps ahead whenever nothing can go on: time limits cost no time."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        trio.run(functools.partial(test, *args, **kwargs), clock=MockClock(autojump_threshold=0))

    return run

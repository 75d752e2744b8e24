"""The two ends of the request protocol over one long-lived stream (`transport_frames` has its frames).

The asking end gives each request an id and waits for its answer; any number of tasks use it at once, up to
MAX_OUTSTANDING. The answering end starts a handler for each, within the same bound and the peer's part of a budget of
bytes: what goes beyond is read, thrown away and answered BUSY, so that a flood costs no memory and stops nobody.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import trio

from network.transport import MAX_PAYLOAD_BYTES, PeerHandler, PeerRefusedError, PeerUnreachableError, broke_rules
from network.transport_budget import PayloadBudget
from network.transport_frames import (
    ANSWERS,
    HEAD_BYTES,
    QUESTIONS,
    Head,
    Kind,
    decode_head,
    encode_frame,
    reason_bytes,
    reason_text,
)
from network.transport_stream import (
    ByteStream,
    StalledError,
    StreamBrokenError,
    read_exactly,
    read_head,
    skip,
    write_whole,
)
from storage.errors import BacalhauError, VerificationError
from verifier.peer_id import PeerId

MAX_OUTSTANDING: Final = 32
"""Requests of one peer that are being answered."""

log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class _Waiter:
    kind: Kind
    done: trio.Event = field(default_factory=trio.Event)
    head: Head | None = None
    payload: bytes = b""


class AskingChannel:
    """Our end of a stream on which we ask a peer. `run` reads the answers; `ask` is for everyone else."""

    def __init__(self, stream: ByteStream, peer: PeerId) -> None:
        self.closed = False
        self._stream = stream
        self._peer = peer
        self._next_id = 0
        self._waiters: dict[int, _Waiter] = {}
        self._slots = trio.CapacityLimiter(MAX_OUTSTANDING)
        self._write_lock = trio.Lock()

    async def run(self) -> None:
        """Read answers until the stream ends.

        Raises:
            PeerError: the peer broke the rules.
            StalledError: it stopped in the middle of something.
        """
        try:
            while (head := await self._next_head()) is not None:
                payload = await read_exactly(self._stream, head.length)
                waiter = self._waiters.pop(head.id)
                waiter.head, waiter.payload = head, payload
                waiter.done.set()
        except StreamBrokenError:
            pass
        except VerificationError as error:
            raise broke_rules(self._peer, error.problem) from error
        finally:
            await self.close()

    async def ask(self, kind: Kind, payload: bytes) -> bytes:
        """Send one question and return the payload of its answer. The caller sets the deadline.

        Raises:
            PeerUnreachableError: the stream ended before the answer.
            PeerRefusedError: FAILED or BUSY.
            ValueError: the payload is too large.
        """
        async with self._slots:
            number = self._next_id = (self._next_id + 1) % (1 << 32)
            frame = encode_frame(kind, number, payload)
            waiter = await self._write(number, kind, frame)
            await waiter.done.wait()
        if waiter.head is None:
            raise PeerUnreachableError("connection ended before the answer", where=self._peer)
        return _answer(waiter.head, waiter.payload, self._peer)

    async def close(self) -> None:
        """End the stream; whoever waits for an answer is told."""
        self.closed = True
        await self._stream.reset()
        for waiter in self._waiters.values():
            waiter.done.set()
        self._waiters.clear()

    def _check_open(self) -> None:
        # A question whose asker gave up stays in `_waiters`: its answer is due. A peer that leaves too many unanswered
        # has its stream opened anew.
        if self.closed or len(self._waiters) >= 2 * MAX_OUTSTANDING:
            raise StreamBrokenError("stream is closed")

    async def _next_head(self) -> Head | None:
        data = await read_head(self._stream, HEAD_BYTES)
        if data is None:
            return None
        head = decode_head(data, ANSWERS)
        waiter = self._waiters.get(head.id)
        if waiter is None or head.kind is (Kind.ACCEPTED if waiter.kind is Kind.REQUEST else Kind.ANSWER):
            raise VerificationError("answer to a question that was not asked")
        return head

    async def _write(self, number: int, kind: Kind, frame: bytes) -> _Waiter:
        try:
            async with self._write_lock:
                self._check_open()
                waiter = self._waiters[number] = _Waiter(kind=kind)
                await write_whole(self._stream, frame)
                return waiter
        except (StreamBrokenError, StalledError) as error:
            await self.close()
            raise PeerUnreachableError(error.problem, where=self._peer) from error


def _answer(head: Head, payload: bytes, peer: PeerId) -> bytes:
    if head.kind is Kind.BUSY:
        raise PeerRefusedError("peer has too much to do", where=peer, fix="ask again later")
    if head.kind is Kind.FAILED:
        raise PeerRefusedError(f"peer could not answer: {reason_text(payload)}", where=peer)
    return payload


@dataclass(slots=True, kw_only=True)
class AnsweringChannel:
    """Our end of a stream on which a peer asks us."""

    stream: ByteStream
    peer: PeerId
    handler: PeerHandler
    budget: PayloadBudget
    spawn: Callable[[Callable[[], Awaitable[None]]], None]
    """Starts a task that outlives the stream: what was accepted is also done."""
    on_refused: Callable[[PeerId], None]
    """Told of each question that went beyond a bound while the peer had others in hand; a single one is no flood."""
    _running: int = 0
    _write_lock: trio.Lock = field(default_factory=trio.Lock)

    async def run(self) -> None:
        """Take questions until the stream ends.

        Raises:
            PeerError: the peer broke the rules.
            StalledError: it stopped in the middle of something.
        """
        try:
            while (data := await read_head(self.stream, HEAD_BYTES)) is not None:
                await self._take(decode_head(data, QUESTIONS))
        except StreamBrokenError:
            pass
        except VerificationError as error:
            raise broke_rules(self.peer, error.problem) from error
        finally:
            await self.stream.reset()

    async def _take(self, head: Head) -> None:
        if self._running >= MAX_OUTSTANDING or not self.budget.take(self.peer, head.length):
            is_flood = self.budget.holds(self.peer)
            await skip(self.stream, head.length)
            if is_flood:
                self.on_refused(self.peer)
            await self._reply(Kind.BUSY, head.id)
            return
        try:
            payload = await read_exactly(self.stream, head.length)
        except BaseException:
            self.budget.give_back(self.peer, head.length)
            raise
        self._running += 1
        self.spawn(lambda: self._handle(head, payload))

    async def _handle(self, head: Head, payload: bytes) -> None:
        held = head.length
        try:
            if head.kind is Kind.SEND:
                await self._reply(Kind.ACCEPTED, head.id)
                await self._ask_handler(head, payload)
                return
            kind, answer = await self._ask_handler(head, payload)
            if self.budget.take(self.peer, len(answer)):
                held += len(answer)
                await self._reply(kind, head.id, answer)
            else:
                await self._reply(Kind.BUSY, head.id)
        finally:
            self._running -= 1
            self.budget.give_back(self.peer, held)

    async def _ask_handler(self, head: Head, payload: bytes) -> tuple[Kind, bytes]:
        try:
            if head.kind is Kind.SEND:
                await self.handler.receive(self.peer, payload)
                return Kind.ACCEPTED, b""
            answer = await self.handler.answer(self.peer, payload)
            if len(answer) > MAX_PAYLOAD_BYTES:
                raise ValueError(f"answer of {len(answer)} bytes")  # noqa: TRY301 - our bug, told like any other
        except BacalhauError as error:
            return Kind.FAILED, reason_bytes(error.problem)
        except Exception:  # whatever a handler does, the node goes on
            log.exception("handler failed on a message of %s", self.peer)
            return Kind.FAILED, b"internal error"
        return Kind.ANSWER, answer

    async def _reply(self, kind: Kind, number: int, payload: bytes = b"") -> None:
        try:
            async with self._write_lock:
                await write_whole(self.stream, encode_frame(kind, number, payload))
        except (StreamBrokenError, StalledError) as error:
            log.debug("answer to %s: %s", self.peer, error)

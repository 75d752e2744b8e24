"""Fetch blocks from peers (`block_exchange` has the protocol): one want at a time from each, each block once.

A block that two callers want at the same time is downloaded for the first; the second is given it, or, when the first
did not get it, asks its own peer. A peer that sends other bytes than those asked for is named with the CID as evidence.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import trio

from network.block_exchange import ANSWER_HEAD_BYTES, AnswerBudget, Status, decode_answer, encode_want
from network.transport import FetchedBlocks, PeerUnreachableError, broke_rules
from network.transport_stream import ByteStream, StalledError, StreamBrokenError, read_exactly, write_whole
from storage.cid import CID, verify_block
from storage.errors import VerificationError
from verifier.peer_id import PeerId

Opener = Callable[[PeerId], Awaitable[ByteStream]]


@dataclass(slots=True)
class _Download:
    """A block on its way."""

    cid: CID
    done: trio.Event = field(default_factory=trio.Event)
    block: bytes | None = None
    """None until it came, and if it did not."""


@dataclass(slots=True)
class _Line:
    """The stream to a peer."""

    lock: trio.Lock = field(default_factory=trio.Lock)
    stream: ByteStream | None = None


class BlockClient:
    """Fetches for all tasks of a node."""

    def __init__(self, open_stream: Opener) -> None:
        """open_stream: opens a stream of the block protocol to a peer, or raises PeerUnreachableError."""
        self._open_stream = open_stream
        self._downloads: dict[CID, _Download] = {}
        self._lines: dict[PeerId, _Line] = {}

    async def fetch(self, peer: PeerId, cids: Sequence[CID]) -> FetchedBlocks:
        """Return what `peer`, or another fetch of the same blocks, gives. The caller sets the deadline.

        Raises:
            PeerUnreachableError: the peer went away.
            PeerError: it broke the rules.
            ValueError, VerificationError: CIDs that cannot be asked for.
        """
        mine = list(dict.fromkeys(cids))
        encode_want(mine)
        blocks: dict[CID, bytes] = {}
        while others := [self._downloads[cid] for cid in mine if cid in self._downloads]:
            for download in others:
                await download.done.wait()
                if download.block is not None:
                    blocks[download.cid] = download.block
            mine = [cid for cid in mine if cid not in blocks]
        absent = await self._download(peer, mine, blocks) if mine else set()
        return FetchedBlocks(blocks=blocks, absent=frozenset(absent))

    async def forget(self, peer: PeerId) -> None:
        """Close what is open to a peer that is gone."""
        line = self._lines.pop(peer, None)
        if line is not None and line.stream is not None:
            await line.stream.reset()

    async def _download(self, peer: PeerId, cids: list[CID], blocks: dict[CID, bytes]) -> set[CID]:
        own = {cid: _Download(cid) for cid in cids}
        self._downloads |= own
        line = self._lines.setdefault(peer, _Line())
        try:
            async with line.lock:
                return await self._exchange(peer, line, cids, blocks)
        finally:
            for cid, download in own.items():
                download.block = blocks.get(cid)
                download.done.set()
                del self._downloads[cid]

    async def _exchange(self, peer: PeerId, line: _Line, cids: list[CID], blocks: dict[CID, bytes]) -> set[CID]:
        """Write a want and read its answer. A stream on which this did not end well is not used again."""
        if line.stream is None:
            line.stream = await self._open_stream(peer)
        ended_well = False
        try:
            await write_whole(line.stream, encode_want(cids))
            absent = await _read_answer(line.stream, peer, cids, blocks)
            ended_well = True
        except StreamBrokenError as error:
            raise PeerUnreachableError("connection ended before the blocks came", where=peer) from error
        except StalledError as error:
            raise PeerUnreachableError(error.problem, where=peer) from error
        else:
            return absent
        finally:
            if not ended_well:
                await line.stream.reset()
                line.stream = None


async def _read_answer(stream: ByteStream, peer: PeerId, cids: list[CID], blocks: dict[CID, bytes]) -> set[CID]:
    budget = AnswerBudget()
    absent = set()
    for cid in cids:
        try:
            head = decode_answer(await _head(stream))
            if head.status is Status.FOUND:
                budget.spend(head.size)
                block = await read_exactly(stream, head.size)
                verify_block(cid, block)
                blocks[cid] = block
            elif head.status is Status.ABSENT:
                absent.add(cid)
            else:
                budget.check_later()
        except VerificationError as error:
            raise broke_rules(peer, error.problem, cid) from error
    return absent


async def _head(stream: ByteStream) -> bytes:
    """Read the head of an answer. The peer may have to wait for its disk: the caller's deadline bounds it."""
    head = b""
    while len(head) < ANSWER_HEAD_BYTES:
        piece = await stream.read(ANSWER_HEAD_BYTES - len(head))
        if not piece:
            raise StreamBrokenError("stream ended in the middle of an answer")
        head += piece
    return head

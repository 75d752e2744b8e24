"""Give blocks of a store to peers that ask (`block_exchange` has the protocol).

Bounded: one want of a peer at a time, MAX_AT_ONCE blocks in memory for all peers together, each of them for as long as
its reader takes it within the stall limit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

import trio

from network.block_exchange import (
    PIECE_BYTES,
    AnswerBudget,
    Status,
    decode_count,
    decode_wanted,
    encode_answer,
)
from network.transport import MAX_BLOCK_BYTES, broke_rules
from network.transport_stream import (
    ByteStream,
    StreamBrokenError,
    read_exactly,
    read_head,
    write_whole,
)
from storage.blocks import BlockStore
from storage.cid import CID
from storage.errors import UnavailableError, VerificationError
from verifier.peer_id import PeerId

MAX_AT_ONCE: Final = 8
"""Blocks of at most 2 MiB, or as many small ones: 16 MiB."""
TOGETHER_BYTES: Final = 32 << 10
"""Of small blocks, after which no further one is read with them."""


A = TypeVar("A")
B = TypeVar("B")


class ThreadRunner(Protocol):
    """Calls a function elsewhere and waits for it: `trio.to_thread.run_sync`, or the like."""

    async def __call__(self, call: Callable[[A], B], argument: A, /) -> B:
        """Return `call(argument)`."""
        ...


@dataclass(slots=True)
class BlockServer:
    """Serves one store to any number of peers."""

    store: BlockStore
    in_thread: ThreadRunner = trio.to_thread.run_sync
    """Runs what waits for the disk beside the event loop."""
    _slots: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(MAX_AT_ONCE))
    _peers: dict[PeerId, trio.Lock] = field(default_factory=dict)

    async def serve(self, stream: ByteStream, peer: PeerId) -> None:
        """Answer the wants on a stream until it ends.

        Raises:
            PeerError: the peer broke the rules.
            StalledError: it stopped in the middle of something.
        """
        try:
            while (count := await read_head(stream, 1)) is not None:
                cids = [await self._wanted(stream) for _ in range(decode_count(count))]
                async with self._peers.setdefault(peer, trio.Lock()):
                    await self._answer(stream, cids)
        except StreamBrokenError:
            pass
        except VerificationError as error:
            raise broke_rules(peer, error.problem) from error
        finally:
            await stream.reset()

    def forget(self, peer: PeerId) -> None:
        """Drop what is kept for a peer that is gone."""
        self._peers.pop(peer, None)

    async def _wanted(self, stream: ByteStream) -> CID:
        length = (await read_exactly(stream, 1))[0]
        return decode_wanted(await read_exactly(stream, length))

    async def _answer(self, stream: ByteStream, cids: list[CID]) -> None:
        """Answer a want: small blocks are read and written together, since each step takes longer than they do."""
        budget, waiting = AnswerBudget(), list(cids)
        while waiting:
            if budget.is_spent():
                await write_whole(stream, encode_answer(Status.LATER) * len(waiting))
                return
            async with self._slots:
                blocks = await self.in_thread(self._blocks, waiting)
                sent = 0
                for block in blocks:
                    if budget.is_spent():
                        break
                    budget.spend(len(block or b""))
                    sent += 1
                del waiting[:sent]
                if blocks[0] is not None and len(blocks[0]) > PIECE_BYTES:
                    await _write_block(stream, blocks[0])
                else:
                    await write_whole(stream, b"".join(map(_answered, blocks[:sent])))

    def _blocks(self, cids: Sequence[CID]) -> list[bytes | None]:
        """Return one block, or several that are small; None for what is not here, is damaged or too large to travel."""
        blocks = [self._block(cids[0])]
        size = len(blocks[0] or b"")
        for cid in cids[1:]:
            if size > TOGETHER_BYTES:
                break
            block = self._block(cid)
            if len(block or b"") + size > PIECE_BYTES:
                break
            blocks.append(block)
            size += len(block or b"")
        return blocks

    def _block(self, cid: CID) -> bytes | None:
        try:
            block = self.store.get(cid)
        except (UnavailableError, VerificationError):
            return None
        return block if len(block) <= MAX_BLOCK_BYTES else None


def _answered(block: bytes | None) -> bytes:
    return encode_answer(Status.ABSENT) if block is None else encode_answer(Status.FOUND, len(block)) + block


async def _write_block(stream: ByteStream, block: bytes) -> None:
    await write_whole(stream, encode_answer(Status.FOUND, len(block)) + block[:PIECE_BYTES])
    for start in range(PIECE_BYTES, len(block), PIECE_BYTES):
        await write_whole(stream, block[start : start + PIECE_BYTES])

"""Blocks between two peers over streams of memory: what is given, what is refused, what is downloaded once."""

from collections.abc import Sequence

import pytest
import trio
import trio.testing

from network.block_exchange import Status, encode_answer, encode_want
from network.block_exchange_client import BlockClient
from network.block_exchange_server import BlockServer
from network.transport import MAX_BLOCK_BYTES, PeerUnreachableError
from network.transport_memory import MemoryStream, in_this_thread, memory_streams
from network.transport_stream import StalledError, StreamBrokenError, read_exactly
from storage.blocks import MemoryBlockStore
from storage.cid import CID
from storage.errors import PeerError
from tests.unit.network.transport_world import identity, on_trio, raw_block
from verifier.peer_id import PeerId

PEER, OTHER = identity(1).peer, identity(2).peer


class Serving:
    """A client whose peers are block servers of this process, and a count of what was opened and read."""

    def __init__(self, nursery: trio.Nursery, blocks: Sequence[tuple[CID, bytes]]) -> None:
        self.store = CountingStore()
        self.store.put_many(blocks)
        self.server = BlockServer(self.store, in_this_thread)
        self.nursery = nursery
        self.opened: list[PeerId] = []
        self.client = BlockClient(self.open)

    async def open(self, peer: PeerId) -> MemoryStream:
        self.opened.append(peer)
        near, far = memory_streams()
        self.nursery.start_soon(self.server.serve, far, PEER)
        return near


class CountingStore(MemoryBlockStore):
    def __init__(self) -> None:
        super().__init__()
        self.reads: list[CID] = []

    def get(self, cid: CID) -> bytes:
        self.reads.append(cid)
        return super().get(cid)


@on_trio
async def test_blocks_come_and_what_is_absent_is_said() -> None:
    here = [raw_block(1, 10), raw_block(2, 0), raw_block(3, 1 << 20), raw_block(4, MAX_BLOCK_BYTES)]
    missing, _ = raw_block(5, 10)
    async with trio.open_nursery() as nursery:
        serving = Serving(nursery, here)
        fetched = await serving.client.fetch(OTHER, [here[0][0], missing, *(cid for cid, _ in here)])
        assert (fetched.blocks, fetched.absent) == (dict(here), {missing})
        again = await serving.client.fetch(OTHER, [missing])
        assert (again.blocks, again.absent) == ({}, {missing})
        assert serving.opened == [OTHER], "one stream for all of it"
        nursery.cancel_scope.cancel()


@on_trio
async def test_the_rest_of_a_long_answer_is_asked_for_again() -> None:
    here = [raw_block(number, 1 << 20) for number in range(9)]
    async with trio.open_nursery() as nursery:
        serving = Serving(nursery, here)
        left = [cid for cid, _ in here]
        rounds = 0
        while left:
            fetched = await serving.client.fetch(OTHER, left)
            assert not fetched.absent
            left = [cid for cid in left if cid not in fetched.blocks]
            rounds += 1
        assert rounds == 3
        assert len(serving.store.reads) == 9
        nursery.cancel_scope.cancel()


@on_trio
async def test_a_block_that_is_too_large_or_damaged_is_absent() -> None:
    large, damaged = raw_block(1, MAX_BLOCK_BYTES + 1), (raw_block(2, 10)[0], b"other bytes")
    async with trio.open_nursery() as nursery:
        serving = Serving(nursery, [large, damaged])
        fetched = await serving.client.fetch(OTHER, [large[0], damaged[0]])
        assert fetched.absent == {large[0], damaged[0]}
        nursery.cancel_scope.cancel()


@on_trio
async def test_two_fetches_of_a_block_download_it_once() -> None:
    blocks = [raw_block(number, 1000) for number in range(3)]
    async with trio.open_nursery() as outer:
        serving = Serving(outer, blocks)
        results: list[set[CID]] = []

        async def fetch(peer: PeerId, cids: list[CID]) -> None:
            results.append(set((await serving.client.fetch(peer, cids)).blocks))

        cids = [cid for cid, _ in blocks]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fetch, PEER, cids[:2])
            nursery.start_soon(fetch, OTHER, cids[1:])
            nursery.start_soon(fetch, OTHER, cids)
        assert sorted(serving.store.reads) == sorted(cids)
        assert sorted(len(one) for one in results) == [2, 2, 3]
        outer.cancel_scope.cancel()


@on_trio
async def test_who_waited_for_a_download_that_failed_asks_its_own_peer() -> None:
    cid, data = raw_block(1, 1000)
    async with trio.open_nursery() as outer:
        serving = Serving(outer, [(cid, data)])

        async def open_stream(peer: PeerId) -> MemoryStream:
            if peer == OTHER:
                return await serving.open(peer)
            await trio.sleep(1)
            raise PeerUnreachableError("gone", where=peer)

        client = BlockClient(open_stream)

        async def fail() -> None:
            with pytest.raises(PeerUnreachableError):
                await client.fetch(PEER, [cid])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail)
            await trio.testing.wait_all_tasks_blocked()
            assert (await client.fetch(OTHER, [cid])).blocks == {cid: data}
        outer.cancel_scope.cancel()


@on_trio
async def test_a_fetch_that_is_cancelled_leaves_a_stream_that_is_not_used_again() -> None:
    cid, data = raw_block(1, 1000)
    async with trio.open_nursery() as outer:
        serving = Serving(outer, [(cid, data)])
        near, far = memory_streams()
        streams = [near]

        async def open_stream(peer: PeerId) -> MemoryStream:
            return streams.pop() if streams else await serving.open(peer)

        client = BlockClient(open_stream)
        with trio.move_on_after(1) as scope:
            await client.fetch(OTHER, [cid])
        assert scope.cancelled_caught
        with pytest.raises(StreamBrokenError):
            await far.read(1)
        assert (await client.fetch(OTHER, [cid])).blocks == {cid: data}
        outer.cancel_scope.cancel()


WANTED = raw_block(1, 1000)
LIES = {
    "other bytes": encode_answer(Status.FOUND, 4) + b"lies",
    "another wanted block's bytes": encode_answer(Status.FOUND, 1000) + raw_block(2, 1000)[1],
    "too large": encode_answer(Status.FOUND, MAX_BLOCK_BYTES + 1),
    "unknown status": b"\x07\0\0\0\0",
    "put off at once": encode_answer(Status.LATER),
    "absent with a size": encode_answer(Status.ABSENT, 1),
}


@pytest.mark.parametrize("answer", LIES.values(), ids=LIES.keys())
def test_a_liar_is_named_with_the_block_it_lied_about(answer: bytes) -> None:
    @on_trio
    async def run() -> None:
        near, far = memory_streams()
        await far.write(answer)

        async def open_stream(_peer: PeerId) -> MemoryStream:
            return near

        with pytest.raises(PeerError) as caught:
            await BlockClient(open_stream).fetch(OTHER, [WANTED[0]])
        assert (caught.value.peer, caught.value.evidence) == (OTHER, (WANTED[0],))
        with pytest.raises(StreamBrokenError):
            await read_exactly(far, 1000)

    run()


@pytest.mark.parametrize(
    "junk", [b"\0", b"\xff", b"\x01\x00", b"\x01\x04junk", b"\x01\x25" + WANTED[0] + b"\0", b"GET / HTTP/1.1\r\n\r\n"]
)
def test_a_malformed_want_is_a_broken_rule(junk: bytes) -> None:
    @on_trio
    async def run() -> None:
        near, far = memory_streams()
        await near.write(junk + bytes(300))
        with pytest.raises(PeerError) as caught:
            await BlockServer(MemoryBlockStore(), in_this_thread).serve(far, PEER)
        assert caught.value.peer == PEER

    run()


@on_trio
async def test_a_want_that_is_never_finished_is_ended() -> None:
    near, far = memory_streams()
    await near.write(encode_want([WANTED[0]])[:-1])
    with pytest.raises(StalledError):
        await BlockServer(MemoryBlockStore(), in_this_thread).serve(far, PEER)


@on_trio
async def test_readers_that_do_not_read_give_their_places_up() -> None:
    large, small = raw_block(1, 1 << 20), raw_block(2, 10)
    async with trio.open_nursery() as nursery:
        serving = Serving(nursery, [large, small])
        for number in range(20):
            near, far = memory_streams()
            nursery.start_soon(ignore_stall, serving.server, far, identity(100 + number).peer)
            await near.write(encode_want([large[0]]))
        fetched = await serving.client.fetch(OTHER, [small[0]])
        assert fetched.blocks == dict([small])
        nursery.cancel_scope.cancel()


async def ignore_stall(server: BlockServer, stream: MemoryStream, peer: PeerId) -> None:
    with pytest.raises(StalledError):
        await server.serve(stream, peer)

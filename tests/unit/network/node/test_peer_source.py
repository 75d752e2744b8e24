"""Blocks from a peer: how long and how much is asked."""

import pytest
import trio

from network.node.peer_source import PeerSource
from network.transport import FetchedBlocks
from storage.cid import RAW, make_cid
from storage.errors import UnavailableError
from tests.unit.network.node.offers import ALICE, on_real_time

DATA = b"block"
BLOCK = make_cid(RAW, DATA)


class Transport:
    async def fetch_blocks(self, peer, cids, *, deadline_s):
        return FetchedBlocks(blocks=dict.fromkeys(cids, DATA), absent=())


def source(**bounds):
    return PeerSource(Transport(), ALICE, **({"max_bytes": 100, "max_s": 60.0} | bounds))


@on_real_time
async def test_a_block_comes_while_the_source_is_open():
    assert await trio.to_thread.run_sync(source().block, BLOCK) == DATA


@on_real_time
async def test_a_peer_is_not_asked_for_ever():
    with pytest.raises(UnavailableError, match="in time"):
        await trio.to_thread.run_sync(source(max_s=0.0).block, BLOCK)


@on_real_time
async def test_a_closed_source_asks_no_more():
    one = source()
    one.close()
    with pytest.raises(UnavailableError, match="not wanted"):
        await trio.to_thread.run_sync(one.block, BLOCK)


@on_real_time
async def test_no_more_comes_than_was_allowed():
    one = source(max_bytes=len(DATA))
    await trio.to_thread.run_sync(one.block, BLOCK)
    with pytest.raises(UnavailableError, match="larger"):
        await trio.to_thread.run_sync(one.block, BLOCK)

"""The seam, on the network of memory: what a node's driver may rely on whatever the transport."""

import pytest
import trio
import trio.testing

from network.transport import (
    CapacityHeard,
    PeerChange,
    PeerEvent,
    PeerUnreachableError,
    Transport,
)
from network.transport_capacity import sign_record
from network.transport_core import MAX_EVENTS, EventQueue
from network.transport_frames import Kind, encode_frame
from network.transport_memory import MemoryNetwork
from storage.blocks import MemoryBlockStore
from storage.errors import PeerError, UnavailableError
from tests.unit.network.transport_world import Echo, identity, on_trio, raw_block
from verifier.peer_id import PeerId

ONE, TWO, THREE = identity(1), identity(2), identity(3)


@on_trio
async def test_request_send_and_who_is_there() -> None:
    network, echo = MemoryNetwork(), Echo()
    async with network.join(ONE, Echo(), MemoryBlockStore()) as one:
        transport: Transport = one
        events = transport.events()
        with pytest.raises(PeerUnreachableError, match="not connected"):
            await transport.request(TWO.peer, b"x", deadline_s=1)
        async with network.join(TWO, echo, MemoryBlockStore()):
            await network.connect(ONE.peer, TWO.peer)
            assert transport.connected() == {TWO.peer}
            assert await transport.request(TWO.peer, b"x", deadline_s=1) == b"echo x"
            await transport.send(TWO.peer, b"news", deadline_s=1)
            await echo.arrived.wait()
            assert echo.received == [(ONE.peer, b"news")]
        assert transport.connected() == frozenset()
        assert await events.next() == PeerEvent(peer=TWO.peer, change=PeerChange.UP)
        assert await events.next() == PeerEvent(peer=TWO.peer, change=PeerChange.DOWN)
    with pytest.raises(UnavailableError, match="closed"):
        await events.next()


@on_trio
async def test_a_deadline_and_a_connection_that_ends() -> None:
    network, echo = MemoryNetwork(), Echo()
    async with (
        network.join(ONE, Echo(), MemoryBlockStore()) as one,
        network.join(TWO, echo, MemoryBlockStore()) as two,
    ):
        await network.connect(ONE.peer, TWO.peer)
        with pytest.raises(PeerUnreachableError, match="no answer within 3 s"):
            await one.request(TWO.peer, b"wait", deadline_s=3)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(expect_unreachable, one, TWO.peer)
            await trio.testing.wait_all_tasks_blocked()
            await two.disconnect(ONE.peer, ban=False)
        await network.connect(ONE.peer, TWO.peer)
        assert await one.request(TWO.peer, b"again", deadline_s=1) == b"echo again"


async def expect_unreachable(transport: Transport, peer: PeerId) -> None:
    with pytest.raises(PeerUnreachableError, match="ended"):
        await transport.request(peer, b"wait", deadline_s=60)


@on_trio
async def test_capacity_reaches_everyone_once_and_the_latest_wins() -> None:
    network = MemoryNetwork()
    async with (
        network.join(ONE, Echo(), MemoryBlockStore()) as one,
        network.join(TWO, Echo(), MemoryBlockStore()) as two,
        network.join(THREE, Echo(), MemoryBlockStore()) as three,
    ):
        for left, right in ((ONE, TWO), (TWO, THREE), (THREE, ONE)):
            await network.connect(left.peer, right.peer)
        events = three.events()
        await one.publish_capacity(b"first")
        await trio.sleep(5)
        await one.publish_capacity(b"second")
        assert two.capacities() == three.capacities() == {ONE.peer: b"second"}
        assert one.capacities() == {}
        assert await events.next() == CapacityHeard(node=ONE.peer, payload=b"first")
        assert await events.next() == CapacityHeard(node=ONE.peer, payload=b"second")


@on_trio
async def test_a_restarted_node_is_heard() -> None:
    network = MemoryNetwork()
    async with network.join(ONE, Echo(), MemoryBlockStore()) as one:
        for payload in (b"before", b"after"):
            async with network.join(TWO, Echo(), MemoryBlockStore()) as two:
                await network.connect(ONE.peer, TWO.peer)
                await two.publish_capacity(payload)
                await trio.sleep(5)
        assert one.capacities() == {TWO.peer: b"after"}


@on_trio
async def test_forged_records_are_not_kept_and_not_passed_on() -> None:
    network = MemoryNetwork()
    async with (
        network.join(ONE, Echo(), MemoryBlockStore()) as one,
        network.join(TWO, Echo(), MemoryBlockStore()) as two,
    ):
        await network.connect(ONE.peer, TWO.peer)
        forged = bytearray(sign_record(THREE, 1, b"mine"))
        forged[-1] ^= 1
        await network.wire_of(TWO.peer).gossip(bytes(forged))
        assert one.capacities() == {}
        await network.wire_of(TWO.peer).gossip(sign_record(THREE, 1, b"mine"))
        assert one.capacities() == {THREE.peer: b"mine"}
        assert two.connected() == {ONE.peer}


@on_trio
async def test_who_breaks_the_rules_is_disconnected_and_stays_out() -> None:
    network = MemoryNetwork()
    async with (
        network.join(ONE, Echo(), MemoryBlockStore()) as one,
        network.join(TWO, Echo(), MemoryBlockStore()),
        network.join(THREE, Echo(), MemoryBlockStore()) as three,
    ):
        await network.connect(ONE.peer, TWO.peer)
        await network.connect(ONE.peer, THREE.peer)
        stream = await network.wire_of(TWO.peer).open_stream(ONE.peer, "/bacalhau/request/1")
        await stream.write(encode_frame(Kind.ANSWER, 1))
        await trio.testing.wait_all_tasks_blocked()
        assert one.connected() == {THREE.peer}
        await network.connect(ONE.peer, TWO.peer)
        assert one.connected() == {THREE.peer}
        assert await three.request(ONE.peer, b"x", deadline_s=1) == b"echo x"
        await trio.sleep(601)
        await network.connect(ONE.peer, TWO.peer)
        assert one.connected() == {TWO.peer, THREE.peer}


@on_trio
async def test_a_flood_of_streams_is_refused_and_then_its_peer() -> None:
    network = MemoryNetwork()
    async with (
        network.join(ONE, Echo(), MemoryBlockStore()) as one,
        network.join(TWO, Echo(), MemoryBlockStore()),
        network.join(THREE, Echo(), MemoryBlockStore()) as three,
    ):
        await network.connect(ONE.peer, TWO.peer)
        await network.connect(ONE.peer, THREE.peer)
        with pytest.raises(PeerUnreachableError):
            await open_many(network, 1000)
        assert one.connected() == {THREE.peer}
        assert await three.request(ONE.peer, b"x", deadline_s=1) == b"echo x"


async def open_many(network: MemoryNetwork, count: int) -> None:
    for _ in range(count):
        await network.wire_of(TWO.peer).open_stream(ONE.peer, "/bacalhau/blocks/1")


class LyingStore(MemoryBlockStore):
    """Gives other bytes than were asked for."""

    def get(self, cid: object) -> bytes:
        return b"lies"


@on_trio
async def test_a_liar_is_named_and_disconnected() -> None:
    network = MemoryNetwork()
    cid, data = raw_block(1, 1000)
    honest = MemoryBlockStore()
    honest.put(cid, data)
    async with (
        network.join(ONE, Echo(), MemoryBlockStore()) as one,
        network.join(TWO, Echo(), LyingStore()),
        network.join(THREE, Echo(), honest),
    ):
        await network.connect(ONE.peer, TWO.peer)
        await network.connect(ONE.peer, THREE.peer)
        with pytest.raises(PeerError) as caught:
            await one.fetch_blocks(TWO.peer, [cid], deadline_s=5)
        assert (caught.value.peer, caught.value.evidence) == (TWO.peer, (cid,))
        assert one.connected() == {THREE.peer}
        assert (await one.fetch_blocks(THREE.peer, [cid], deadline_s=5)).blocks == {cid: data}


@on_trio
async def test_a_peer_that_may_not_connect_is_hung_up_on() -> None:
    network = MemoryNetwork()
    async with network.join(ONE, Echo(), MemoryBlockStore()) as one, network.join(TWO, Echo(), MemoryBlockStore()):
        await one.disconnect(TWO.peer, ban=True)
        await network.connect(ONE.peer, TWO.peer)
        assert one.connected() == frozenset()
        assert not one.admits(TWO.peer)


@on_trio
async def test_who_does_not_come_for_events_keeps_the_newest() -> None:
    queue = EventQueue()
    for number in range(MAX_EVENTS + 5):
        queue.put(CapacityHeard(node=ONE.peer, payload=str(number).encode()))
    first = await queue.next()
    assert isinstance(first, CapacityHeard)
    assert first.payload == b"5"

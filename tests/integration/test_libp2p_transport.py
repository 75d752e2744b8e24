"""The transport over py-libp2p among honest nodes: what a driver relies on."""

from tests.integration import libp2p_gate  # noqa: F401

# isort: split
import contextlib
import ipaddress
from importlib import metadata

import pytest
import trio

from network.libp2p_compat import check_version
from network.libp2p_host import peer_info
from network.transport import CapacityHeard, PeerChange, PeerEvent, PeerUnreachableError
from network.transport_lists import ConnectionLists, parse_networks
from storage.blocks import MemoryBlockStore
from storage.errors import PeerError, UserError
from tests.integration.libp2p_world import Echo, on_trio, peer, stranger, stream_to, until
from tests.unit.network.transport_world import identity, raw_block

# isort: split
from libp2p.discovery.events.peerDiscovery import peerDiscovery

ONE, TWO = identity(1).peer, identity(2).peer


@on_trio
async def test_requests_messages_blocks_and_capacity_both_ways() -> None:
    blocks = [raw_block(number, 700_000) for number in range(8)]
    missing, _ = raw_block(99, 10)
    store, echo = MemoryBlockStore(), Echo()
    store.put_many(blocks)
    async with peer(1, store=store) as one:
        events = one.events()
        async with peer(2, handler=echo) as two:
            assert one.addresses[0].endswith(f"/p2p/{ONE}")
            assert await two.connect(one.addresses[0]) == ONE
            assert await events.next() == PeerEvent(peer=TWO, change=PeerChange.UP)
            assert await two.request(ONE, b"x", deadline_s=10) == b"echo x"
            assert await one.request(TWO, b"y", deadline_s=10) == b"echo y"
            await one.send(TWO, b"news", deadline_s=10)
            await echo.arrived.wait()
            assert echo.received == [(ONE, b"news")]
            fetched = await two.fetch_blocks(ONE, [missing, *(cid for cid, _ in blocks)], deadline_s=30)
            rest = await two.fetch_blocks(ONE, [cid for cid, _ in blocks if cid not in fetched.blocks], deadline_s=30)
            assert {**fetched.blocks, **rest.blocks} == dict(blocks)
            assert fetched.absent == {missing}
            await publish_until_heard(one, b"idle", two.capacities)
            assert two.capacities() == {ONE: b"idle"}
        assert await events.next() == PeerEvent(peer=TWO, change=PeerChange.DOWN)


@on_trio
async def test_what_a_stranger_says_is_dialled_once_and_not_kept() -> None:
    async with peer(1) as one, peer(2) as two:
        await two.reach(one.addresses[0])
        assert ONE in two.connected()
        assert two.upkeep._wanted == {}


@on_trio
async def test_many_requests_at_once_and_one_that_is_given_up() -> None:
    async with peer(1) as one, peer(2) as two:
        await two.connect(one.addresses[0])
        answers: dict[int, bytes] = {}

        async def ask(number: int) -> None:
            answers[number] = await two.request(ONE, b"%d" % number * 1000, deadline_s=30)

        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(ask, number)
            with pytest.raises(PeerUnreachableError, match="no answer within"):
                await two.request(ONE, b"wait", deadline_s=0.2)
        assert answers == {number: b"echo " + b"%d" % number * 1000 for number in range(100)}


@on_trio
async def test_a_peer_that_was_restarted_is_connected_again_and_heard() -> None:
    async with peer(1) as one:
        address = one.addresses[0]
        listen = address.partition("/p2p/")[0]
    async with peer(2, bootstrap=(address,)) as two:
        events = two.events()
        for payload in (b"before", b"after"):
            async with peer(1, listen=(listen,)) as one:
                assert await next_of(events, PeerEvent) == PeerEvent(peer=ONE, change=PeerChange.UP)
                assert await two.request(ONE, b"x", deadline_s=10) == b"echo x"
                await publish_until_heard(one, payload, lambda payload=payload: two.capacities().get(ONE) == payload)
            assert await next_of(events, PeerEvent) == PeerEvent(peer=ONE, change=PeerChange.DOWN)


async def next_of(events: object, kind: type) -> object:
    while not isinstance(event := await events.next(), kind):  # type: ignore[attr-defined]
        pass
    return event


async def publish_until_heard(transport: object, payload: bytes, heard: object) -> None:
    """Gossip may be lost, and is not heard before the mesh has formed."""
    while not heard():  # type: ignore[operator]
        await transport.publish_capacity(payload)  # type: ignore[attr-defined]
        await trio.sleep(1.1)


@on_trio
async def test_capacity_goes_beyond_who_is_connected() -> None:
    async with peer(1) as one, peer(2) as two, peer(3) as three:
        await one.connect(two.addresses[0])
        await three.connect(two.addresses[0])
        events = three.events()
        await publish_until_heard(one, b"idle", lambda: ONE in three.capacities())
        assert await next_of(events, CapacityHeard) == CapacityHeard(node=ONE, payload=b"idle")
        assert three.connected() == {TWO}


@on_trio
async def test_a_peer_that_announces_itself_nearby_is_connected() -> None:
    async with peer(1) as one, peer(2) as two:
        with two.upkeep.found_nearby():
            peerDiscovery.emit_peer_discovered(peer_info(one.addresses[0]))
            await until(lambda: two.connected() == {ONE}, "it is dialled")


@on_trio
async def test_deny_lists_of_peers_and_of_addresses() -> None:
    denied = ConnectionLists(denied_peers=frozenset({TWO}))
    elsewhere = ConnectionLists(allowed_networks=parse_networks(("192.0.2.0/24",)))
    async with peer(1, lists=denied) as one, peer(2) as two, peer(3, lists=elsewhere) as three, peer(4) as four:
        await four.connect(one.addresses[0])
        with pytest.raises(PeerUnreachableError):
            await one.connect(two.addresses[0])
        with pytest.raises(PeerUnreachableError):
            await two.connect(three.addresses[0])
        with pytest.raises(PeerUnreachableError):
            await three.connect(four.addresses[0])
        with contextlib.suppress(PeerUnreachableError):
            await two.connect(one.addresses[0])
        await until(lambda: not two.connected(), "it is hung up on")
        assert one.connected() == {identity(4).peer}


@on_trio
async def test_a_peer_of_a_future_version_is_refused_that_protocol_alone() -> None:
    async with peer(1) as one, stranger(2, one.addresses[0]) as (host, node):
        for protocol in ("/bacalhau/request/2", "/bacalhau/blocks/99", "/bacalhau", "/ipfs/bitswap/1.2.0"):
            with pytest.raises(Exception, match="failed to open"):
                await stream_to(host, node, protocol)
        stream = await stream_to(host, node, "/bacalhau/request/1")
        await stream.write(bytes.fromhex("00000001 01 00000007") + b"x")
        assert await read_size(stream, 15) == bytes.fromhex("00000006 10 00000007") + b"echo x"
        assert one.connected() == {TWO}


async def read_size(stream: object, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += await stream.read(size - len(data))  # type: ignore[attr-defined]
    return data


class LyingStore(MemoryBlockStore):
    def get(self, cid: object) -> bytes:
        return b"lies"


@on_trio
async def test_a_liar_is_named_and_disconnected() -> None:
    cid, _ = raw_block(1, 1000)
    async with peer(1, store=LyingStore()) as one, peer(2) as two:
        await two.connect(one.addresses[0])
        with pytest.raises(PeerError) as caught:
            await two.fetch_blocks(ONE, [cid], deadline_s=10)
        assert (caught.value.peer, caught.value.evidence) == (ONE, (cid,))
        await until(lambda: not two.connected(), "the liar is gone")
        with pytest.raises(PeerUnreachableError, match="banned"):
            await two.connect(one.addresses[0])


@pytest.mark.parametrize("address", ["", "127.0.0.1:80", "/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/1/p2p/Qmx"])
def test_addresses_that_are_none(address: str) -> None:
    @on_trio
    async def run() -> None:
        async with peer(1) as one:
            with pytest.raises(UserError) as caught:
                await one.connect(address)
            assert caught.value.fix

    run()


@pytest.mark.parametrize("installed", ["0.8.0", "0.8.2", None])
def test_another_release_is_refused(installed: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if installed is None:
            raise metadata.PackageNotFoundError(name)
        return installed

    monkeypatch.setattr("network.libp2p_compat.version", version)
    with pytest.raises(UserError, match=r"libp2p"):
        check_version()


def test_lists() -> None:
    lists = ConnectionLists(
        allowed_networks=parse_networks(("10.0.0.0/8", "::1")), denied_networks=parse_networks(("10.1.0.0/16",))
    )
    assert [lists.admits_address(host) for host in ("10.2.3.4", "10.1.3.4", "::1", "::ffff:10.2.3.4", "::2", "x")] == [
        True,
        False,
        True,
        True,
        False,
        False,
    ]
    assert lists.denied_networks == (ipaddress.ip_network("10.1.0.0/16"),)
    with pytest.raises(UserError, match=r"10\.0\.0\.1/8"):
        parse_networks(("10.0.0.1/8",))


def test_what_ends_the_block_comes_out_of_it() -> None:
    @on_trio
    async def run() -> None:
        async with peer(1) as one, peer(2) as two:
            await two.connect(one.addresses[0])
            raise LookupError("ours")

    with pytest.raises(LookupError, match="ours"):
        run()


def test_a_port_that_is_taken_is_a_users_error() -> None:
    @on_trio
    async def run() -> None:
        async with peer(1) as one, peer(2, listen=(one.addresses[0].partition("/p2p/")[0],)):
            pytest.fail("two nodes on one port")

    with pytest.raises(UserError, match="listen"):
        run()

"""One test for each thing that py-libp2p 0.8.1 does wrong: each fails when its workaround is taken away.

Those against strangers (1, 15, 16, the address limits of 2) are in test_libp2p_strangers.py.
"""

from tests.integration import libp2p_gate  # noqa: F401

# isort: split
import contextlib
import logging
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
import trio

from network.libp2p_compat import RefusedError
from network.transport import PeerChange, PeerEvent, PeerUnreachableError
from tests.integration.libp2p_world import node_process, on_trio, peer, stranger, stream_to, until
from tests.unit.network.transport_world import identity

# isort: split
from libp2p import new_host
from libp2p.crypto import ecc
from libp2p.crypto.secp256k1 import create_new_key_pair
from libp2p.network.connection import swarm_connection
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.pubsub import pubsub as pubsub_module
from libp2p.pubsub.pb import rpc_pb2
from libp2p.stream_muxer.yamux import yamux
from multiaddr import Multiaddr

ONE, TWO = identity(1).peer, identity(2).peer


@on_trio
async def test_2_a_place_is_free_again_when_its_connection_ends() -> None:
    async with peer(1, max_connections=3) as one:
        for _ in range(8):
            async with peer(2) as two:
                await two.connect(one.addresses[0])
                assert await two.request(ONE, b"x", deadline_s=10) == b"echo x"
            await until(lambda: not one.connected(), "its end is noticed")


@on_trio
async def test_3_a_write_that_is_cancelled_does_not_end_its_connection() -> None:
    async with peer(1) as one, stranger(2, one.addresses[0]) as (host, node):
        connection: Any = host.get_network().get_connections(node)[0].muxed_conn
        write = connection.secured_conn.write
        with trio.CancelScope() as scope:

            async def cancelled(data: bytes) -> None:
                scope.cancel()
                await write(data)

            with replaced(connection.secured_conn, "write", cancelled):
                await connection._write_frame(ping(connection))
        assert scope.cancelled_caught, "the cancellation is not lost"
        again: Any = await stream_to(host, node, "/ipfs/ping/1.0.0")
        await again.write(bytes(32))
        assert await again.read(32) == bytes(32)


def ping(connection: yamux.Yamux) -> bytes:
    return yamux.struct.pack(yamux.YAMUX_HEADER_FORMAT, 0, yamux.TYPE_PING, yamux.FLAG_SYN, 0, 7)


@on_trio
async def test_4_plaintext_is_refused_and_noise_is_not() -> None:
    async with peer(1) as one:
        port = int(one.addresses[0].split("/")[4])
        async with await trio.open_tcp_stream("127.0.0.1", port) as raw:
            await raw.send_all(line("/multistream/1.0.0") + line("/plaintext/2.0.0") + line("/secio/1.0.0"))
            await raw.send_all(line("/noise"))
            answer = b""
            while not answer.endswith(b"/noise\n"):
                answer += await raw.receive_some()
        assert answer == line("/multistream/1.0.0") + line("na") * 2 + line("/noise")


def line(text: str) -> bytes:
    return bytes([len(text) + 1]) + text.encode() + b"\n"


@on_trio
async def test_5_gossip_after_a_restart_has_numbers_of_its_own() -> None:
    counters = []
    for _ in range(2):
        async with peer(1) as one:
            counters.append(one.upkeep._pubsub.counter)
    assert counters[1] > counters[0] + 1_000_000


@on_trio
async def test_6_a_burst_of_gossip_is_not_dropped() -> None:
    async with peer(1) as one, peer(2) as two:
        await two.connect(one.addresses[0])
        await until(lambda: one.upkeep._pubsub.peer_queues, "gossip is open")
        queue: Any = next(iter(one.upkeep._pubsub.peer_queues.values()))
        assert all(queue.push(rpc_pb2.RPC()) for _ in range(1000)), "nothing is sent meanwhile"
        assert pubsub_module.SUBSCRIPTION_CHANNEL_SIZE >= 1000
        router: Any = one.upkeep._pubsub.router
        assert router.heartbeat_interval == 1
        assert not router.spam_protection_enabled
        assert not router.adaptive_gossip_enabled


@on_trio
async def test_7_credit_is_not_given_for_each_byte_that_is_read() -> None:
    async with peer(1) as one, stranger(2, one.addresses[0]) as (host, node):
        stream: Any = await stream_to(host, node, "/ipfs/ping/1.0.0")
        updates = []
        send = yamux.YamuxStream.send_window_update

        async def count(self: yamux.YamuxStream, increment: int, skip_lock: bool = False) -> None:
            updates.append(increment)
            await send(self, increment, skip_lock)

        with replaced(yamux.YamuxStream, "send_window_update", count):
            await stream.write(bytes(32))
            for _ in range(32):
                await stream.read(1)
        assert len(updates) <= 2


@contextlib.contextmanager
def replaced(owner: Any, name: str, value: object) -> Iterator[None]:
    original = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, original)


@on_trio
async def test_9_many_streams_that_were_given_up_leave_room_for_more() -> None:
    async with peer(1) as one, peer(2) as two:
        await two.connect(one.addresses[0])
        await until(lambda: two.upkeep._pubsub.peers, "gossip is open")
        network: Any = two.upkeep._host.get_network()
        places = network.get_connections()[0].muxed_conn.stream_backlog_semaphore
        before = places.value
        for number in range(200):
            with trio.move_on_after(number * 0.00005):
                await (await two._wire.open_stream(ONE, "/ipfs/ping/1.0.0")).reset()
        await until(lambda: places.value == before, "places are given back")
        assert await two.request(ONE, b"x", deadline_s=10) == b"echo x"


@on_trio
async def test_10_gossip_with_a_peer_is_opened_again() -> None:
    async with peer(1) as one, peer(2) as two:
        await two.connect(one.addresses[0])
        pubsub: Any = two.upkeep._pubsub
        await until(lambda: pubsub.peers, "gossip is open")
        lost, _stream = pubsub.peers.popitem()
        pubsub.peer_queues.pop(lost).close()
        await until(lambda: lost in pubsub.peers, "it is open again")


@on_trio
async def test_11_a_peer_that_was_down_and_comes_back_elsewhere_is_reached_at_once() -> None:
    async with peer(2) as two:
        async with peer(1) as one:
            gone = one.addresses[0]
            await two.connect(gone)
        await until(lambda: not two.connected(), "its end is noticed")
        with pytest.raises(PeerUnreachableError):
            await two.connect(gone)
        async with peer(1) as one:
            assert one.addresses[0] != gone
            await two.connect(one.addresses[0])
            assert await two.request(ONE, b"x", deadline_s=10) == b"echo x"


@on_trio
async def test_11_a_peer_that_is_frozen_is_dropped() -> None:
    with node_process("frozen") as node:
        async with peer(1) as one:
            events = one.events()
            frozen = await one.connect(node.address)
            assert await events.next() == PeerEvent(peer=frozen, change=PeerChange.UP)
            os.kill(node.process.pid, signal.SIGSTOP)
            try:
                assert await events.next() == PeerEvent(peer=frozen, change=PeerChange.DOWN)
            finally:
                os.kill(node.process.pid, signal.SIGCONT)


@on_trio
async def test_11_nobody_is_dialled_who_was_not_asked_for() -> None:
    async with peer(1) as one, peer(2) as two, peer(3) as three:
        await one.connect(two.addresses[0])
        three_info = info_from_p2p_addr(Multiaddr(three.addresses[0]))
        network: Any = one.upkeep._host.get_network()
        network.peerstore.add_addrs(three_info.peer_id, three_info.addrs, 3600)
        await network.auto_connector.maybe_connect()
        assert one.connected() == {TWO}
        assert not three.connected()


def test_13_nothing_is_logged_on_the_root_logger() -> None:
    assert swarm_connection.logging is not logging  # type: ignore[attr-defined]
    assert not logging.getLogger("libp2p").isEnabledFor(logging.ERROR)


def test_14_keys_that_need_a_compiler_are_refused_in_words() -> None:
    with pytest.raises(RefusedError, match="ECDSA"):
        ecc.ECCPublicKey.from_bytes(b"\4" + bytes(64), "P-256")


@on_trio
async def test_14_a_peer_without_an_ed25519_key_is_hung_up_on() -> None:
    async with peer(1) as one:
        host = new_host(key_pair=create_new_key_pair())
        async with host.run([Multiaddr("/ip4/127.0.0.1/tcp/0")]):
            await host.connect(info_from_p2p_addr(Multiaddr(one.addresses[0])))
            await until(lambda: not host.get_connected_peers(), "it is hung up on")
            await host.close()
        assert not one.connected()

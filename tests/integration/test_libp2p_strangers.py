"""Strangers against a node in a process of its own: whatever they send, it serves honest peers, and its memory stays.

Every test is followed by the same two checks: an honest peer is served, and the peak of the node's memory is within
64 MiB of where it began.
"""

from tests.integration import libp2p_gate  # noqa: F401

# isort: split
import contextlib
import socket
from collections.abc import Iterator

import pytest
import trio

from network.libp2p_transport import Libp2pSettings
from network.transport_capacity import TOPIC, sign_record
from network.transport_frames import Kind, encode_frame
from storage.cid import parse_cid
from tests.integration.libp2p_world import (
    MEMORY_BYTES,
    NodeProcess,
    node_process,
    on_trio,
    peer,
    read_to_end,
    stranger,
    stream_to,
    write_until_broken,
)
from tests.unit.network.transport_world import identity

# isort: split
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11
from libp2p.pubsub.pb import rpc_pb2
from libp2p.stream_muxer.yamux import yamux
from libp2p.utils.varint import encode_varint_prefixed

HONEST = identity(1000)
PROTOCOLS = (
    "/bacalhau/request/1",
    "/bacalhau/blocks/1",
    PROTOCOL_ID_V11,
    "/ipfs/id/1.0.0",
    "/ipfs/id/push/1.0.0",
    "/ipfs/ping/1.0.0",
)
JUNK = {
    "a length and no protobuf": b"\x03\xff\xff\xff",
    "ones": b"\xff" * 300,
    "zeros": bytes(300),
    "http": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a length of 2^63": b"\xff" * 8 + b"\x7f" + bytes(300),
}


@pytest.fixture(scope="module")
def running() -> Iterator[NodeProcess]:
    with node_process("strangers") as node:
        yield node


@pytest.fixture
def node(running: NodeProcess) -> Iterator[NodeProcess]:
    with keeps_its_memory(running):
        yield running


@pytest.fixture
def fresh_node() -> Iterator[NodeProcess]:
    """A node that no other test has made grow: an allocator that keeps what it has would hide what this one costs."""
    with node_process("strangers") as node, keeps_its_memory(node):
        yield node


@contextlib.contextmanager
def keeps_its_memory(node: NodeProcess) -> Iterator[None]:
    before = node.ask("rss")["rss_bytes"]
    yield
    serves_honest_peers(node)
    grown = node.ask("rss")["peak_bytes"] - before
    print(f"grew by {grown / 2**20:.1f} MiB")
    assert grown < MEMORY_BYTES


def serves_honest_peers(node: NodeProcess) -> None:
    @on_trio
    async def run() -> None:
        async with peer(1000) as honest:
            there = await honest.connect(node.address)
            assert await honest.request(there, b"x", deadline_s=30) == b"echo x"
            cid = parse_cid(node.facts["cids"]["large"])
            assert (await honest.fetch_blocks(there, [cid], deadline_s=30)).blocks.keys() == {cid}

    run()


def test_an_honest_peer_alone(node: NodeProcess) -> None:
    pass


@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK.keys())
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_junk_on_every_protocol(node: NodeProcess, protocol: str, junk: bytes) -> None:
    @on_trio
    async def run() -> None:
        number = 2000 + list(JUNK.values()).index(junk) + 10 * PROTOCOLS.index(protocol)
        async with stranger(number, node.address) as (host, there):
            stream = await stream_to(host, there, protocol)
            await write_until_broken(stream, junk, 3)
            with contextlib.suppress(Exception):
                await stream.close()
            await read_to_end(stream)

    run()


OVERSIZE = {
    "a request of 4 GiB": ("/bacalhau/request/1", b"\xff\xff\xff\xff\x01\0\0\0\1"),
    "gossip of 1 GiB": (PROTOCOL_ID_V11, b"\x80\x80\x80\x80\x04"),
    "identify of 2 GiB": ("/ipfs/id/push/1.0.0", b"\xff\xff\xff\xff\x07"),
}


@pytest.mark.parametrize(("protocol", "head"), OVERSIZE.values(), ids=OVERSIZE.keys())
def test_messages_that_are_announced_too_large(fresh_node: NodeProcess, protocol: str, head: bytes) -> None:
    @on_trio
    async def run() -> None:
        number = 2100 + [protocol for protocol, _ in OVERSIZE.values()].index(protocol)
        async with stranger(number, fresh_node.address) as (host, there):
            stream = await stream_to(host, there, protocol)
            await stream.write(head)
            assert await write_until_broken(stream, bytes(1 << 20), 200) < 200

    run()


def test_a_peer_that_ignores_the_window_of_a_stream(fresh_node: NodeProcess) -> None:
    @on_trio
    async def run() -> None:
        async with stranger(2200, fresh_node.address) as (host, there):
            stream = await stream_to(host, there, "/bacalhau/blocks/1")
            many = [parse_cid(text) for text in fresh_node.facts["many"]]
            # Its reader waits for us to take an answer, so nobody reads what else we send.
            await stream.write(bytes([len(many)]) + b"".join(bytes([len(cid)]) + cid for cid in many))
            assert await flood_stream(stream.muxed_stream, 200) < 200

    run()


async def flood_stream(stream: "yamux.YamuxStream", megabytes: int) -> int:
    piece = bytes(60_000)
    for count in range(megabytes * 17):
        head = yamux.struct.pack(yamux.YAMUX_HEADER_FORMAT, 0, yamux.TYPE_DATA, 0, stream.stream_id, len(piece))
        try:
            await stream.conn._write_frame(head + piece)
        except Exception:  # noqa: BLE001 - the other side ends it in any of many ways
            return count // 17
        if stream.conn.event_shutting_down.is_set():
            return count // 17
    return megabytes


def test_many_peers_that_ignore_their_windows(fresh_node: NodeProcess) -> None:
    @on_trio
    async def run() -> None:
        async with trio.open_nursery() as nursery:
            for number in range(32):
                nursery.start_soon(hoard, number)

    async def hoard(number: int) -> None:
        async with stranger(2300 + number, fresh_node.address) as (host, there):
            stream = await stream_to(host, there, "/bacalhau/blocks/1")
            many = [parse_cid(text) for text in fresh_node.facts["many"]]
            await stream.write(bytes([len(many)]) + b"".join(bytes([len(cid)]) + cid for cid in many))
            await flood_stream(stream.muxed_stream, 3)  # below what ends a connection by itself

    run()


def test_a_flood_of_streams(fresh_node: NodeProcess) -> None:
    @on_trio
    async def run() -> None:
        async with stranger(2400, fresh_node.address) as (host, there):
            connection = host.get_network().get_connections(there)[0].muxed_conn
            for number in range(3001, 9001, 2):
                head = yamux.struct.pack(
                    yamux.YAMUX_HEADER_FORMAT, 0, yamux.TYPE_WINDOW_UPDATE, yamux.FLAG_SYN, number, 0
                )
                try:
                    await connection._write_frame(head)
                except Exception:  # noqa: BLE001 - the other side ends it in any of many ways
                    break
                if connection.event_shutting_down.is_set():
                    break
            else:
                pytest.fail("the node took 3,000 streams")

    run()


@pytest.mark.parametrize("kind", [Kind.REQUEST, Kind.SEND])
def test_a_flood_of_requests_that_take_for_ever(fresh_node: NodeProcess, kind: Kind) -> None:
    @on_trio
    async def run() -> None:
        async with stranger(2500 + kind, fresh_node.address) as (host, there):
            stream = await stream_to(host, there, "/bacalhau/request/1")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(read_to_end, stream)
                frame = encode_frame(kind, 1, b"wait" + bytes(500_000))
                assert await write_until_broken(stream, frame, 400) < 400, "it has enough"

    run()


def test_a_flood_of_requests_whose_answers_are_not_read(fresh_node: NodeProcess) -> None:
    @on_trio
    async def run() -> None:
        async with trio.open_nursery() as nursery:
            for number in range(8):
                nursery.start_soon(ask_and_not_read, number)

    async def ask_and_not_read(number: int) -> None:
        async with stranger(2600 + number, fresh_node.address) as (host, there):
            stream = await stream_to(host, there, "/bacalhau/request/1")
            await write_until_broken(stream, b"".join(encode_frame(Kind.REQUEST, n, b"large") for n in range(32)), 1)
            await read_to_end_slowly(stream)

    async def read_to_end_slowly(stream: object) -> None:
        await trio.sleep(1)

    run()


def test_half_messages_and_then_silence(fresh_node: NodeProcess) -> None:
    """Slow-loris: streams that begin a message, and connections that never say who they are."""

    @on_trio
    async def run() -> None:
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(100):
                stream = await trio.open_tcp_stream("127.0.0.1", port_of(fresh_node), local_address="127.0.0.2")
                await stack.enter_async_context(stream)
                with contextlib.suppress(trio.BrokenResourceError):
                    await stream.send_all(b"\x13/multistream")
            host, there = await stack.enter_async_context(stranger(2700, fresh_node.address))
            for protocol in PROTOCOLS:
                with contextlib.suppress(Exception):
                    await (await stream_to(host, there, protocol)).write(b"\x01")
            await trio.to_thread.run_sync(serves_honest_peers, fresh_node)

    run()


def port_of(node: NodeProcess) -> int:
    return int(node.address.split("/")[4])


@pytest.mark.parametrize(
    "opening",
    [
        b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x80\x80\x80\x80\x08",
        b"\x04\xff\xfe\xfd\n",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_junk_before_a_handshake(node: NodeProcess, opening: bytes) -> None:
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", port_of(node)), timeout=30) as raw, contextlib.suppress(OSError):
            raw.sendall(opening)
            for _ in range(200):
                raw.sendall(bytes(1 << 20))


def test_one_address_cannot_take_all_places(node: NodeProcess) -> None:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(100)]
        for raw in sockets:
            raw.bind(("127.0.0.3", 0))
            raw.settimeout(30)
            raw.connect(("127.0.0.1", port_of(node)))
        greeted = sum(is_greeted(raw) for raw in sockets)
        assert greeted == Libp2pSettings().max_address_connections
        serves_honest_peers(node)


def is_greeted(raw: socket.socket) -> bool:
    """Tell whether the node speaks on a connection, or has closed it."""
    try:
        return raw.recv(1) != b""
    except ConnectionResetError:
        return False


def test_a_thousand_connections_in_turn_leave_no_trace(node: NodeProcess) -> None:
    for _ in range(1000):
        with socket.create_connection(("127.0.0.1", port_of(node)), timeout=30):
            pass


def gossip(message: rpc_pb2.Message) -> bytes:
    return encode_varint_prefixed(rpc_pb2.RPC(publish=[message]).SerializeToString())


def test_gossip_that_is_forged(fresh_node: NodeProcess) -> None:
    @on_trio
    async def run() -> None:
        async with stranger(2800, fresh_node.address) as (host, there):
            stream = await stream_to(host, there, PROTOCOL_ID_V11)
            key = host.get_private_key()
            for number in range(1000):
                message = rpc_pb2.Message(
                    from_id=host.get_id().to_bytes(),
                    data=sign_record(identity(2800), number, b"x")[:-1] + b"!",
                    topicIDs=[TOPIC],
                    seqno=number.to_bytes(8, "big"),
                )
                message.signature = key.sign(b"libp2p-pubsub:" + message.SerializeToString())
                if not await write_until_broken(stream, gossip(message), 1):
                    break
            else:
                pytest.fail("the node took 1,000 forged records")

    run()
    assert fresh_node.ask("")["capacities"] == 0


def test_gossip_with_a_key_that_is_none(node: NodeProcess) -> None:
    @on_trio
    async def run() -> None:
        async with stranger(2900, node.address) as (host, there):
            stream = await stream_to(host, there, PROTOCOL_ID_V11)
            message = rpc_pb2.Message(from_id=b"\0\1x", data=b"x", topicIDs=[TOPIC], seqno=bytes(8), key=b"\xff" * 40)
            message.signature = b"x" * 64
            for _ in range(20):
                await stream.write(gossip(message))
            with contextlib.suppress(Exception):
                await stream.close()
            await read_to_end(stream)

    run()


def test_subscriptions_to_everything(fresh_node: NodeProcess) -> None:
    @on_trio
    async def run() -> None:
        async with stranger(2950, fresh_node.address) as (host, there):
            stream = await stream_to(host, there, PROTOCOL_ID_V11)
            for start in range(0, 100_000, 1000):
                subscriptions = [
                    rpc_pb2.RPC.SubOpts(subscribe=True, topicid=f"{number}".rjust(50))
                    for number in range(start, start + 1000)
                ]
                message = encode_varint_prefixed(rpc_pb2.RPC(subscriptions=subscriptions).SerializeToString())
                if not await write_until_broken(stream, message, 1):
                    break

    run()

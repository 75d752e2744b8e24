"""What py-libp2p 0.8.1 does wrong in the hands of strangers, mended. `apply` changes the library for this process.

Each of these has a test in tests/integration/test_libp2p_workarounds.py that fails without it. The numbers are those of
decision 0033. The library keeps its private names only within a release, so `libp2p_compat` refuses any other.
"""

from __future__ import annotations

import logging
import os
import socket
import weakref
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

import trio

import network.libp2p_compat  # noqa: F401 - makes libp2p importable

# isort: split
from libp2p.abc import INetStream
from libp2p.exceptions import ParseError
from libp2p.io.utils import read_exactly
from libp2p.network.connection import swarm_connection
from libp2p.network.connection.exceptions import RawConnError
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.network.swarm import Swarm
from libp2p.protocol_muxer import multiselect_communicator
from libp2p.pubsub import pubsub as pubsub_module
from libp2p.pubsub.pubsub import Pubsub
from libp2p.pubsub.rpc_queue import RpcQueue
from libp2p.stream_muxer.yamux import yamux as yamux_module
from libp2p.stream_muxer.yamux.yamux import Yamux, YamuxStream
from libp2p.transport.tcp import tcp as tcp_module
from libp2p.utils.varint import read_varint_prefixed_bytes_limited

QUEUE_SLOTS: Final = 1024
"""Of gossip to a peer, and to us. The release has 32, and drops what is beyond without a word."""
MAX_NEGOTIATION_BYTES: Final = 1024
"""Of one message of multistream-select, as other implementations have it. The release takes any length."""
MAX_WINDOW_BYTES: Final = 1 << 20
"""Of a stream. The release lets a peer make it grow to 16 MiB."""
MAX_CONNECTION_BYTES: Final = 4 << 20
"""Unread on all streams of a connection, above which it ends. The release only logs a peer that ignores its window."""
MAX_PROCESS_BYTES: Final = 16 << 20
"""Unread on all connections of this process, above which the fullest of them ends."""
MAX_HALF_OPEN: Final = 256
"""Streams of a connection, those included that we are done with and the peer has not closed."""
WRITE_LIMIT_S: Final = 10.0
"""For one frame; whoever does not take it for so long loses the connection."""

log = logging.getLogger(__name__)
_connections: weakref.WeakSet[Yamux] = weakref.WeakSet()


def apply() -> None:
    """Change the library. Doing it twice is fine."""
    for owner, name, ours in (
        (Swarm, "_do_handle_inbound_connection", _handle_inbound),
        (Yamux, "_write_frame", _write_frame),
        (Yamux, "_read_data_body", _read_data_body),
        (YamuxStream, "_auto_tune_and_send_window_update", _send_window_update),
        (Pubsub, "push_msg", _push_message),
        (yamux_module, "MAX_WINDOW_SIZE", MAX_WINDOW_BYTES),
        (pubsub_module, "SUBSCRIPTION_CHANNEL_SIZE", QUEUE_SLOTS),
        (pubsub_module, "RpcQueue", _make_queue),
        (multiselect_communicator, "read_delim", _read_negotiation),
        (tcp_module, "_set_reuse_flags", _share_no_port),
        # It logs on the root logger, which prints where nobody has set logging up.
        (swarm_connection, "logging", logging.getLogger("libp2p.network.connection")),
    ):
        if not hasattr(owner, name):
            raise AttributeError(f"{owner.__name__} has no {name}")
        setattr(owner, name, ours)
    logging.getLogger("libp2p").setLevel(logging.CRITICAL)


class AddressLimits:
    """2. How many connections one IP address may have to us, so that one cannot take all places."""

    def __init__(self, admits: Callable[[str], bool], max_connections: int) -> None:
        self._admits = admits
        self._max = max_connections
        self._open: Counter[str] = Counter()

    def enter(self, host: str) -> bool:
        """Count a connection, unless it is one too many or not admitted."""
        if not self._admits(host) or self._open[host] >= self._max:
            return False
        self._open[host] += 1
        return True

    def leave(self, host: str) -> None:
        """Count a connection no longer."""
        self._open[host] -= 1
        if not self._open[host]:
            del self._open[host]


async def _handle_inbound(self: Swarm, connection: Any, address: Any, _failure: Any) -> None:
    """2. Hold a place until the connection ends; the release holds it until the node does, and is full after 250."""
    limits = cast(AddressLimits, self.bacalhau_limits)  # type: ignore[attr-defined]
    remote = connection.get_remote_address()
    host = remote[0] if remote else ""
    if not limits.enter(host):
        await connection.close()
        return
    raw = RawConnection(connection, False)
    try:
        muxed = await self.upgrade_inbound_raw_conn(raw, address)
        await cast(Yamux, muxed).event_closed.wait()
    except Exception as error:  # noqa: BLE001 - a stranger's handshake fails in many ways, none of which is ours
        log.debug("inbound connection: %s", error)
        await quietly(raw.close)
    finally:
        limits.leave(host)


async def _write_frame(self: Yamux, data: bytes) -> None:
    """3. A write that is cancelled leaves Noise's counters apart, and the connection dead but open: finish it."""
    async with self._write_lock:
        with trio.move_on_after(WRITE_LIMIT_S, shield=True) as scope:
            await self.secured_conn.write(data)
        if scope.cancelled_caught:
            await _end(self)
            raise RawConnError("peer did not take a frame in time")
    await trio.lowlevel.checkpoint()


def _share_no_port(sock: Any) -> None:
    """17. With the release's options two nodes listen on one port, and each gets some of the other's connections."""
    if os.name == "posix":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)


def _make_queue() -> RpcQueue:
    """6. Room for a burst."""
    return RpcQueue(max_size=QUEUE_SLOTS)


async def _send_window_update(self: YamuxStream, *, bytes_read: int = 0) -> None:  # noqa: ARG001 - as the library calls it
    """7. Give credit when half of a window was read, not after each read of a byte: half of the time of a request."""
    increment = 0
    async with self.window_lock:
        buffered = len(self.conn.stream_buffers.get(self.stream_id, b""))
        if self.target_recv_window - (self.recv_window + buffered) >= self.target_recv_window // 2:
            increment = self._grow_to_delta(buffered) + self._apply_autotune_epoch(buffered)
    if increment > 0 and not self.recv_closed:
        await self.send_window_update(increment, skip_lock=True)


async def _read_data_body(self: Yamux, length: int) -> bytes:
    """15. A peer that ignores its window would fill our memory: end its connection instead."""
    _connections.add(self)
    if length > MAX_WINDOW_BYTES or _unread(self) + length > MAX_CONNECTION_BYTES:
        await _end(self)
        raise RawConnError("peer sends more than its windows")
    while _unread(self) > MAX_WINDOW_BYTES // 4 and sum(map(_unread, _connections)) + length > MAX_PROCESS_BYTES:
        fullest = max(_connections, key=_unread)
        await _end(fullest)
        if fullest is self:
            raise RawConnError("peer has most of what is unread")
    with trio.fail_after(WRITE_LIMIT_S):
        return await read_exactly(self.secured_conn, length)


def _unread(connection: Yamux) -> int:
    return sum(map(len, connection.stream_buffers.values()))


async def _end(connection: Yamux) -> None:
    connection.event_shutting_down.set()
    with trio.move_on_after(1, shield=True):
        await connection._cleanup_on_error()


async def _read_negotiation(reader: Any) -> bytes:
    """16. The release reads as much as a stranger announces, before it knows who that is."""
    message = await read_varint_prefixed_bytes_limited(reader, MAX_NEGOTIATION_BYTES)
    if message[-1:] != b"\n" or not message.isascii():
        raise ParseError("message of multistream-select is malformed")
    return message[:-1]


_original_push_message = Pubsub.push_msg


async def _push_message(self: Pubsub, forwarder: Any, message: Any) -> None:
    """1. An exception out of a task of the library ends the process: a bad key in a gossip message was enough."""
    try:
        await _original_push_message(self, forwarder, message)
    except Exception as error:  # noqa: BLE001 - whatever a stranger's message does
        log.debug("gossip of %s: %s", forwarder, error)


def guard_streams(host: Any, max_streams: int, on_refused: Callable[[Any], Awaitable[None]]) -> None:
    """1. Keep what a stream's handler raises on that stream, and a peer's streams to `max_streams` a connection.

    on_refused: called with the library's id of a peer whose stream was one too many.
    """
    inner = host._swarm_stream_handler
    open_streams: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()

    async def guarded(stream: INetStream) -> None:
        connection: Any = stream.muxed_conn
        count = open_streams.get(connection, 0)
        if count >= max_streams or len(connection.streams) > MAX_HALF_OPEN:
            await _drop(stream)
            await on_refused(connection.peer_id)
            return
        open_streams[connection] = count + 1
        try:
            await inner(stream)
        except Exception as error:  # noqa: BLE001 - the library's own handlers raise on malformed input
            log.debug("stream of %s: %s", connection.peer_id, error)
            await _drop(stream)
        else:
            await quietly(stream.close)
        finally:
            open_streams[connection] -= 1

    host.get_network().set_stream_handler(guarded)


async def _drop(stream: Any) -> None:
    """Reset a stream and forget what came on it; the release keeps that for a minute."""
    await quietly(stream.reset)
    connection, number = stream.muxed_conn, stream.muxed_stream.stream_id
    for table in (connection.streams, connection.stream_buffers, connection.stream_events):
        table.pop(number, None)


async def quietly(close: Callable[[], Awaitable[object]]) -> None:
    """Close something that may be closed or broken already."""
    with trio.move_on_after(5, shield=True):
        try:
            await close()
        except Exception as error:  # noqa: BLE001 - nothing is left to be done about it
            log.debug("closing: %s", error)

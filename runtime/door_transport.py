"""How a worker of a cluster gets in touch with the node that gave an order: the node's door, and dialling it.

Whoever connects shows the ticket of an order, or is hung up on. The rest is `channel_transport`.
"""

from __future__ import annotations

import hashlib
import secrets
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Lock, Semaphore, Thread
from typing import Final

from storage.errors import UnavailableError, UserError

MAX_GREETINGS: Final = 64
"""Connections whose ticket has not come; more are closed at once."""
GREETING_S: Final = 10.0
DIAL_S: Final = 30.0
PAUSE_S: Final = 1.0
"""After a connection that could not be accepted."""
SILENCE_S: Final = (60, 15, 4)
"""Seconds until an idle connection is probed, between probes, and how many may fail: two minutes to notice a machine
that is gone. One whose process ends is noticed at once."""
_TICKET_BYTES: Final = 64


class Door:
    """Where workers dial: listens, and lets in who has the ticket of an order."""

    def __init__(self, host: str, port: int = 0, *, context: ssl.SSLContext | None = None) -> None:
        """Listen on an address of this machine. context: of the server's side; None for no TLS.

        Raises:
            UserError: it cannot be listened on.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._listener = socket.create_server((host, port), family=family, backlog=MAX_GREETINGS)
        except OSError as error:
            fix = "name another one with --workers-contact"
            raise UserError(f"cannot listen there: {error.strerror}", where=f"{host}:{port}", fix=fix) from error
        if context is not None:
            # Nothing but answers is to be read on the other end while it executes (`Channel.watched`).
            context.num_tickets = 0
        self._context = context
        shown = f"[{host}]" if family == socket.AF_INET6 else host
        scheme = "tcp" if context is None else "tls"
        self.contact = f"{scheme}://{shown}:{self._listener.getsockname()[1]}"
        self._lock = Lock()
        self._expected: dict[bytes, Callable[[socket.socket], None]] = {}
        self._greetings = Semaphore(MAX_GREETINGS)
        self._is_closed = Event()
        self._thread = Thread(target=self._accept, name="cluster-door", daemon=True)
        self._thread.start()

    @contextmanager
    def expecting(self, arrived: Callable[[socket.socket], None]) -> Iterator[str]:
        """Let in whoever shows the ticket that is given here; they may come several times.

        arrived: called by another thread with the connection, which it owns from then on; must not block.
        """
        ticket = secrets.token_hex(_TICKET_BYTES // 2)
        key = _key(ticket.encode())
        with self._lock:
            self._expected[key] = arrived
        try:
            yield ticket
        finally:
            with self._lock:
                del self._expected[key]

    def close(self) -> None:
        """Listen no longer; who is in stays."""
        self._is_closed.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # closed, or without a descriptor to spare
                if self._is_closed.wait(PAUSE_S):
                    return
                continue
            if not self._greetings.acquire(blocking=False):
                connection.close()
                continue
            Thread(target=self._greet, args=(connection,), name="cluster-greeting", daemon=True).start()

    def _greet(self, connection: socket.socket) -> None:
        """Look at a ticket; whoever has none is hung up on without a word."""
        try:
            connection.settimeout(GREETING_S)
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            ticket = _read_exactly(connection, _TICKET_BYTES)
            _make_lasting(connection)
            with self._lock:
                arrived = self._expected.get(_key(ticket))
            if arrived is not None:
                arrived(connection)
                return
        except (OSError, EOFError):
            pass  # a stranger, or a worker that is gone: nothing depends on it
        finally:
            self._greetings.release()
        connection.close()


def dial(contact: str, ticket: str, context: ssl.SSLContext | None, *, wait_s: float = DIAL_S) -> socket.socket:
    """Connect to a node's door and show a ticket. context: of the client's side, used for `tls://`.

    Raises:
        UnavailableError: it cannot be reached from here.
    """
    scheme, _, place = contact.partition("://")
    host, _, port = place.rpartition(":")
    fix = "run the node where the workers can connect to it, and name that address with --workers-contact"
    if scheme == "tls" and context is None:
        raise UnavailableError("the node speaks TLS, and this worker has no certificate", where=contact, fix=fix)
    try:
        connection = socket.create_connection((host.strip("[]"), int(port)), timeout=wait_s)
        try:
            if scheme == "tls" and context is not None:
                connection = context.wrap_socket(connection)
            connection.sendall(ticket.encode())
            _make_lasting(connection)
        except BaseException:
            connection.close()
            raise
    except (OSError, ValueError) as error:
        raise UnavailableError(f"cannot be reached: {error}", where=contact, fix=fix) from error
    return connection


def _make_lasting(connection: socket.socket) -> None:
    connection.settimeout(None)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in zip(("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT"), SILENCE_S, strict=True):
        if hasattr(socket, name):  # macOS has its own defaults
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _read_exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def _key(ticket: bytes) -> bytes:
    """Return what a ticket is looked up by: how long that takes tells nothing about tickets."""
    return hashlib.sha256(ticket).digest()

"""Channels between a node and a worker of its cluster: one TCP connection for each execution, dialled by the worker.

What travels is frames (`frames`), behind the ticket that opens the node's door (`door_transport`). Never both ends
speak at a time: while the worker executes it asks for blocks and the node answers, and when it is done the node asks.
So no more than one block of each channel is in memory, and neither end can wait for the other to read. Whoever hangs
up ends the execution.

What arrives is checked against its CID here. Under TLS the contexts are the cluster's own, with certificates of both
ends; without, whoever can read the network can read blocks and tickets, as it is with the cluster's own connections.
"""

from __future__ import annotations

import selectors
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Lock, Thread
from typing import Any, BinaryIO, Final, cast

from runtime.cluster import LostWorkerError
from runtime.frames import Frame, read_frame, write_frame
from storage.block_source import BlockAbsentError, BlockStream, checked_from
from storage.blocks import BlockStore
from storage.car import MAX_SECTION_BYTES
from storage.cid import CID, cid_text, parse_cid
from storage.errors import BacalhauError, PeerError, VerificationError

WANT: Final = "want"
BLOCK: Final = "block"
ABSENT: Final = "absent"
MAX_BLOCK_BYTES: Final = MAX_SECTION_BYTES


class Channel:
    """One end. A `BlockSource` of the other end's blocks; asked by several threads, one at a time is answered."""

    def __init__(self, connection: socket.socket, name: str) -> None:
        """Take over a connection whose ticket has passed. name: of the other end, for errors."""
        self.name = name
        self._connection = connection
        self._stream = cast("BinaryIO", connection.makefile("rwb"))
        self._turn = Lock()
        """Held from a question to its answer."""

    def tell(self, header: dict[str, Any], payload: bytes = b"") -> None:
        """Send a frame that wants no answer.

        Raises:
            LostWorkerError: the other end is gone.
        """
        with self._turn:
            self._send(header, payload)

    def hear(self) -> Frame:
        """Return the next frame.

        Raises:
            LostWorkerError: the other end is gone, or does not send frames.
        """
        with self._turn:
            return self._receive()

    def ask(self, header: dict[str, Any]) -> Frame:
        """Send a frame and return the one that answers it.

        Raises:
            LostWorkerError: the other end is gone, or does not send frames.
        """
        with self._turn:
            self._send(header)
            return self._receive()

    def block(self, cid: CID) -> bytes:
        """Ask for one block; see `BlockSource.block`."""
        answer = self.ask({"type": WANT, "cid": cid_text(cid)})
        if answer.type == ABSENT:
            raise BlockAbsentError(str(answer.header.get("problem"))[:255], where=cid_text(cid))
        if answer.type != BLOCK:
            raise PeerError(f"answered with {answer.type[:32]!r} in place of a block", peer=self.name)
        return checked_from(self.name, cid, answer.payload)

    def dag(self, root: CID) -> BlockStream:  # noqa: ARG002
        """Yield nothing: blocks are asked for singly, so that only what is missing travels."""
        yield from ()

    def answer(self, question: Frame, store: BlockStore) -> None:
        """Give the block that a frame `want` asks for, or say why not.

        Raises:
            LostWorkerError: the other end is gone.
        """
        try:
            data = store.get(parse_cid(str(question.header.get("cid"))))
        except BacalhauError as error:
            self.tell({"type": ABSENT, "problem": error.problem})
        else:
            self.tell({"type": BLOCK}, data)

    @contextmanager
    def watched(self, gone: Callable[[], None]) -> Iterator[None]:
        """Have `gone` called, by another thread, if the other end hangs up while it is asked nothing.

        It has nothing to say then: whatever there is to read is the end, or against the rules.
        """
        mine, other = socket.socketpair()
        watcher = Thread(target=self._watch, args=(other, gone), name="channel-watch", daemon=True)
        with mine, other:
            watcher.start()
            try:
                yield
            finally:
                mine.close()
                watcher.join()

    def hang_up(self) -> None:
        """End the connection for whoever uses it now; may be called by any thread."""
        hang_up(self._connection)

    def close(self) -> None:
        """End the connection and let go of it; nobody else may use it now."""
        self.hang_up()
        with suppress(OSError, ValueError):
            self._stream.close()
        self._connection.close()

    def _send(self, header: dict[str, Any], payload: bytes = b"") -> None:
        try:
            write_frame(self._stream, Frame(header=header, payload=payload))
        except (OSError, ValueError) as error:
            raise self._lost() from error

    def _receive(self) -> Frame:
        try:
            return read_frame(self._stream, MAX_BLOCK_BYTES)
        except (OSError, ValueError, EOFError, VerificationError) as error:
            raise self._lost() from error

    def _lost(self) -> LostWorkerError:
        return LostWorkerError(f"{self.name} is lost")

    def _watch(self, end: socket.socket, gone: Callable[[], None]) -> None:
        with selectors.DefaultSelector() as both, selectors.DefaultSelector() as one:
            both.register(self._connection, selectors.EVENT_READ)
            both.register(end, selectors.EVENT_READ)
            one.register(self._connection, selectors.EVENT_READ)
            while not any(key.fileobj is end for key, _ in both.select()):
                # An answer that is on its way is read by whoever asked for it, who has the turn.
                with self._turn:
                    is_gone = bool(one.select(0))
                if is_gone:
                    gone()
                    return


def hang_up(connection: socket.socket) -> None:
    """End a connection that another thread may be using; that one owns and closes it."""
    with suppress(OSError):
        # Of the connection below TLS: SSLSocket.shutdown takes apart what the other thread is working with.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)

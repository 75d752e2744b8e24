"""The durable block store: one SQLite file, safe for several threads and several processes at once.

Assumes a local disk (SQLite's WAL does not work over network file systems). Never returns bytes that do not match
their CID. A killed process loses no finished `put`; a power failure may lose the last ones but never tears a block.

What is put stays at least until the store is closed. After that it stays if a pin, a job or a record needs it
(`sqlite_pins`, `sqlite_collection`); everything else goes when somebody collects garbage.
Why SQLite, also for large leaves: docs/decisions/0002-sqlite-blocks.md and 0028-large-leaves-stay.md.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from storage.blocks import block_key, block_missing
from storage.cid import CID, inline_data, verify_block
from storage.errors import UnavailableError
from storage.sqlite_block_layout import LAYOUT, Usage, usage_of
from storage.sqlite_block_rows import put_rows, touch_rows
from storage.sqlite_file import connect, explained, open_database, transaction
from storage.sqlite_lease import Lease
from storage.sqlite_log_writeback import LogWriteback

_DIGESTS_PER_PAGE: Final = 1000


class SqliteBlockStore:
    """Blocks in a SQLite database at `path`; use as a context manager or `close` it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # Two connections: in WAL mode readers go on while a large put is being written.
        self._write_lock = threading.RLock()
        self._read_lock = threading.Lock()
        self._lease: Lease | None = None
        with self._explained():
            self._writer = open_database(path, LAYOUT)
            self._reader = connect(path)
        self._log = LogWriteback(path, self._writer)

    def put(self, cid: CID, data: bytes) -> None:
        """Keep one block."""
        self.put_many([(cid, data)])

    def put_many(self, blocks: Iterable[tuple[CID, bytes]]) -> None:
        """Keep many blocks in one transaction, all or none; about 16 MiB a call is best.

        `blocks` is read while other writers wait, so it should not be slow. A block that is here already with other
        bytes (a damaged row) is replaced.

        Raises:
            UnavailableError: the disk or the quota is full, or the database cannot be written.
            VerificationError: a CID with a hash function other than sha2-256 or identity.
        """
        with self._write_lock:
            self._log.make_room()
            with self.writing() as connection:
                before = usage_of(connection)
                digests = put_rows(connection, blocks)
                after = usage_of(connection)
                self._check_quota(before, after)
                self._touch(connection, digests)
                size = after.bytes - before.bytes
                self._log.about_to_commit(size)
            self._log.committed(size)

    def keep(self, cid: CID) -> bool:
        """Tell whether the block is here, and if so keep it until the store is closed, as if it had been put."""
        if inline_data(cid) is not None:
            return True
        with self.writing() as connection:
            found = connection.execute("SELECT 1 FROM blocks WHERE digest = ?", (block_key(cid),)).fetchone()
            if found is not None:
                self._touch(connection, [block_key(cid)])
            return found is not None

    def get(self, cid: CID) -> bytes:
        """Return the block, checked against its CID.

        Raises:
            UnavailableError: it is not here.
            VerificationError: the stored bytes do not match (a damaged disk or a changed file).
        """
        inline = inline_data(cid)
        if inline is not None:
            return inline
        row = self._row("SELECT data FROM blocks WHERE digest = ?", block_key(cid))
        if row is None:
            raise block_missing(cid)
        data = bytes(row[0])
        verify_block(cid, data)
        return data

    def has(self, cid: CID) -> bool:
        """Tell whether the block is here, without reading it."""
        if inline_data(cid) is not None:
            return True
        return self._row("SELECT 1 FROM blocks WHERE digest = ?", block_key(cid)) is not None

    def digests(self) -> Iterator[bytes]:
        """Yield the sha2-256 digest of every block in ascending order; blocks put meanwhile may or may not appear."""
        last = b""
        # Pages: a cursor left open would keep the write-ahead log from shrinking.
        while page := self._rows("SELECT digest FROM blocks WHERE digest > ? ORDER BY digest LIMIT ?", last):
            yield from page
            last = page[-1]

    def size(self) -> tuple[int, int]:
        """Return the number of blocks and the sum of their bytes."""
        usage = self.usage()
        return usage.blocks, usage.bytes

    def usage(self) -> Usage:
        """Return how full the store is."""
        with self._explained(), self._read_lock:
            return usage_of(self._reader)

    def set_quota(self, quota: int | None) -> None:
        """Bound the bytes of all blocks, for every process; nothing is removed if there are more already."""
        with self.writing() as connection:
            connection.execute("UPDATE state SET quota = ?", (quota,))

    @property
    def path(self) -> Path:
        """The database's file."""
        return self._path

    @property
    def leases_dir(self) -> Path:
        """Where the locked files of the processes lie that put blocks."""
        return self._path.with_name(self._path.name + "-leases")

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Give the connection inside a write transaction: all that is done there or nothing, and no other writer.

        Raises:
            UnavailableError: the database cannot be written.
        """
        with self._explained(), self._write_lock, transaction(self._writer):
            yield self._writer

    @contextmanager
    def durably_writing(self) -> Iterator[sqlite3.Connection]:
        """Do as `writing`, and have it on the disk before it returns, with all that was put before."""
        with self._write_lock:
            self._writer.execute("PRAGMA synchronous = FULL")
            try:
                with self.writing() as connection:
                    yield connection
            finally:
                self._writer.execute("PRAGMA synchronous = NORMAL")

    def sync(self) -> None:
        """Have all that was put so far on the disk when this returns: before something durable elsewhere names it.

        Raises:
            UnavailableError: the database cannot be written.
        """
        with self.durably_writing() as connection:
            connection.execute("UPDATE state SET quota = quota")  # a transaction that writes nothing is not synced

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give the connection that reads; nothing else of this store can be read meanwhile.

        Raises:
            UnavailableError: the database cannot be read.
        """
        with self._explained(), self._read_lock:
            yield self._reader

    def lease(self, connection: sqlite3.Connection) -> Lease:
        """Return this store's lease, taken now if there is none; only inside `writing`."""
        known = connection.execute("SELECT 1 FROM leases WHERE id = ?", (self._lease.id,)) if self._lease else None
        if self._lease is None or known is None or known.fetchone() is None:
            # None yet, or the transaction that took it was undone.
            self._end_lease()
            self._lease = Lease(self.leases_dir, connection)
        return self._lease

    def release(self) -> None:
        """Let go of what was put and held so far: from now on only pins, jobs and records keep it."""
        with self._write_lock:
            self._end_lease()

    def close(self) -> None:
        """Close the database; the store cannot be used after that. Closing twice is fine."""
        with self._write_lock, self._read_lock:
            self._end_lease()
            self._log.close()
            self._reader.close()
            self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.close()

    def _touch(self, connection: sqlite3.Connection, digests: Sequence[bytes]) -> None:
        touch_rows(connection, digests, self.lease(connection).generation)

    def _check_quota(self, before: Usage, after: Usage) -> None:
        if after.quota is not None and before.bytes < after.bytes > after.quota:
            raise UnavailableError(
                f"the quota of {after.quota} bytes is used up",
                where=str(self._path),
                fix="free room with `bacalhau store gc`, or raise it with `bacalhau store quota`",
            )

    def _end_lease(self) -> None:
        if self._lease is not None:
            self._lease.close()
            self._lease = None

    def _row(self, query: str, *values: bytes) -> tuple[Any, ...] | None:
        with self._explained(), self._read_lock:
            row: tuple[Any, ...] | None = self._reader.execute(query, values).fetchone()
            return row

    def _rows(self, query: str, after: bytes) -> list[bytes]:
        with self._explained(), self._read_lock:
            return [bytes(row[0]) for row in self._reader.execute(query, (after, _DIGESTS_PER_PAGE))]

    def _explained(self) -> AbstractContextManager[None]:
        return explained(self._path, "block store cannot be used")

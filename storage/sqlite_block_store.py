"""The durable block store: one SQLite file, safe for several threads and several processes at once.

Assumes a local disk (SQLite's WAL does not work over network file systems). Never returns bytes that do not match
their CID. A killed process loses no finished `put`; a power failure may lose the last ones but never tears a block.
Why SQLite: docs/decisions/0002-sqlite-blocks.md.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from storage.blocks import block_key, block_missing
from storage.cid import CID, inline_data, verify_block
from storage.sqlite_file import Layout, connect, explained, open_database

APPLICATION_ID: Final = 0x42414C41
"""Marks the file as ours ("BALA"), so that another program's database is never written to."""
SCHEMA_VERSION: Final = 1

_LAYOUT: Final = Layout(
    application_id=APPLICATION_ID,
    version=SCHEMA_VERSION,
    tables=("CREATE TABLE blocks(digest BLOB PRIMARY KEY NOT NULL, data BLOB NOT NULL)",),
)
_DIGESTS_PER_PAGE: Final = 1000


class SqliteBlockStore:
    """Blocks in a SQLite database at `path`; use as a context manager or `close` it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # Two connections: in WAL mode readers go on while a large put is being written.
        self._write_lock = threading.RLock()
        self._read_lock = threading.Lock()
        with self._explained():
            self._writer = open_database(path, _LAYOUT)
            self._reader = connect(path)

    def put(self, cid: CID, data: bytes) -> None:
        """Keep one block."""
        self.put_many([(cid, data)])

    def put_many(self, blocks: Iterable[tuple[CID, bytes]]) -> None:
        """Keep many blocks in one transaction, all or none; about 16 MiB a call is best.

        `blocks` is read while other writers wait, so it should not be slow. A block that is here already with other
        bytes (a damaged row) is replaced.

        Raises:
            UnavailableError: the disk is full or the database cannot be written.
            VerificationError: a CID with a hash function other than sha2-256 or identity.
        """
        rows = ((block_key(cid), data) for cid, data in blocks if inline_data(cid) is None)
        with self._explained(), self._write_lock:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                self._writer.executemany(
                    "INSERT INTO blocks(digest, data) VALUES(?, ?) ON CONFLICT(digest) DO UPDATE"
                    " SET data = excluded.data WHERE data IS NOT excluded.data",
                    rows,
                )
                self._writer.execute("COMMIT")
            except BaseException:
                # SQLite has rolled back by itself after some errors (disk full).
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

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
        row = self._row("SELECT count(*), coalesce(sum(length(data)), 0) FROM blocks")
        blocks, size = row or (0, 0)
        return int(blocks), int(size)

    def close(self) -> None:
        """Close the database; the store cannot be used after that. Closing twice is fine."""
        with self._write_lock, self._read_lock:
            self._reader.close()
            self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.close()

    def _row(self, query: str, *values: bytes) -> tuple[Any, ...] | None:
        with self._explained(), self._read_lock:
            row: tuple[Any, ...] | None = self._reader.execute(query, values).fetchone()
            return row

    def _rows(self, query: str, after: bytes) -> list[bytes]:
        with self._explained(), self._read_lock:
            return [bytes(row[0]) for row in self._reader.execute(query, (after, _DIGESTS_PER_PAGE))]

    def _explained(self) -> AbstractContextManager[None]:
        return explained(self._path, "block store cannot be used")

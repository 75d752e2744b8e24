"""Write a database's log back while more is being written, so that who puts many blocks does not wait for the disk.

SQLite writes its log back inside the commit that made it long, and syncs the disk twice for it: of an import of small
files, that was a third of the time. After large puts a thread with a connection of its own does it (for SQLite, a
passive checkpoint, which stops nobody). The log cannot begin anew while it runs, so it is waited for before the log is
four times as long; the writer's next commit then finds little left to do. Small puts keep the short log: a disk that
is nearly full has no room for a long one. A write-back that fails loses nothing: all is in the log still, and the next
one, or the next opening, goes on from there. The caller orders its threads.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Final

from storage.sqlite_file import LOG_PAGES, connect

BESIDE_BYTES: Final = 8 << 20
"""Of log, after which it is written back beside the work."""
MOST_BYTES: Final = 32 << 20
"""Of log that may wait for it."""
_LARGE_BYTES: Final = 1 << 20
"""Of blocks put at once, from which on the log may become longer."""
_LONG_LOG_PAGES: Final = 4 * LOG_PAGES
"""Where such a commit writes the log back by itself, as nobody has done so beside."""


class LogWriteback:
    """For the one writer of a store; `close` it before the store's other connections."""

    def __init__(self, path: Path, writer: sqlite3.Connection) -> None:
        self._path = path
        self._writer = writer
        self._is_long = False
        self._thread: Thread | None = None
        self._connection: sqlite3.Connection | None = None
        self._new_bytes = 0
        """Of log, since a thread began last."""
        self._waiting_bytes = 0
        """Of log, since it could begin anew for sure."""

    def about_to_commit(self, size: int) -> None:
        """Choose how long the log may become, for a transaction that has put so many bytes of blocks."""
        if self._is_long != (size >= _LARGE_BYTES):
            self._is_long = not self._is_long
            self._writer.execute(f"PRAGMA wal_autocheckpoint = {_LONG_LOG_PAGES if self._is_long else LOG_PAGES}")

    def committed(self, size: int) -> None:
        """Take note that it was committed. Raises nothing: what was put is kept."""
        if not self._is_long:
            return
        self._new_bytes += size
        self._waiting_bytes += size
        if self._new_bytes >= BESIDE_BYTES and (self._thread is None or not self._thread.is_alive()):
            self._new_bytes = 0
            thread = Thread(target=self._write_back, name="log-writeback")
            with suppress(RuntimeError):  # no thread can be had: a commit writes the log back by itself, later
                thread.start()
                self._thread = thread

    def make_room(self) -> None:
        """Wait for the thread if too much of the log waits for it; before a commit."""
        if self._waiting_bytes >= MOST_BYTES:
            self._join()

    def close(self) -> None:
        """Wait for the thread, and close its connection."""
        self._join()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _join(self) -> None:
        if self._thread is not None:
            self._thread.join()
        self._thread = None
        self._waiting_bytes = 0

    def _write_back(self) -> None:
        with suppress(sqlite3.DatabaseError):
            if self._connection is None:
                self._connection = connect(self._path)
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

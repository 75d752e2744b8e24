"""Leases: how a process tells the garbage collection of another one that it is still at work.

A lease is a row with the store's generation at its beginning, and a file that its process keeps locked (flock). The
operating system gives the lock back when the process ends, however it ends; so a lease without a locked file is over,
and no clock decides anything. Both functions that take a connection are called inside a write transaction, and nowhere
else: that orders the making of a lease against the judging of it.
Why this is enough: docs/decisions/0029-garbage-collection.md.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import sqlite3
from pathlib import Path

from storage.cid import CID
from storage.errors import UnavailableError


class Lease:
    """A lease of this process, alive until `close`."""

    def __init__(self, directory: Path, connection: sqlite3.Connection) -> None:
        """Take a lease. If the transaction around it is undone, close it and take another.

        Raises:
            UnavailableError: its file cannot be made.
        """
        self.id = secrets.token_hex(16)
        self._path = directory / self.id
        try:
            directory.mkdir(exist_ok=True)
            self._descriptor = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise UnavailableError(
                f"cannot be made: {reason}", where=str(self._path), fix="make room on its disk, or make it writable"
            ) from error
        row = connection.execute("SELECT generation FROM state").fetchone()
        self.generation = int(row[0])
        """Blocks put since then are kept while the lease is alive."""
        self.whole: set[CID] = set()
        """What it holds and was found to be here down to the last block: none of it goes while the lease is alive."""
        connection.execute("INSERT INTO leases(id, generation) VALUES(?, ?)", (self.id, self.generation))

    def close(self) -> None:
        """End the lease; its row goes with the next collection. Ending twice is fine."""
        if self._descriptor >= 0:
            self._path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1


def end_dead_leases(directory: Path, connection: sqlite3.Connection) -> None:
    """Remove the leases whose process is gone, with what they held, and files that no row belongs to."""
    rows = {str(row[0]) for row in connection.execute("SELECT id FROM leases")}
    alive = {path.name for path in directory.iterdir() if _is_locked(path)} if directory.is_dir() else set[str]()
    for lease in rows - alive:
        connection.execute("DELETE FROM leases WHERE id = ?", (lease,))
        connection.execute("DELETE FROM holds WHERE lease = ?", (lease,))


def _is_locked(path: Path) -> bool:
    """Tell whether a process holds the file; remove it if none does."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        path.unlink(missing_ok=True)
        return False
    finally:
        os.close(descriptor)

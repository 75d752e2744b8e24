"""A node's memory in SQLite, in the file where the finished jobs are (`network.datastore_file`).

Only the node of a directory writes its own tables (`node_lock`); commands read and add finished jobs beside it, and
other processes may read it all. Assumes that it is called from one thread at a time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from network.datastore_file import LAYOUT, intact, job_ids
from network.job_id import find_job_id
from network.node.datastore import Change, JobEvent, KeptJob, Machine
from network.node.datastore_rows import (
    EVENT_COLUMNS,
    JOB_COLUMNS,
    MAX_PEERS,
    MAX_ROW_BYTES,
    Row,
    bounds_of,
    job_event,
    kept_job,
    machine_entry,
    peer_address,
    statements,
)
from storage.errors import UserError
from storage.sqlite_file import explained, open_durable_database, transaction
from verifier.model import PeerId

_PROBLEM: Final = "what the node remembers cannot be read or kept"
_FIX: Final = "move the file away, and with it the jobs that have not ended"
_ENTRIES: Final = "SELECT key, value FROM entries WHERE machine = ? ORDER BY key"
_ENTRIES_BELOW: Final = "SELECT key, value FROM entries WHERE machine = ? AND key >= ? AND key < ? ORDER BY key"
_JOBS: Final = f"SELECT {JOB_COLUMNS} FROM submissions"  # noqa: S608  constants only
# The condition is that of an index, to the letter.
_UNFINISHED: Final = f"{_JOBS} WHERE state <> 'ended' ORDER BY created_at, rowid"
_NEWEST: Final = f"{_JOBS} ORDER BY created_at DESC, rowid DESC LIMIT ?"
_EVENTS: Final = f"SELECT {EVENT_COLUMNS} FROM events WHERE job = ? AND number > ? ORDER BY number LIMIT ?"  # noqa: S608
_PEERS: Final = "SELECT peer, address FROM peers ORDER BY at DESC, rowid DESC LIMIT ?"

T = TypeVar("T")


class SqliteDatastore:
    """A `Datastore` in a SQLite database at `path`; use as a context manager or `close` it.

    Every method raises UnavailableError if the database cannot be used, or a row of it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with explained(path, _PROBLEM):
            self._connection = open_durable_database(path, LAYOUT)
            self._connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_ROW_BYTES)

    def commit(self, changes: Iterable[Change]) -> None:
        """Make changes, in their order, in one durable transaction: on the disk when it returns, or none is made.

        `Move` and `MarkCancelled` of a job that is not there change nothing.

        Raises:
            UserError: a submission is out of its bounds.
            ValueError: something else is.
        """
        todo = [statement for change in changes for statement in statements(change)]
        with explained(self._path, _PROBLEM), transaction(self._connection):
            for sql, values in todo:
                self._connection.execute(sql, values)

    def entries(self, machine: Machine) -> dict[str, bytes]:
        """Return all entries of a machine, in the order of their keys."""
        return dict(self._read(machine_entry, _ENTRIES, machine.value))

    def entries_below(self, machine: Machine, prefix: str) -> dict[str, bytes]:
        """Return the entries of a machine whose keys begin with `prefix`, which ends in "/", by key."""
        return dict(self._read(machine_entry, _ENTRIES_BELOW, machine.value, *bounds_of(prefix)))

    def job(self, job: str) -> KeptJob | None:
        """Return a job by its whole id."""
        return next(iter(self._read(kept_job, f"{_JOBS} WHERE id = ?", job)), None)

    def find(self, text: str) -> KeptJob:
        """Return the job that an id, or the first digits of one, names.

        Raises:
            UserError: no job, or more than one, begins like this, jobs of commands included; it is no part of an id; or
                the job is a command's, never given to the node.
        """
        name = find_job_id(text, self._ids_from)
        found = self.job(name)
        if found is None:
            raise UserError("this job was not given to the node", where=name, fix="see `bacalhau describe`")
        return found

    def unfinished(self) -> list[KeptJob]:
        """Return the jobs that have not ended, the oldest first."""
        return self._read(kept_job, _UNFINISHED)

    def jobs(self, *, limit: int) -> list[KeptJob]:
        """Return the newest jobs, the newest first."""
        return self._read(kept_job, _NEWEST, max(limit, 0))

    def events(self, job: str, *, after: int = 0, limit: int = 1000) -> list[JobEvent]:
        """Return events of a job with a number greater than `after`, in their order."""
        return self._read(job_event, _EVENTS, job, after, max(limit, 0))

    def peers(self) -> dict[PeerId, str]:
        """Return the last addresses of peers, the newest first."""
        return dict(self._read(peer_address, _PEERS, MAX_PEERS))

    def version(self) -> int:
        """Return a number that changes when another connection has committed something, jobs of commands included."""
        with explained(self._path, _PROBLEM):
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def close(self) -> None:
        """Close the database. Closing twice is fine."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.close()

    def _read(self, value_of: Callable[[Row], T], sql: str, *values: Any) -> list[T]:
        with explained(self._path, _PROBLEM):
            rows = self._connection.execute(sql, values).fetchall()
        with intact(self._path, _FIX):
            return [value_of(row) for row in rows]

    def _ids_from(self, digits: str) -> list[str]:
        with explained(self._path, _PROBLEM):
            return job_ids(self._connection, digits)

"""Which records were verified here, by task, in SQLite: what a job may take instead of running a task again.

A row is added as soon as a session has agreed, long before the job around it ends, so that a job that is killed goes on
where it was. Rows are hints: `known_results` believes the record that they name. Safe for several threads and processes
at once.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, Final

from network.datastore_connection import DatastoreConnection
from network.datastore_file import intact
from storage.cid import CID, check_cid

KEPT_S: Final = 30 * 86_400.0
"""How long a result is kept for its own sake; what a job names stays with the job."""
INSERT: Final = """
INSERT INTO results(task, record, nodes, at) VALUES(?1, ?2, CASE
  WHEN ?3 IN ('chosen', 'open') AND EXISTS (SELECT 1 FROM results WHERE task = ?1 AND nodes = 'network') THEN 'network'
  ELSE ?3 END, ?4) ON CONFLICT(task, record) DO NOTHING"""
"""Adds a result, unless it is there. What was given away of a task once is no secret in a later record of it either."""
_FORGET: Final = "DELETE FROM results WHERE at < ?"
_FIND: Final = "SELECT record FROM results WHERE task = ? AND nodes IN (?, ?, ?, ?) ORDER BY at DESC LIMIT ?"
_AT: Final = "SELECT at FROM results WHERE task = ? AND record = ?"
_SAMPLE: Final = "SELECT task, record FROM results WHERE nodes = ? ORDER BY random() LIMIT ?"
_NEWEST: Final = "SELECT record FROM results WHERE nodes IN (?, ?, ?) ORDER BY at DESC LIMIT ?"
_PUBLISH: Final = (
    "UPDATE results SET nodes = ? WHERE task IN (SELECT task FROM results WHERE record = ?) AND nodes IN (?, ?)"
)
_SINCE: Final = "SELECT record FROM results WHERE at >= ?"
_MOST: Final = 256
"""Records of one task that are looked at. A task of which two outputs are known runs each time, and each time leaves a
record: were few looked at, those of one output would soon hide the other."""
_FIX: Final = "move the file away; records can be audited without it"


class Nodes(StrEnum):
    """Whose receipts a record has."""

    EMBEDDED = "embedded"
    """All of this home: they show that the function is deterministic here."""
    NETWORK = "network"
    """Of nodes that a requester found, which need not trust one another."""
    CHOSEN = "chosen"
    """Of such nodes, and not given away since: few know the answer. A label chose them, in records that are not open.
    (Of those of before there was this word nobody knows whether they were given away: they are of the network.)"""
    OPEN = "open"
    """Of such nodes, which no label chose, and not given away since: any node may be asked, and few know the answer."""


class ResultStore(DatastoreConnection):
    """Results in a SQLite database at `path`; use as a context manager or `close` it.

    Every method raises UnavailableError if the database cannot be used.
    """

    PROBLEM: ClassVar[str] = "results cannot be read or kept"

    def add(self, task: CID, record: CID, *, nodes: Nodes, at: float) -> None:
        """Keep that a record, which is in the block store, verified a task; at: seconds since 1970, UTC."""
        with self._explained(), self._lock:
            self._connection.execute(INSERT, (task, record, nodes.value, at))

    def records(self, task: CID, *, nodes: Nodes) -> list[CID]:
        """Return records of a task, the newest first: of all that are asked for, and of those of which less is said.

        Embedded ones are answered by those of strangers too; of strangers, of those that were not given away, or of
        open ones alone if those are asked for.
        """
        order = tuple(Nodes)
        wanted = order[order.index(nodes) :]
        values = (one.value for one in (*wanted, *[Nodes.OPEN] * (len(order) - len(wanted))))
        return self._records(_FIND, task, *values, _MOST)

    def of_strangers(self, limit: int) -> list[CID]:
        """Return the newest records of strangers, the oldest of them first."""
        return self._records(_NEWEST, Nodes.NETWORK.value, Nodes.CHOSEN.value, Nodes.OPEN.value, limit)[::-1]

    def sample(self, count: int) -> list[tuple[CID, CID]]:
        """Return tasks and their records, drawn at random of those that are open."""
        rows = self._read(_SAMPLE, Nodes.OPEN.value, count)
        with intact(self._path, _FIX):
            return [(check_cid(bytes(task)), check_cid(bytes(record))) for task, record in rows]

    def published(self, record: CID) -> None:
        """Note that a record was given away, and with it the answer that all records of its task have."""
        with self._explained(), self._lock:
            self._connection.execute(_PUBLISH, (Nodes.NETWORK.value, record, Nodes.CHOSEN.value, Nodes.OPEN.value))

    def kept_at(self, task: CID, record: CID) -> float | None:
        """Return when a record was kept, in seconds since 1970, UTC; None if it was not."""
        with self._explained(), self._lock:
            row = self._connection.execute(_AT, (task, record)).fetchone()
        return None if row is None else float(row[0])

    def since(self, at: float) -> list[CID]:
        """Return the records that were kept then or later, in no order."""
        return self._records(_SINCE, at)

    def forget(self, *, before: float) -> None:
        """Forget what is older."""
        with self._explained(), self._lock:
            self._connection.execute(_FORGET, (before,))

    def _records(self, sql: str, *values: object) -> list[CID]:
        rows = self._read(sql, *values)
        with intact(self._path, _FIX):
            return [check_cid(bytes(row[0])) for row in rows]

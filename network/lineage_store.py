"""Which record came of which, in SQLite: parents, tasks, functions, inputs, outputs and what these are made of.

An index, made of blocks that are in the store (`lineage_index`): it can be lost and made again, and proves nothing.
Every question is answered by an index of its tables and bounded, whatever the graph looks like: cycles, a million
children.
Safe for several threads and processes at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, TypeAlias

from network.datastore_connection import DatastoreConnection
from network.datastore_file import intact
from storage.cid import CID, check_cid
from storage.sqlite_file import transaction

MAX_WALK: Final = 10_000
"""Most records of one walk."""
NEAR: Final = 2_000
"""Ancestors that are looked at unless more are asked for: among a million records some 30 ms (docs/graph.md)."""
_MAPPED_BYTES: Final = 2 << 30
"""Of the file, read where it lies: a walk goes to pages all over it, and a system call for each is half of its time."""
_FIX: Final = "move the file away; records can be audited without it"
_COLUMNS: Final = "record, tier, task, function, input, output, receipts, dissent, merged"
_BY: Final = {
    name: f"SELECT {_COLUMNS} FROM lineage WHERE {name} = ? LIMIT ?"  # noqa: S608  constants only
    for name in ("record", "task", "function", "input", "output")
}
_USERS: Final = {
    name: f"SELECT record FROM lineage WHERE {name} = ? LIMIT ?"  # noqa: S608  constants only
    for name in ("record", "task", "function", "input", "output")
}
MAX_MANY: Final = 256
"""Records of one question about many."""
_MANY: Final = _BY["record"].replace("= ? LIMIT ?", "IN ({})")
_EDGES: Final = "SELECT record, parent FROM lineage_parents WHERE record IN ({}) ORDER BY record, parent LIMIT ?"
_CONTENTS: Final = (
    "SELECT owner, role, path, cid FROM lineage_parts WHERE owner IN ({}) AND role IN ('data', 'volume') LIMIT ?"
)
_RIVALS: Final = (
    "SELECT lineage.record, other.record FROM lineage JOIN lineage AS other"
    " ON other.task = lineage.task AND other.tier = 'verified' AND other.output <> lineage.output"
    " WHERE lineage.record IN ({}) AND lineage.tier = 'verified' LIMIT ?"
)
_OUTPUTS: Final = (
    "SELECT output, min(record) FROM lineage WHERE task = ? AND tier = 'verified'"
    " GROUP BY output ORDER BY output LIMIT ?"
)
_SHARES: Final = (
    "SELECT 1 FROM lineage_parts WHERE owner = ? AND cid = ? AND role = 'entry'"
    " UNION ALL SELECT 1 FROM lineage_parts WHERE owner = ? AND cid = ? AND role = 'entry'"
    " UNION ALL SELECT 1 FROM lineage_parts AS one JOIN lineage_parts AS two ON two.cid = one.cid"
    " WHERE one.owner = ? AND two.owner = ? AND one.role = 'entry' AND two.role = 'entry' LIMIT 1"
)
_INSERT: Final = (
    "INSERT INTO lineage(record, tier, task, function, input, output, receipts, dissent, merged)"
    " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT(record) DO UPDATE SET merged = min(merged, excluded.merged)"
)
# UNION and not UNION ALL: a record that was reached is not walked again, so cycles end.
_WALK: Final = (
    "WITH RECURSIVE walked(record) AS ({seeds} UNION"
    " SELECT edge.{to} FROM walked JOIN lineage_parents AS edge ON edge.{by} = walked.record LIMIT ?) "
)
_JUDGED: Final = (
    "SELECT walked.record, lineage.tier, lineage.dissent, lineage.tier = 'verified' AND ("
    # Two ends of the index, not <>: of one task there may be thousands of records with the same output.
    " EXISTS(SELECT 1 FROM lineage AS other WHERE other.task = lineage.task AND other.tier = 'verified'"
    " AND other.output < lineage.output)"
    " OR EXISTS(SELECT 1 FROM lineage AS other WHERE other.task = lineage.task AND other.tier = 'verified'"
    " AND other.output > lineage.output)) FROM walked LEFT JOIN lineage ON lineage.record = walked.record"
)
_WALKED: Final = "SELECT record FROM walked"
_SEEDS: Final = "SELECT record FROM lineage WHERE record IN ({})"
_ANCESTORS: Final = "".join((_WALK.format(seeds="VALUES(?)", to="parent", by="record"), _JUDGED))
_DESCENDANTS: Final = "".join((_WALK.format(seeds=_SEEDS, to="record", by="parent"), _WALKED))
_PARENTS: Final = "SELECT parent FROM lineage_parents WHERE record = ? ORDER BY parent LIMIT ?"
_CHILDREN: Final = "SELECT record FROM lineage_parents WHERE parent = ? ORDER BY record LIMIT ?"
_PARTS: Final = "SELECT owner, role, path, cid FROM lineage_parts WHERE owner = ? LIMIT ?"
_MERGES: Final = "SELECT cid FROM lineage_parts WHERE owner = ? AND role = 'merge' ORDER BY path LIMIT ?"
_OWNERS: Final = "SELECT owner, role, path, cid FROM lineage_parts WHERE cid = ? LIMIT ?"
_PENDING: Final = "SELECT record FROM lineage_pending LIMIT ?"
QUESTIONS: Final = (
    *_BY.values(),
    *_USERS.values(),
    *(sql.format("?, ?") for sql in (_MANY, _EDGES, _CONTENTS, _RIVALS)),
    _OUTPUTS,
    _SHARES,
    _ANCESTORS,
    _DESCENDANTS.format("?, ?"),
    _PARENTS,
    _CHILDREN,
    _PARTS,
    _MERGES,
    _OWNERS,
)
"""All that is asked of what may be a million rows; tests look that no plan of SQLite's reads a whole table."""
By: TypeAlias = Literal["record", "task", "function", "input", "output"]
BY_PARTS: Final[tuple[By, ...]] = ("task", "function", "input")


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageRow:
    """One record, as its block says."""

    record: CID
    tier: str
    task: CID
    function: CID
    input: CID
    output: CID
    receipts: int
    dissent: int
    """Receipts that claim something else."""
    merged: bool = False
    """It came from somebody else, and was not made here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What something is made of."""

    owner: CID
    """A function, an input, or a directory."""
    role: str
    """data, volume, source, lock, runtime, wheel, entry (of a directory), or merge (a statement that it is merged)."""
    path: str
    cid: CID


@dataclass(frozen=True, slots=True, kw_only=True)
class Filed:
    """A record with all that is filed of it."""

    row: LineageRow
    parents: tuple[CID, ...]
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A record of a walk with which something is not as it should be."""

    record: CID
    tier: str | None
    """None: the record is named, and not filed here."""
    dissent: int
    is_disputed: bool
    """Another record of the same task has another output; both are of the verified tier."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Walked:
    """What the index says of a record and all that it rests on."""

    looked_at: int
    """Records, itself among them."""
    is_cut: bool
    """There are more than were looked at."""
    found: tuple[Judged, ...]
    """The nearest first."""


class LineageStore(DatastoreConnection):
    """The lineage in the database at `path`; use as a context manager or `close` it.

    Every method raises UnavailableError if the database cannot be used.
    """

    PROBLEM: ClassVar[str] = "the lineage cannot be read or kept"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with self._explained():
            self._connection.execute(f"PRAGMA mmap_size = {_MAPPED_BYTES}")

    # Filing

    def pending(self, limit: int) -> list[CID]:
        """Return records that were made here and are not filed."""
        return self._cids(_PENDING, limit)

    def file(self, filed: Iterable[Filed], *, done: Iterable[CID] = ()) -> None:
        """File records, and strike them and those of `done` off the pending ones, in one transaction."""
        things = list(filed)
        rows = [one.row for one in things]
        with self._explained(), self._lock, transaction(self._connection):
            execute = self._connection.executemany
            execute(_INSERT, [_values(row) for row in rows])
            execute(
                "INSERT OR IGNORE INTO lineage_parents VALUES(?, ?)",
                [(one.row.record, parent) for one in things for parent in one.parents],
            )
            execute(
                "INSERT OR IGNORE INTO lineage_parts VALUES(?, ?, ?, ?)",
                [(part.owner, part.role, part.path, part.cid) for one in things for part in one.parts],
            )
            struck = {*(row.record for row in rows), *done}
            execute("DELETE FROM lineage_pending WHERE record = ?", [(cid,) for cid in struck])

    def file_part(self, part: Part) -> None:
        """File one thing that something is made of."""
        with self._explained(), self._lock, transaction(self._connection):
            row = (part.owner, part.role, part.path, part.cid)
            self._connection.execute("INSERT OR IGNORE INTO lineage_parts VALUES(?, ?, ?, ?)", row)

    # Questions

    def record(self, cid: CID) -> LineageRow | None:
        """Return what is filed of a record."""
        return next(iter(self.records("record", cid, limit=1)), None)

    def rows(self, records: Sequence[CID]) -> dict[CID, LineageRow]:
        """Return what is filed of records, at most MAX_MANY."""
        rows = self._read(_MANY.format(_marks(records)), *records)
        with intact(self._path, _FIX):
            return {row.record: row for row in map(_row, rows)}

    def rivals(self, records: Sequence[CID], *, limit: int) -> list[tuple[CID, CID]]:
        """Return (record, another of its task that has another output) of at most MAX_MANY records, both verified."""
        return self._pairs(_RIVALS.format(_marks(records)), *records, limit)

    def outputs(self, task: CID, *, limit: int) -> dict[CID, CID]:
        """Return the outputs that records of the verified tier name for a task, each with one of these."""
        return dict(self._pairs(_OUTPUTS, task, limit))

    def edges(self, records: Sequence[CID], *, limit: int) -> list[tuple[CID, CID]]:
        """Return (record, parent) of at most MAX_MANY records, by both."""
        return self._pairs(_EDGES.format(_marks(records)), *records, limit)

    def contents(self, inputs: Sequence[CID], *, limit: int) -> list[Part]:
        """Return the data and the volumes of at most MAX_MANY inputs."""
        return self._parts(_CONTENTS.format(_marks(inputs)), *inputs, limit)

    def shares(self, content: CID, output: CID) -> bool:
        """Tell whether a content and an output are one thing, or one has in it the other, or something of the other."""
        return content == output or bool(self._read(_SHARES, content, output, output, content, content, output))

    def users(self, by: By, cid: CID, *, limit: int) -> list[CID]:
        """Return the records whose task, function or input this is, in no order."""
        return self._cids(_USERS[by], cid, limit)

    def records(self, by: By, cid: CID, *, limit: int) -> list[LineageRow]:
        """Return records whose task, function, input or output this is, in no order."""
        rows = self._read(_BY[by], cid, limit)
        with intact(self._path, _FIX):
            return [_row(row) for row in rows]

    def parents(self, record: CID, *, limit: int) -> list[CID]:
        """Return the parents of a record, by CID; filed or not."""
        return self._cids(_PARENTS, record, limit)

    def children(self, record: CID, *, limit: int) -> list[CID]:
        """Return the records whose parent this is, by CID."""
        return self._cids(_CHILDREN, record, limit)

    def parts(self, owner: CID, *, limit: int) -> list[Part]:
        """Return what a function, an input or a directory is made of."""
        return self._parts(_PARTS, owner, limit)

    def merges(self, output: CID, *, limit: int) -> list[CID]:
        """Return the statements that are filed of an output of a job over shards (`verifier.merge_types`)."""
        return self._cids(_MERGES, output, limit)

    def owners(self, cid: CID, *, limit: int) -> list[Part]:
        """Return what is made of this."""
        return self._parts(_OWNERS, cid, limit)

    def ancestors(self, record: CID, *, limit: int = NEAR) -> Walked:
        """Return what is wrong with a record and those it rests on, of which at most `limit` are looked at."""
        rows = self._read(_ANCESTORS, record, limit + 1)
        looked = rows[:limit]
        with intact(self._path, _FIX):
            found = tuple(
                Judged(record=check_cid(bytes(row[0])), tier=row[1], dissent=row[2] or 0, is_disputed=bool(row[3]))
                for row in looked
                if row[1] != "verified" or row[2] or row[3]
            )
        return Walked(looked_at=len(looked), is_cut=len(rows) > limit, found=found)

    def descendants(self, records: Sequence[CID], *, limit: int = MAX_WALK) -> list[CID]:
        """Return those of `records` that are filed, and those that rest on them, the nearest first.

        limit: most that are returned, and most that may be given.
        """
        marks = ",".join("?" * len(records[:MAX_WALK]))
        return self._cids(_DESCENDANTS.format(marks), *records[:MAX_WALK], limit)

    def _cids(self, sql: str, *values: object) -> list[CID]:
        rows = self._read(sql, *values)
        with intact(self._path, _FIX):
            return [check_cid(bytes(row[0])) for row in rows]

    def _pairs(self, sql: str, *values: object) -> list[tuple[CID, CID]]:
        rows = self._read(sql, *values)
        with intact(self._path, _FIX):
            return [(check_cid(bytes(row[0])), check_cid(bytes(row[1]))) for row in rows]

    def _parts(self, sql: str, *values: object) -> list[Part]:
        rows = self._read(sql, *values)
        with intact(self._path, _FIX):
            return [
                Part(owner=check_cid(bytes(row[0])), role=str(row[1]), path=str(row[2]), cid=check_cid(bytes(row[3])))
                for row in rows
            ]


def _marks(values: Sequence[CID]) -> str:
    if len(values) > MAX_MANY:
        raise ValueError(f"more than {MAX_MANY} at once")
    return ",".join("?" * len(values))


def _values(row: LineageRow) -> tuple[object, ...]:
    return (
        row.record, row.tier, row.task, row.function, row.input, row.output, row.receipts, row.dissent, int(row.merged)
    )  # fmt: skip


def _row(values: Any) -> LineageRow:
    cids = [check_cid(bytes(value)) for value in (values[0], *values[2:6])]
    return LineageRow(
        record=cids[0],
        tier=str(values[1]),
        task=cids[1],
        function=cids[2],
        input=cids[3],
        output=cids[4],
        receipts=int(values[6]),
        dissent=int(values[7]),
        merged=bool(values[8]),
    )

"""What was asked for and what came of it: one row per job and one for each of its shards, in SQLite.

A job is written once, whole, its shards with it, when its outcome is known; a process that is killed leaves no half of
one. Safe for several threads and processes at once. Decides nothing: a verdict here is a copy, and the record is the
evidence.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from network.datastore_connection import DatastoreConnection
from network.datastore_file import intact, job_ids
from network.job_id import find_job_id, is_job_id
from network.job_shards import INSERT_SHARD, SHARD_COLUMNS, JobShard, optional_cid, read_shard, shard_row
from storage.cid import CID, check_cid
from storage.errors import UserError
from storage.sqlite_file import transaction

_COLUMNS: Final = (
    "id", "created_at", "labels", "task", "function", "input", "output", "record", "verdict", "tier", "exit_code",
    "report",
)  # fmt: skip
_SELECT: Final = f"SELECT {', '.join(_COLUMNS)} FROM jobs"  # noqa: S608  constants only
_ALL: Final = -1
_PAGE: Final = 1000
"""Shards read at once."""
_FIX: Final = "move the file away; records can be audited without it"
_NEWEST: Final = "ORDER BY created_at DESC, rowid DESC"
INSERT: Final = (
    f"INSERT INTO jobs({', '.join(_COLUMNS)}) VALUES({', '.join('?' * len(_COLUMNS))}) ON CONFLICT(id) DO NOTHING"
)
"""Adds a `job_row`, unless a job with this id is there."""
_SHARDS_WITH: Final = f"SELECT job, {SHARD_COLUMNS} FROM shards WHERE {{}} = :cid"  # noqa: S608
_SHARDS: Final = f"SELECT {SHARD_COLUMNS} FROM shards WHERE job = ? AND number > ? ORDER BY number LIMIT ?"  # noqa: S608


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One finished job."""

    id: str
    """32 hex digits, made by the caller (uuid4)."""
    created_at: float
    """Seconds since 1970, UTC."""
    labels: tuple[str, ...]
    task: CID | None
    """None: it was many tasks, which are in `shards`."""
    function: CID
    input: CID
    """Of the task; of a job over shards, what was split."""
    output: CID | None
    """None unless agreed, like `record` and `exit_code`. Of a job over shards, the directory over what they gave."""
    record: CID | None
    """None of a job over shards: each of these has its own."""
    verdict: str
    tier: str
    exit_code: int | None
    report: Mapping[str, Any]
    """What the command printed as JSON."""
    shards: tuple[JobShard, ...] = ()
    """By number. Empty as well where a job was read from the store: `JobStore.shards` reads them."""

    def __post_init__(self) -> None:
        if not is_job_id(self.id):
            raise ValueError("a job id has 32 hex digits")


class JobStore(DatastoreConnection):
    """Jobs in a SQLite database at `path`; use as a context manager or `close` it.

    Every method raises UnavailableError if the database cannot be used.
    """

    PROBLEM: ClassVar[str] = "jobs cannot be read or kept"

    def add(self, job: Job) -> None:
        """Keep a finished job.

        Raises:
            ValueError: there is a job with this id.
        """
        with self._explained(), self._lock, transaction(self._connection):
            is_new = self._connection.execute(INSERT, job_row(job)).rowcount == 1
            if is_new:
                self._connection.executemany(INSERT_SHARD, shard_rows(job))
        if not is_new:
            raise ValueError(f"job {job.id} is there already")

    def find(self, text: str) -> Job:
        """Return the job that an id, or the first digits of one, names.

        Raises:
            UserError: no job, or more than one, begins like this; it is no part of an id; or the job has no outcome.
        """
        job = find_job_id(text, self._ids_from)
        found = self._jobs("WHERE id = ?", job, limit=1)
        if not found:
            raise UserError("this job of a node has no outcome", where=job, fix="the node can tell how it stands")
        return found[0]

    def beginning(self, digits: str) -> list[Job]:
        """Return up to two of the jobs whose ids begin with these lower-case hex digits."""
        return self._jobs("WHERE substr(id, 1, ?) = ?", len(digits), digits, limit=2)

    def by_record(self, record: CID) -> Job | None:
        """Return the job that made this record; of shards, see `shards_with`."""
        return next(iter(self._jobs("WHERE record = ?", record, limit=1)), None)

    def by_output(self, output: CID) -> list[Job]:
        """Return the jobs that agreed on this output, the newest first; of shards, see `shards_with`."""
        return self._jobs("WHERE output = ?", output)

    def by_task(self, task: CID) -> list[Job]:
        """Return the jobs that were this task, the newest first; of shards, see `shards_with`."""
        return self._jobs("WHERE task = ?", task)

    def shards(self, job: str, *, after: int = -1, limit: int = _ALL) -> tuple[JobShard, ...]:
        """Return the shards of a job, by its whole id, that are numbered above `after`; none of a single task."""
        rows = self._read(_SHARDS, job, after, limit)
        with intact(self._path, _FIX):
            return tuple(read_shard(row) for row in rows)

    def each_shard(self, job: str) -> Iterator[JobShard]:
        """Yield the same, read as they are needed."""
        after = -1
        while page := self.shards(job, after=after, limit=_PAGE):
            yield from page
            after = page[-1].number

    def shards_with(self, cid: CID, *, limit: int = _ALL) -> list[tuple[str, JobShard]]:
        """Return the shards whose task, output or record this is, with the ids of their jobs, in no order."""
        parts = [_SHARDS_WITH.format(name) for name in ("task", "output", "record")]
        with self._explained(), self._lock:
            sql = f"{' UNION '.join(parts)} LIMIT :limit"
            rows = self._connection.execute(sql, {"cid": cid, "limit": limit}).fetchall()
        with intact(self._path, _FIX):
            return [(str(row[0]), read_shard(row[1:])) for row in rows]

    def roots_of_shards(self) -> list[CID]:
        """Return the tasks, outputs and records of all shards of all jobs, in no order."""
        parts = [f"SELECT {name} FROM shards WHERE {name} NOTNULL" for name in ("task", "output", "record")]  # noqa: S608
        rows = self._read(" UNION ".join(parts))
        with intact(self._path, _FIX):
            return [check_cid(bytes(row[0])) for row in rows]

    def newest(self, limit: int) -> list[Job]:
        """Return the last `limit` jobs, the newest first."""
        return self._jobs("", limit=limit)

    def count(self) -> int:
        """Return the number of jobs."""
        with self._explained(), self._lock:
            return int(self._connection.execute("SELECT count(*) FROM jobs").fetchone()[0])

    def _jobs(self, where: str, *values: object, limit: int = _ALL) -> list[Job]:
        rows = self._read(f"{_SELECT} {where} {_NEWEST} LIMIT ?", *values, limit)
        with intact(self._path, _FIX):
            return [_job(row) for row in rows]

    def _ids_from(self, digits: str) -> list[str]:
        with self._explained(), self._lock:
            return job_ids(self._connection, digits)


def job_row(job: Job) -> tuple[object, ...]:
    """Return a job as a row of `jobs`."""
    row = (job.id, job.created_at, json.dumps(job.labels), job.task or b"", job.function, job.input, job.output)
    return (*row, job.record, job.verdict, job.tier, job.exit_code, json.dumps(job.report))


def shard_rows(job: Job) -> list[tuple[object, ...]]:
    """Return a job's shards as rows of `shards`."""
    return [shard_row(job.id, one) for one in job.shards]


def _job(row: tuple[Any, ...]) -> Job:
    values = dict(zip(_COLUMNS, row, strict=True))
    cids = {name: optional_cid(values[name]) for name in ("function", "input", "output", "record")}
    cids["task"] = optional_cid(values["task"] or None)
    return Job(
        **values | cids | {"labels": tuple(json.loads(values["labels"])), "report": json.loads(values["report"])}
    )

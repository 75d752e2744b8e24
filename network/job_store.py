"""What was asked for and what came of it: one row per job, in SQLite.

A job is written once, whole, when its outcome is known; a process that is killed leaves no half of one. Safe for
several threads and processes at once. Decides nothing: a verdict here is a copy, and the record is the evidence.
"""

from __future__ import annotations

import json
import re
import sqlite3
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from storage.cid import CID, check_cid
from storage.errors import UnavailableError, UserError, VerificationError
from storage.sqlite_file import Layout, explained, open_database

APPLICATION_ID: Final = 0x42414C4A
"""Marks the file as ours ("BALJ")."""
SCHEMA_VERSION: Final = 1
MIN_PREFIX: Final = 4
"""Hex digits of a job id that are enough to name it, if no other job begins with them."""

_ID: Final = re.compile(r"[0-9a-f]{32}")
_COLUMNS: Final = (
    "id", "created_at", "labels", "task", "function", "input", "output", "record", "verdict", "tier", "exit_code",
    "report",
)  # fmt: skip
_SELECT: Final = f"SELECT {', '.join(_COLUMNS)} FROM jobs"  # noqa: S608  constants only
_NEWEST: Final = "ORDER BY created_at DESC, rowid DESC"
_LAYOUT: Final = Layout(
    application_id=APPLICATION_ID,
    version=SCHEMA_VERSION,
    tables=(
        "CREATE TABLE jobs(id TEXT PRIMARY KEY NOT NULL, created_at REAL NOT NULL, labels TEXT NOT NULL,"
        " task BLOB NOT NULL, function BLOB NOT NULL, input BLOB NOT NULL, output BLOB, record BLOB,"
        " verdict TEXT NOT NULL, tier TEXT NOT NULL, exit_code INTEGER, report TEXT NOT NULL)",
        "CREATE INDEX jobs_by_time ON jobs(created_at)",
        "CREATE INDEX jobs_by_task ON jobs(task)",
        "CREATE INDEX jobs_by_output ON jobs(output)",
        "CREATE INDEX jobs_by_record ON jobs(record)",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One finished job."""

    id: str
    """32 hex digits, made by the caller (uuid4)."""
    created_at: float
    """Seconds since 1970, UTC."""
    labels: tuple[str, ...]
    task: CID
    function: CID
    input: CID
    output: CID | None
    """None unless agreed, like `record` and `exit_code`."""
    record: CID | None
    verdict: str
    tier: str
    exit_code: int | None
    report: Mapping[str, Any]
    """What the command printed as JSON."""

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise ValueError("a job id has 32 hex digits")


class JobStore:
    """Jobs in a SQLite database at `path`; use as a context manager or `close` it.

    Every method raises UnavailableError if the database cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        # One connection under one lock.
        with self._explained():
            self._connection = open_database(path, _LAYOUT)

    def add(self, job: Job) -> None:
        """Keep a finished job.

        Raises:
            ValueError: there is a job with this id.
        """
        row = (job.id, job.created_at, json.dumps(job.labels), job.task, job.function, job.input, job.output)
        rest = (job.record, job.verdict, job.tier, job.exit_code, json.dumps(job.report))
        places = ", ".join("?" * len(_COLUMNS))
        with self._explained(), self._lock:
            try:
                self._connection.execute(f"INSERT INTO jobs({', '.join(_COLUMNS)}) VALUES({places})", (*row, *rest))
            except sqlite3.IntegrityError as error:
                raise ValueError(f"job {job.id} is there already") from error

    def find(self, text: str) -> Job:
        """Return the job that an id, or the first digits of one, names.

        Raises:
            UserError: no job, or more than one, begins like this; or it is no part of an id.
        """
        digits = text.lower()
        if not re.fullmatch(r"[0-9a-f]{1,32}", digits):
            raise UserError("is neither a job id nor a CID", where=repr(text), fix="see `bacalhau list`")
        if len(digits) < MIN_PREFIX:
            raise UserError("is too short for a job id", where=text, fix=f"give at least {MIN_PREFIX} digits of it")
        found = self.beginning(digits)
        if not found:
            raise UserError("no job here has this id", where=text, fix="see `bacalhau list`")
        if len(found) > 1:
            raise UserError("several jobs begin like this", where=text, fix="give more digits of the id")
        return found[0]

    def beginning(self, digits: str) -> list[Job]:
        """Return up to two of the jobs whose ids begin with these lower-case hex digits."""
        return self._jobs("WHERE substr(id, 1, ?) = ?", len(digits), digits, limit=2)

    def by_record(self, record: CID) -> Job | None:
        """Return the job that made this record."""
        return next(iter(self._jobs("WHERE record = ?", record, limit=1)), None)

    def by_output(self, output: CID) -> list[Job]:
        """Return the jobs that agreed on this output, the newest first."""
        return self._jobs("WHERE output = ?", output)

    def by_task(self, task: CID) -> list[Job]:
        """Return the jobs that were this task, the newest first."""
        return self._jobs("WHERE task = ?", task)

    def newest(self, limit: int) -> list[Job]:
        """Return the last `limit` jobs, the newest first."""
        return self._jobs("", limit=limit)

    def count(self) -> int:
        """Return the number of jobs."""
        with self._explained(), self._lock:
            return int(self._connection.execute("SELECT count(*) FROM jobs").fetchone()[0])

    def close(self) -> None:
        """Close the database. Closing twice is fine."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.close()

    def _jobs(self, where: str, *values: object, limit: int = -1) -> list[Job]:
        with self._explained(), self._lock:
            rows = self._connection.execute(f"{_SELECT} {where} {_NEWEST} LIMIT ?", (*values, limit)).fetchall()
        try:
            return [_job(row) for row in rows]
        except (ValueError, TypeError, VerificationError) as error:
            fix = "move the file away; records can be audited without it"
            raise UnavailableError("a job in it is damaged", where=str(self._path), fix=fix) from error

    def _explained(self) -> AbstractContextManager[None]:
        return explained(self._path, "jobs cannot be read or kept")


def _job(row: tuple[Any, ...]) -> Job:
    values = dict(zip(_COLUMNS, row, strict=True))
    cids = {name: _cid(values[name]) for name in ("task", "function", "input", "output", "record")}
    return Job(
        **values | cids | {"labels": tuple(json.loads(values["labels"])), "report": json.loads(values["report"])}
    )


def _cid(value: bytes | None) -> CID | None:
    return None if value is None else check_cid(bytes(value))

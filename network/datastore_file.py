"""The database that finished jobs share with what a node remembers: its tables in every version, and damaged rows.

Commands read and add to `jobs` (`job_store`) while a node writes all of its tables (`node.sqlite_datastore`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from network.lineage_tables import LINEAGE, LINEAGE_OF_BEFORE
from storage.errors import UnavailableError, VerificationError
from storage.sqlite_file import Layout

APPLICATION_ID: Final = 0x42414C4A
"""Marks the file as ours ("BALJ")."""
SCHEMA_VERSION: Final = 5
"""1 had the finished jobs alone, 2 no shards and no results, 3 said less of shards, 4 had no lineage."""

_JOBS: Final = (
    # task: empty if the job was many, which are in `shards`.
    "CREATE TABLE jobs(id TEXT PRIMARY KEY NOT NULL, created_at REAL NOT NULL, labels TEXT NOT NULL,"
    " task BLOB NOT NULL, function BLOB NOT NULL, input BLOB NOT NULL, output BLOB, record BLOB,"
    " verdict TEXT NOT NULL, tier TEXT NOT NULL, exit_code INTEGER, report TEXT NOT NULL)",
    "CREATE INDEX jobs_by_time ON jobs(created_at)",
    "CREATE INDEX jobs_by_task ON jobs(task)",
    "CREATE INDEX jobs_by_output ON jobs(output)",
    "CREATE INDEX jobs_by_record ON jobs(record)",
)
_NODE: Final = (
    # Of the two machines of the protocol. Rows may be large, so no WITHOUT ROWID.
    "CREATE TABLE entries(machine TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY(machine, key))",
    # submission: DAG-CBOR (`node.submission_entry`); origins: JSON; outcome: empty before there is one.
    "CREATE TABLE submissions(id TEXT PRIMARY KEY NOT NULL, created_at REAL NOT NULL, submission BLOB NOT NULL,"
    " origins TEXT NOT NULL, state TEXT NOT NULL, cancelled INTEGER NOT NULL, outcome BLOB NOT NULL)",
    "CREATE INDEX submissions_by_time ON submissions(created_at)",
    # Of all jobs that there ever were, few have not ended.
    "CREATE INDEX submissions_unfinished ON submissions(created_at) WHERE state <> 'ended'",
    # detail: JSON.
    "CREATE TABLE events(job TEXT NOT NULL, number INTEGER NOT NULL, at REAL NOT NULL, kind TEXT NOT NULL,"
    " detail TEXT NOT NULL, PRIMARY KEY(job, number)) WITHOUT ROWID",
    "CREATE TABLE peers(peer TEXT PRIMARY KEY NOT NULL, address TEXT NOT NULL, at REAL NOT NULL)",
    "CREATE INDEX peers_by_time ON peers(at)",
)
_RESULTS: Final = (
    # Of finished jobs over shards.
    "CREATE TABLE shards(job TEXT NOT NULL, number INTEGER NOT NULL, task BLOB NOT NULL, output BLOB, record BLOB,"
    " verdict TEXT NOT NULL, exit_code INTEGER, PRIMARY KEY(job, number)) WITHOUT ROWID",
    "CREATE INDEX shards_by_task ON shards(task)",
    "CREATE INDEX shards_by_output ON shards(output)",
    "CREATE INDEX shards_by_record ON shards(record)",
    # What was verified here, before the job that it belongs to has ended and after.
    "CREATE TABLE results(task BLOB NOT NULL, record BLOB NOT NULL, nodes TEXT NOT NULL, at REAL NOT NULL,"
    " PRIMARY KEY(task, record)) WITHOUT ROWID",
    "CREATE INDEX results_by_time ON results(at)",
)
_SHARDS_SAY_MORE: Final = (
    # first, picks, input: what of the job's input a shard is.
    "ALTER TABLE shards ADD COLUMN first TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE shards ADD COLUMN picks INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE shards ADD COLUMN input BLOB",
    "ALTER TABLE shards ADD COLUMN fuel INTEGER",
    "ALTER TABLE shards ADD COLUMN receipts INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE shards ADD COLUMN reason TEXT NOT NULL DEFAULT ''",
)
LAYOUT: Final = Layout(
    application_id=APPLICATION_ID,
    version=SCHEMA_VERSION,
    tables=(*_JOBS, *_NODE, *_RESULTS, *_SHARDS_SAY_MORE, *LINEAGE),
    upgrades={
        1: (*_NODE, *_RESULTS, *_SHARDS_SAY_MORE, *LINEAGE, *LINEAGE_OF_BEFORE),
        2: (*_RESULTS, *_SHARDS_SAY_MORE, *LINEAGE, *LINEAGE_OF_BEFORE),
        3: (*_SHARDS_SAY_MORE, *LINEAGE, *LINEAGE_OF_BEFORE),
        4: (*LINEAGE, *LINEAGE_OF_BEFORE),
    },
)

_IDS: Final = (
    "SELECT id FROM jobs WHERE id >= :first AND id < :beyond"
    " UNION SELECT id FROM submissions WHERE id >= :first AND id < :beyond LIMIT 2"
)


def job_ids(connection: sqlite3.Connection, digits: str) -> list[str]:
    """Return the ids of jobs, finished or given to a node, that begin with hex digits; two are enough to be several."""
    # "g" is what follows the last hex digit.
    found = connection.execute(_IDS, {"first": digits, "beyond": digits + "g"})
    return [str(row[0]) for row in found]


@contextmanager
def intact(path: Path, fix: str) -> Iterator[None]:
    """Say of rows that are not what was written where they are.

    Raises:
        UnavailableError: in place of an error of whatever reads the rows.
    """
    try:
        yield
    # RecursionError: JSON that is nested too deeply.
    except (ValueError, TypeError, RecursionError, VerificationError) as error:
        raise UnavailableError("a job or entry in it is damaged", where=str(path), fix=fix) from error

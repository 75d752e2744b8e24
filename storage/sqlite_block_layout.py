"""The tables of the block store, and how full they are.

`state` is kept by triggers, so that it is right after every transaction, whoever wrote. The other tables besides
`blocks` say what a garbage collection must not remove (`sqlite_lease`, `sqlite_pins`, `sqlite_collection`).
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Final

from storage.sqlite_file import Layout

APPLICATION_ID: Final = 0x42414C41
"""Marks the file as ours ("BALA"), so that another program's database is never written to."""
SCHEMA_VERSION: Final = 2
"""1 had the blocks alone."""

_BLOCKS: Final = "CREATE TABLE blocks(digest BLOB PRIMARY KEY NOT NULL, data BLOB NOT NULL)"
_KEEPING: Final = (
    # One row. generation: of garbage collection; quota: bytes, or NULL.
    "CREATE TABLE state(generation INTEGER NOT NULL, blocks INTEGER NOT NULL, bytes INTEGER NOT NULL, quota INTEGER)",
    "INSERT INTO state SELECT 0, count(*), coalesce(sum(length(data)), 0), NULL FROM blocks",
    "CREATE TRIGGER block_in AFTER INSERT ON blocks BEGIN"
    " UPDATE state SET blocks = blocks + 1, bytes = bytes + length(NEW.data); END",
    "CREATE TRIGGER block_changed AFTER UPDATE OF data ON blocks BEGIN"
    " UPDATE state SET bytes = bytes + length(NEW.data) - length(OLD.data); END",
    "CREATE TRIGGER block_out AFTER DELETE ON blocks BEGIN"
    " UPDATE state SET blocks = blocks - 1, bytes = bytes - length(OLD.data); END",
    "CREATE TABLE leases(id TEXT PRIMARY KEY NOT NULL, generation INTEGER NOT NULL)",
    # Blocks put lately, and in which generation the lease began that put them; the collection empties it.
    "CREATE TABLE touched(digest BLOB PRIMARY KEY NOT NULL, generation INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE holds(lease TEXT NOT NULL, cid BLOB NOT NULL, PRIMARY KEY(lease, cid)) WITHOUT ROWID",
    "CREATE TABLE pins(name TEXT PRIMARY KEY NOT NULL, cid BLOB NOT NULL, profile TEXT, created_at REAL NOT NULL)",
)
LAYOUT: Final = Layout(
    application_id=APPLICATION_ID,
    version=SCHEMA_VERSION,
    tables=(_BLOCKS, *_KEEPING),
    page_bytes=32768,
    upgrades={1: _KEEPING},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """How full a store is."""

    blocks: int
    bytes: int
    """Of all blocks, without what the database adds."""
    quota: int | None
    """Bytes that all blocks together may have; None for no bound."""


def usage_of(connection: sqlite3.Connection) -> Usage:
    """Return how full the store of a connection is, inside its transaction."""
    blocks, size, quota = connection.execute("SELECT blocks, bytes, quota FROM state").fetchone()
    return Usage(blocks=blocks, bytes=size, quota=quota)

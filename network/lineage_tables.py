"""The tables of the lineage and of published logs, in the database that jobs are in (`datastore_file`).

Whoever keeps a job, a shard or a result with a record leaves a note in `lineage_pending` by a trigger; what asks for
the lineage reads those records and files them (`lineage_index`). So nothing that makes records need know of it, and
what a node, a flow or a job over shards verified is found like the rest.
"""

from __future__ import annotations

from typing import Final

_NOTES: Final = tuple(
    f"CREATE TRIGGER lineage_of_{table} AFTER INSERT ON {table} WHEN NEW.record IS NOT NULL"
    " BEGIN INSERT OR IGNORE INTO lineage_pending(record) VALUES(NEW.record); END"
    for table in ("jobs", "shards", "results")
)
LINEAGE: Final = (
    # merged: it came from somebody else. dissent: receipts that said something else.
    "CREATE TABLE lineage(id INTEGER PRIMARY KEY, record BLOB NOT NULL UNIQUE, tier TEXT NOT NULL, task BLOB NOT NULL,"
    " function BLOB NOT NULL, input BLOB NOT NULL, output BLOB NOT NULL, receipts INTEGER NOT NULL,"
    " dissent INTEGER NOT NULL, merged INTEGER NOT NULL)",
    "CREATE INDEX lineage_by_task ON lineage(task, tier, output)",
    "CREATE INDEX lineage_by_function ON lineage(function)",
    "CREATE INDEX lineage_by_input ON lineage(input)",
    "CREATE INDEX lineage_by_output ON lineage(output)",
    "CREATE TABLE lineage_parents(record BLOB NOT NULL, parent BLOB NOT NULL, PRIMARY KEY(record, parent))"
    " WITHOUT ROWID",
    "CREATE INDEX lineage_children ON lineage_parents(parent)",
    # What an owner (a function, an input, a directory) is made of. role: data, volume, source, lock, runtime, wheel,
    # entry; path: of a volume or an entry, name of a wheel.
    "CREATE TABLE lineage_parts(owner BLOB NOT NULL, role TEXT NOT NULL, path TEXT NOT NULL, cid BLOB NOT NULL,"
    " PRIMARY KEY(owner, role, path)) WITHOUT ROWID",
    "CREATE INDEX lineage_owners ON lineage_parts(cid, owner)",
    "CREATE TABLE lineage_pending(record BLOB PRIMARY KEY NOT NULL) WITHOUT ROWID",
    *_NOTES,
    # Entries of published logs, ours and those that were merged. leaf: hash of the entry's block in the log's tree.
    "CREATE TABLE graph_entries(publisher TEXT NOT NULL, number INTEGER NOT NULL, entry BLOB NOT NULL,"
    " record BLOB NOT NULL, leaf BLOB NOT NULL, PRIMARY KEY(publisher, number)) WITHOUT ROWID",
    # Graphs that were made here or merged, each with its signed head: two heads of one publisher and size are proof.
    "CREATE TABLE graph_roots(root BLOB PRIMARY KEY NOT NULL, head BLOB NOT NULL, publisher TEXT NOT NULL,"
    " size INTEGER NOT NULL, at REAL NOT NULL, own INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE INDEX graph_roots_by_publisher ON graph_roots(publisher, size, head)",
)
LINEAGE_OF_BEFORE: Final = tuple(
    f"INSERT OR IGNORE INTO lineage_pending(record) SELECT record FROM {table} WHERE record IS NOT NULL"  # noqa: S608
    for table in ("jobs", "shards", "results")
)
"""Notes what a database holds that had no lineage yet."""

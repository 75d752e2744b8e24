"""Garbage collection: remove the blocks that no pin, no root of the caller's and no process at work needs.

Runs beside processes that put, pin and read. It works in transactions of its own, between which anything may happen:

1. `begin`: a new generation begins. Leases whose process is gone are removed.
2. `mark`: everything below the roots is noted. No lock is held, because this takes long.
3. `sweep`, until it returns False: in one transaction, judge the leases anew, *then* ask for the roots anew. If there
   are roots that were not marked, mark them and come back. Otherwise remove some blocks that are neither marked nor
   touched since the oldest living lease began, or since `begin` if there is none.

Why nothing is lost that was acknowledged: a block that somebody put is touched with the generation in which its lease
began, and is safe while that lease lives. A process makes its pin or job before its lease ends; so whoever finds the
lease ended finds the pin or job too. docs/decisions/0029-garbage-collection.md has the argument, and
tests/property/test_storage_collection.py tries every interleaving of the transactions.

Not for several threads at once; several processes may collect at the same time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from storage.blocks import block_key
from storage.cid import CID, inline_data
from storage.dag_walk import links_of
from storage.errors import UnavailableError, VerificationError
from storage.sqlite_block_layout import usage_of
from storage.sqlite_block_store import SqliteBlockStore
from storage.sqlite_lease import end_dead_leases
from storage.sqlite_pins import has_links

SWEEP_BLOCKS: Final = 256
"""Removed in one transaction: 256 MiB of leaves at most, a second or so in which others wait."""
VACUUM_PAGES: Final = 8192
"""Given back to the disk in one transaction: 256 MiB of pages of 32 KiB."""

_PAGE_BLOCKS: Final = 4096
"""Looked at in one transaction."""
_PAGE: Final = (
    "SELECT digest, EXISTS(SELECT 1 FROM touched WHERE touched.digest = blocks.digest AND touched.generation >= ?)"
    " FROM blocks WHERE digest > ? ORDER BY digest LIMIT ?"
)
_SIZE: Final = "SELECT length(data) FROM blocks WHERE digest = ?"

Roots = Callable[[], Iterable[CID]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What a collection did."""

    removed_blocks: int
    """Of a trial: what would be."""
    removed_bytes: int
    kept_blocks: int
    kept_bytes: int
    missing: int
    """Blocks that roots lead to and that are not here; what is below them cannot be known and was not kept for it."""


class Collection:
    """One collection; close it, or use it as a context manager.

    roots: what to keep besides pins and holds, asked for several times: all of it each time. It must name a CID before
    the process that wants it kept closes its store. is_trial: blocks are counted where they would be removed.
    """

    def __init__(self, store: SqliteBlockStore, roots: Roots, *, is_trial: bool = False) -> None:
        self._store = store
        self._roots = roots
        self._is_trial = is_trial
        self._marked_roots: set[CID] = set()
        self._generation = 0
        self._after = b""
        self._missing: set[CID] = set()
        self._removed_blocks, self._removed_bytes = 0, 0
        # What is marked lies in a temporary database of its own: on the disk when there is much of it.
        self._marks = sqlite3.connect("", isolation_level=None)
        self._marks.execute(
            "CREATE TABLE marked(digest BLOB NOT NULL, links INTEGER NOT NULL, PRIMARY KEY(digest, links))"
            " WITHOUT ROWID"
        )

    def begin(self) -> None:
        """Begin a new generation."""
        with self._store.writing() as connection:
            end_dead_leases(self._store.leases_dir, connection)
            connection.execute("UPDATE state SET generation = generation + 1")
            self._generation = int(connection.execute("SELECT generation FROM state").fetchone()[0])

    def mark(self) -> None:
        """Note everything below the roots that are not noted yet, and below blocks that were missing.

        Raises:
            VerificationError: a block with links is damaged or malformed, so what it needs is not known.
        """
        with self._store.reading() as connection:
            kept = _pinned_and_held(connection)
        fresh = self._fresh((*kept, *self._roots()))
        self._marks.execute("BEGIN")
        missing, self._missing = self._missing, set()
        for root in (*fresh, *missing):
            self._mark_tree(root)
        self._marks.execute("COMMIT")
        self._marked_roots.update(fresh)

    def sweep(self) -> bool:
        """Remove some blocks; return False when there are no more."""
        with self._store.writing() as connection:
            end_dead_leases(self._store.leases_dir, connection)
            oldest = connection.execute("SELECT min(generation) FROM leases").fetchone()[0]
            floor = self._generation if oldest is None else min(oldest, self._generation)
            # Only now: whoever let go of a lease before it was judged had named its roots before that.
            fresh = self._fresh((*_pinned_and_held(connection), *self._roots()))
            if not fresh and not any(map(self._store.has, self._missing)):
                return self._remove(connection, floor)
        self.mark()
        return True

    def give_back(self) -> None:
        """Give the room of removed blocks back to the disk, where the database was made for that."""
        while True:
            with self._store.reading() as connection:
                free = int(connection.execute("PRAGMA freelist_count").fetchone()[0])
                can = int(connection.execute("PRAGMA auto_vacuum").fetchone()[0]) == 2
            if not free or not can:
                return
            with self._store.writing() as connection:
                connection.execute(f"PRAGMA incremental_vacuum({VACUUM_PAGES})").fetchall()

    def result(self) -> Collected:
        """Return what was done so far."""
        usage = self._store.usage()
        still_there = (self._removed_blocks, self._removed_bytes) if self._is_trial else (0, 0)
        return Collected(
            removed_blocks=self._removed_blocks,
            removed_bytes=self._removed_bytes,
            kept_blocks=usage.blocks - still_there[0],
            kept_bytes=usage.bytes - still_there[1],
            missing=len(self._missing),
        )

    def close(self) -> None:
        """Forget what was marked."""
        self._marks.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.close()

    def _fresh(self, roots: Iterable[CID]) -> list[CID]:
        return [root for root in dict.fromkeys(roots) if root not in self._marked_roots]

    def _mark_tree(self, root: CID) -> None:
        todo = [root]
        while todo:
            cid = todo.pop()
            if inline_data(cid) is not None or not self._mark_block(cid) or not has_links(cid):
                continue
            try:
                todo.extend(links_of(cid, self._store.get(cid)))
            except UnavailableError:
                # It may still be put, and must be looked into then.
                self._missing.add(cid)
                self._marks.execute("DELETE FROM marked WHERE digest = ? AND links", (block_key(cid),))
            except VerificationError as error:
                fix = "repair it (add the content again) or unpin it; `bacalhau store verify` finds all damage"
                raise VerificationError(error.problem, where=error.where, fix=fix) from error

    def _mark_block(self, cid: CID) -> bool:
        """Note one block; False if it was noted already, with its links."""
        try:
            row = (block_key(cid), has_links(cid))
        except VerificationError:
            return False  # another hash function: it cannot be here
        return self._marks.execute("INSERT OR IGNORE INTO marked VALUES(?, ?)", row).rowcount == 1

    def _remove(self, connection: sqlite3.Connection, floor: int) -> bool:
        page = connection.execute(_PAGE, (floor, self._after, _PAGE_BLOCKS)).fetchall()
        if not page:
            if not self._is_trial:
                connection.execute("DELETE FROM touched WHERE generation < ?", (floor,))
            return False
        doomed: list[tuple[bytes]] = []
        for digest, is_touched in page:
            self._after = bytes(digest)
            if not is_touched and not self._is_marked(self._after):
                doomed.append((self._after,))
                if len(doomed) == SWEEP_BLOCKS:
                    break
        if self._is_trial:
            self._removed_blocks += len(doomed)
            self._removed_bytes += sum(connection.execute(_SIZE, digest).fetchone()[0] for digest in doomed)
            return True
        before = usage_of(connection)
        connection.executemany("DELETE FROM blocks WHERE digest = ?", doomed)
        after = usage_of(connection)
        self._removed_blocks += before.blocks - after.blocks
        self._removed_bytes += before.bytes - after.bytes
        return True

    def _is_marked(self, digest: bytes) -> bool:
        return self._marks.execute("SELECT 1 FROM marked WHERE digest = ?", (digest,)).fetchone() is not None


def collect(store: SqliteBlockStore, roots: Roots, progress: Callable[[str], None]) -> Collected:
    """Collect garbage from beginning to end.

    Raises:
        UnavailableError: the store cannot be read or written.
        VerificationError: a block that is needed, and has links, is damaged.
    """
    with Collection(store, roots) as collection:
        collection.begin()
        progress("marking what is needed")
        collection.mark()
        while collection.sweep():
            progress(f"removed {collection.result().removed_bytes >> 20} MiB")
        collection.give_back()
        return collection.result()


def try_collect(store: SqliteBlockStore, roots: Roots, progress: Callable[[str], None]) -> Collected:
    """Return what `collect` would do now, and remove no block; what it raises, this raises.

    Leases of processes that are gone end, as in a collection that is cut off before its first block.
    """
    with Collection(store, roots, is_trial=True) as collection:
        collection.begin()
        progress("marking what is needed")
        collection.mark()
        while collection.sweep():
            pass
        return collection.result()


def _pinned_and_held(connection: sqlite3.Connection) -> list[CID]:
    return [CID(bytes(row[0])) for row in connection.execute("SELECT cid FROM pins UNION SELECT cid FROM holds")]

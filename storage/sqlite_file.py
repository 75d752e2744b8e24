"""SQLite files of ours: made whole by whichever process is first, opened by many, never another program's.

Giving a new file its journal mode and its tables cannot be done by two processes at once: one of them is told "locked",
or sees half of it. So a new file is made beside its place and linked there when it is finished. Assumes a local disk
with hard links (SQLite's WAL needs the first anyway).
"""

from __future__ import annotations

import errno
import os
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from storage.errors import UnavailableError

_BUSY_TIMEOUT_S: Final = 60.0
"""Longer than any transaction of 16 MiB takes on a slow disk."""
LOG_PAGES: Final = 256
"""The write-ahead log is written back at this length: 8 MiB of pages of 32 KiB."""
_LITTLE_BYTES: Final = 1 << 20
"""With less free than this, an input or output error is taken for a full disk: SQLite needs room to read as well."""
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What makes a database ours."""

    application_id: int
    """SQLite's mark of the program that owns a file."""
    version: int
    """Of the tables; another one is refused."""
    tables: tuple[str, ...]
    """SQL statements that make them."""
    page_bytes: int = 8192
    """Of a new file; larger pages write large rows faster and single small ones slower."""
    upgrades: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    """Older version -> SQL statements that make `version` of it, for files that this program made before."""


def open_database(path: Path, layout: Layout) -> sqlite3.Connection:
    """Return a connection to the database at `path`, made if there is none. The caller closes it.

    Nothing is written to a file that is there already, but for the upgrade of an older layout of ours.

    Raises:
        UnavailableError: it cannot be made.
        sqlite3.DatabaseError: it cannot be read, or is not ours (to be explained by `explained`).
    """
    try:
        if not path.exists():
            _make(path, layout)
    except OSError as error:
        raise UnavailableError(f"cannot be made: {error.strerror}", where=str(path), fix=_fix(error, path)) from error
    connection = connect(path)
    try:
        _check_owner(connection, layout)
        _upgrade(connection, layout)
    except BaseException:
        connection.close()
        raise
    return connection


def open_durable_database(path: Path, layout: Layout) -> sqlite3.Connection:
    """Do as `open_database`; a transaction of this connection is on the disk when it returns, power loss included.

    Raises:
        UnavailableError: it cannot be made.
        sqlite3.DatabaseError: it cannot be read, or is not ours (to be explained by `explained`).
    """
    connection = open_database(path, layout)
    try:
        # NORMAL, the default here, writes the log to the disk only when it is written back to the database.
        connection.execute("PRAGMA synchronous = FULL")
        # The names of the database and of its log, which is there as long as a connection is that has read or written.
        _sync_folder(path.parent)
    except BaseException:
        connection.close()
        raise
    return connection


def connect(path: Path) -> sqlite3.Connection:
    """Return a further connection to a database that `open_database` has opened.

    Every statement is a transaction of its own; the caller orders its threads.
    """
    connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Make what is done inside one transaction that no other writer sees half of; an error undoes all of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # SQLite has rolled back by itself after some errors (disk full).
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def explained(path: Path, problem: str) -> Iterator[None]:
    """Turn SQLite's errors into ours; misuse (a closed database) stays a bug.

    Raises:
        UnavailableError: in place of an error of the database.
    """
    try:
        yield
    except sqlite3.ProgrammingError:
        raise
    except sqlite3.DatabaseError as error:
        raise UnavailableError(f"{problem}: {error}", where=str(path), fix=_fix(error, path)) from error


def _sync_folder(folder: Path) -> None:
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise UnavailableError(
            f"cannot be written to the disk: {error.strerror}", where=str(folder), fix=_fix(error, folder)
        ) from error


def _make(path: Path, layout: Layout) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=path.parent) as folder:
        new = Path(folder) / path.name
        with closing(connect(new)) as connection:
            _fill(connection, layout)
            # Closing writes the log back too, but says nothing where it cannot; without its log this is no database.
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with new.open("rb") as file:
            os.fsync(file.fileno())  # once, and before anybody sees it
        try:
            os.link(new, path)
        except FileExistsError:  # another process was first, with the same
            return


def _fill(connection: sqlite3.Connection, layout: Layout) -> None:
    for statement in (
        "PRAGMA synchronous = OFF",
        f"PRAGMA page_size = {layout.page_bytes}",
        "PRAGMA auto_vacuum = INCREMENTAL",  # costs nothing that can be measured; room can be given back to the disk
        "PRAGMA journal_mode = WAL",
        *layout.tables,
        f"PRAGMA application_id = {layout.application_id}",
        f"PRAGMA user_version = {layout.version}",
    ):
        connection.execute(statement)


def _check_owner(connection: sqlite3.Connection, layout: Layout) -> None:
    owner = connection.execute("PRAGMA application_id").fetchone()[0]
    version = _version(connection)
    if owner != layout.application_id:
        raise sqlite3.DatabaseError("it is another program's database, or an empty file")
    if version != layout.version and version not in layout.upgrades:
        raise sqlite3.DatabaseError(f"its schema is version {version}, this program knows {layout.version}")


def _upgrade(connection: sqlite3.Connection, layout: Layout) -> None:
    if _version(connection) == layout.version:
        return
    with transaction(connection):
        # Another process may have been faster: the version that counts is the one that is read under the lock.
        for statement in layout.upgrades.get(_version(connection), ()):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {layout.version}")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _fix(error: sqlite3.DatabaseError | OSError, path: Path) -> str:
    code = getattr(error, "sqlite_errorcode", 0)
    # Extended codes have the family in their low byte.
    full = code == sqlite3.SQLITE_FULL or (code & 0xFF == sqlite3.SQLITE_IOERR and _free_bytes(path) < _LITTLE_BYTES)
    if full or getattr(error, "errno", None) in _FULL:
        return "make room on its disk"
    return "move the file away, or point BACALHAU_DIR to another folder"


def _free_bytes(path: Path) -> int:
    try:
        disk = os.statvfs(path.parent)
    except OSError:
        return _LITTLE_BYTES
    return disk.f_bavail * disk.f_frsize

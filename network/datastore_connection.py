"""One connection to the database that jobs are in, under one lock: what the stores of its tables have in common.

Each store opens a connection of its own. Safe for several threads and processes at once.
"""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from network.datastore_file import LAYOUT
from storage.sqlite_file import explained, open_database, open_durable_database


class DatastoreConnection:
    """A store of some of the tables, in the database at `path`; use as a context manager or `close` it.

    Every method raises UnavailableError if the database cannot be used.
    """

    PROBLEM: ClassVar[str]
    """What is said then."""
    IS_DURABLE: ClassVar[bool] = False
    """A transaction is on the disk when it returns, power loss included."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        # One connection under one lock.
        with self._explained():
            self._connection = (open_durable_database if self.IS_DURABLE else open_database)(path, LAYOUT)

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

    def _read(self, sql: str, *values: object) -> list[Any]:
        """Return the rows of a question. values: in the order of its marks."""
        with self._explained(), self._lock:
            return self._connection.execute(sql, values).fetchall()

    def _explained(self) -> AbstractContextManager[None]:
        return explained(self._path, self.PROBLEM)

"""Whether something fits into the store's quota, found out before a byte of it is written."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from storage.blocks import ForgetfulBlockStore, block_key
from storage.cid import CID, inline_data
from storage.errors import UnavailableError
from storage.sqlite_block_store import SqliteBlockStore
from storage.unixfs_import import Importer
from storage.unixfs_profile import Profile


def check_room(store: SqliteBlockStore, path: Path, profile: Profile) -> None:
    """Make sure that importing `path` keeps the quota. Reads the content only if its size alone does not tell.

    Raises:
        UnavailableError: it does not fit. What `Importer.path` raises, if the content has to be read.
    """
    usage = store.usage()
    if usage.quota is None or usage.bytes + _size_at_most(path) <= usage.quota:
        return
    # Much of it may be here already: count what is new.
    fresh = _FreshBytes(store)
    Importer(fresh, profile).path(path)
    if fresh.bytes and usage.bytes + fresh.bytes > usage.quota:
        raise UnavailableError(
            f"would add {fresh.bytes} bytes to {usage.bytes} and the store's quota is {usage.quota}",
            where=str(path),
            fix="free room with `bacalhau store gc`, or raise it with `bacalhau store quota`",
        )


class _FreshBytes(ForgetfulBlockStore):
    """Counts the bytes of blocks that the store does not have, each once."""

    def __init__(self, store: SqliteBlockStore) -> None:
        super().__init__()
        self.bytes = 0
        self._store = store
        self._seen: set[bytes] = set()

    def put_many(self, blocks: Iterable[tuple[CID, bytes]]) -> None:
        """Count the blocks and drop them."""
        for cid, data in blocks:
            if inline_data(cid) is None and block_key(cid) not in self._seen and not self._store.has(cid):
                self._seen.add(block_key(cid))
                self.bytes += len(data)


def _size_at_most(path: Path) -> int:
    """Return a bound for the bytes of all blocks; what cannot be looked at is found by the import."""
    if not path.is_dir() or path.is_symlink():
        return _with_nodes(path)
    found = _with_nodes(path)
    for folder, folders, files in os.walk(path):
        found += sum(_with_nodes(Path(folder, name)) for name in (*folders, *files))
    return found


def _with_nodes(path: Path) -> int:
    """Return the bytes of one entry, its nodes and its link: names and sizes of a link take less than 1 KiB."""
    size = path.lstat().st_size if os.path.lexists(path) else 0
    return size + size // 256 + 1024

"""The logs of published records, in SQLite: ours, which grows, and those of others, as far as they were merged.

Blocks of entries, heads and roots are in the block store. Safe for several threads and processes at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from network.datastore_connection import DatastoreConnection
from network.datastore_file import intact
from storage.cid import CID, check_cid
from storage.sqlite_block_store import SqliteBlockStore
from storage.sqlite_file import transaction
from verifier.graph_log import LogChain, append, sign_head
from verifier.graph_types import GraphHead, make_graph
from verifier.identity import Identity
from verifier.model import PeerId, load_node, node_cid, store_node

_FIX: Final = "move the file away; what was published stays published"
_ENTRIES: Final = "SELECT entry, record, leaf FROM graph_entries WHERE publisher = ? ORDER BY number"
_ADD_ENTRY: Final = "INSERT OR IGNORE INTO graph_entries(publisher, number, entry, record, leaf) VALUES(?, ?, ?, ?, ?)"
_ADD_ROOT: Final = "INSERT OR IGNORE INTO graph_roots(root, head, publisher, size, at, own) VALUES(?, ?, ?, ?, ?, ?)"
_HEADS: Final = (
    "SELECT head, size, max(root), min(at) FROM graph_roots WHERE publisher = ? GROUP BY size, head ORDER BY size"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenHead:
    """A signed head that was made here or merged."""

    head: CID
    size: int
    root: CID
    """A graph that it came with."""
    at: float
    """When it was first here; seconds since 1970, UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What was published, or would be again."""

    root: CID
    head: GraphHead
    added: int
    """Records that were not in the log before."""


class GraphStore(DatastoreConnection):
    """The logs in the database at `path`; use as a context manager or `close` it.

    Every method raises UnavailableError if the database cannot be used.
    """

    PROBLEM: ClassVar[str] = "published logs cannot be read or kept"
    IS_DURABLE: ClassVar[bool] = True

    def publish(
        self,
        identity: Identity,
        records: Sequence[CID],
        store: SqliteBlockStore,
        *,
        at: float,
        merges: Iterable[CID] = (),
        rivals: Iterable[CID] = (),
    ) -> Publication:
        """Append to the identity's log what of `records` is not in it, in their order, and make a root of all of them.

        merges: statements of what jobs over shards gave; rivals: records that contradict some of these. The root names
        them too, and the log does not.

        The log is read and written under one lock, so two commands at once never sign two logs of one size; blocks
        are on the disk before the rows that name them.

        Raises:
            UnavailableError: blocks cannot be kept.
        """
        with self._explained(), self._lock, transaction(self._connection):
            rows = self._connection.execute(_ENTRIES, (identity.peer,)).fetchall()
            listed = {bytes(row[1]) for row in rows}
            fresh = [record for record in dict.fromkeys(records) if record not in listed]
            last = CID(bytes(rows[-1][0])) if rows else None
            appended = append(identity, fresh, size=len(rows), last=last, at=int(at))
            leaves = [*(bytes(row[2]) for row in rows), *appended.leaves]
            newest = appended.entries[-1][0] if appended.entries else last
            if newest is None:
                raise ValueError("nothing to publish")
            head = sign_head(identity, leaves, newest)
            store.put_many(appended.blocks)
            graph = make_graph(store_node(store, head), records, merges, rivals)
            root = store_node(store, graph)
            store.sync()
            numbered = zip(appended.entries, appended.leaves, strict=True)
            self._connection.executemany(
                _ADD_ENTRY,
                [(identity.peer, entry.number, cid, entry.record_cid, leaf) for (cid, entry), leaf in numbered],
            )
            self._connection.execute(_ADD_ROOT, (root, node_cid(head), identity.peer, head.size, at, 1))
        return Publication(root=root, head=head, added=len(fresh))

    def merge(self, root: CID, chain: LogChain, *, at: float) -> None:
        """Keep the log of a graph that was found sound; of a log that contradicts what is here, what is here stays."""
        head = chain.head
        rows = [
            (head.publisher, entry.number, cid, entry.record_cid, leaf)
            for (cid, entry), leaf in zip(chain.entries, chain.leaves, strict=True)
        ]
        with self._explained(), self._lock, transaction(self._connection):
            known = self._connection.execute(_ENTRIES, (head.publisher,)).fetchall()
            shared = zip(known, rows, strict=False)
            if all(bytes(old[0]) == new[2] for old, new in shared):
                self._connection.executemany(_ADD_ENTRY, rows)
            self._connection.execute(_ADD_ROOT, (root, node_cid(head), head.publisher, head.size, at, 0))

    def heads(self, publisher: PeerId) -> list[SeenHead]:
        """Return the heads of a publisher, the shortest log first; two of one size are proof against it."""
        rows = self._read(_HEADS, publisher)
        with intact(self._path, _FIX):
            return [
                SeenHead(
                    head=check_cid(bytes(row[0])), size=int(row[1]), root=check_cid(bytes(row[2])), at=float(row[3])
                )
                for row in rows
            ]

    def newest(self, publisher: PeerId, store: SqliteBlockStore) -> tuple[SeenHead, GraphHead] | None:
        """Return the head of the longest log of a publisher.

        Raises:
            UnavailableError, VerificationError: its block is gone or damaged.
        """
        heads = self.heads(publisher)
        return None if not heads else (heads[-1], load_node(store, heads[-1].head, GraphHead))

    def roots(self) -> list[CID]:
        """Return all graphs that a garbage collection keeps."""
        with intact(self._path, _FIX):
            return [check_cid(bytes(row[0])) for row in self._read("SELECT root FROM graph_roots")]

"""Which of some records gave a content, or something in it: what a task names as its parents beside whole outputs.

A shard's data is a directory of its own, and the output of a job over shards is nobody's, so neither is the output of
a record. What is in them is, and that is what check 13 of an audit looks for. Content tells, not place: of two records
that gave the same file both are named. What is empty is in nearly every output, and tells only where nothing else does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from itertools import islice
from threading import Lock
from typing import Final

from storage.blocks import BlockStore
from storage.cid import CID
from storage.errors import BacalhauError, UserError
from storage.unixfs_load import is_raw
from storage.unixfs_names import MAX_DEPTH
from storage.unixfs_read import UnixfsReader
from verifier.audit_edges import EMPTY
from verifier.audit_reading import TreeSearch
from verifier.graph_reading import read_facts

MAX_CONTENTS: Final = 1 << 20
"""Of all outputs that are looked into, some 150 MB of memory; an output that holds the whole input is not."""


class ContentGivers:
    """Looks contents up in the outputs of records, which are listed once. For several threads."""

    def __init__(self, store: BlockStore, records: Iterable[CID], *, whole: CID | None = None) -> None:
        """Take candidates; nothing is read yet.

        whole: what is asked about are parts of this alone, so a record that gave all of it gave each of them.
        """
        self._reader = UnixfsReader(store)
        self._store = store
        self._records = tuple(sorted(set(records)))
        self._whole = whole
        self._gave_all: set[CID] = set()
        self._gave: dict[CID, set[CID]] | None = None
        self._lock = Lock()

    def of(self, content: CID) -> tuple[CID, ...]:
        """Return the records that gave a content or something in it, by CID.

        Raises:
            UserError: the outputs have too much in them to be looked into.
            UnavailableError, VerificationError: the content cannot be read.
        """
        if not self._records:
            return ()
        gave = self.look()
        found = set(self._gave_all)
        nothings: set[CID] = set()
        for cid in self._below(content, stop=gave):
            (nothings if cid in EMPTY else found).update(gave.get(cid, ()))
        return tuple(sorted(found or nothings))

    def look(self) -> Mapping[CID, set[CID]]:
        """List the outputs, unless that was done; return which records gave each content.

        Raises:
            UserError: they have too much in them.
        """
        with self._lock:
            if self._gave is None:
                self._gave = self._listed()
            return self._gave

    def _listed(self) -> dict[CID, set[CID]]:
        """Return what is in the outputs of the records that did not give all; those that cannot be read gave nothing.

        An edge that nobody can check is none: the job names them all the same.
        """
        search = TreeSearch(self._reader, {self._whole} if self._whole is not None else set())
        gave: dict[CID, set[CID]] = defaultdict(set)
        for record in self._records:
            for cid in self._given_by(record, search):
                gave[cid].add(record)
            if len(gave) > MAX_CONTENTS:
                problem = f"the outputs that it comes from have more than {MAX_CONTENTS} entries"
                raise UserError(problem, where="-i", fix="give them as inputs of their own")
        return dict(gave)

    def _given_by(self, record: CID, search: TreeSearch) -> set[CID]:
        """Return what is in the output of a record; nothing of one that gave all, which is noted."""
        try:
            output = read_facts(self._store, record).output
            if self._whole is not None and (output == self._whole or search.finds_in(output)):
                self._gave_all.add(record)
                return set()
            return set(islice(self._below(output), MAX_CONTENTS + 1))
        except BacalhauError:
            return set()

    def _below(self, root: CID, *, stop: Container[CID] = frozenset()) -> Iterator[CID]:
        """Yield a content and everything in it, each once; nothing that is in one of `stop`."""
        todo, seen = [(root, 0)], {root}
        while todo:
            cid, depth = todo.pop()
            yield cid
            if cid in stop or depth >= MAX_DEPTH or is_raw(cid) or self._reader.stat(cid).kind != "directory":
                continue
            fresh = {link.cid for _, link in self._reader.entries(cid)} - seen
            seen |= fresh
            todo += [(child, depth + 1) for child in fresh]

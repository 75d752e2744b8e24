"""Counts records for what is known of nodes: once those of before, and later what an operator says is to be counted.

A requester counts its own sessions as they end (`trust_book`). Records of other requesters count only on their
operator's word: whoever makes a record chooses its nodes, and two keys of one person agree on whatever they like.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from network.node.datastore import Change, Datastore, Machine, Put
from network.node.trust_book import TrustBook
from network.node.trust_entries import COUNTED
from network.result_store import ResultStore
from storage.blocks import BlockStore
from storage.cid import CID
from storage.errors import UnavailableError, VerificationError
from verifier.model import Record, load_node
from verifier.witness import witness_of

FIRST: Final = 2_000
"""Records of before that are counted when a node starts for the first time with this: some seconds."""
MAX_GRAPH: Final = 10_000
"""Records of a graph that are counted at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What came of counting."""

    records: int
    unsound: int
    """Not here, or not what they say: they count for nothing."""


def count_once(datastore: Datastore, results: ResultStore, store: BlockStore) -> None:
    """Count the records that were kept here before nodes were known by them, the first time that this is called.

    Raises:
        UnavailableError: the datastore cannot be used.
    """
    if COUNTED not in datastore.entries(Machine.TRUST):
        count_records(results.of_strangers(FIRST), datastore, store)
        datastore.commit([Put(machine=Machine.TRUST, key=COUNTED, value=b"\xf6")])


def count_records(records: Iterable[CID], datastore: Datastore, store: BlockStore) -> Counted:
    """Count records, each checked, and keep what comes of that. No node may run on this datastore.

    Raises:
        UnavailableError: the datastore cannot be used.
        VerificationError: it holds something else.
    """
    book = TrustBook()
    book.load(datastore.entries(Machine.TRUST))
    changes: list[Change] = []
    sound = unsound = 0
    for record in records:
        try:
            witness = witness_of(record, store)
        except (UnavailableError, VerificationError):
            unsound += 1
        else:
            sound += 1
            changes += book.note(witness, record)
    datastore.commit(changes)
    return Counted(records=sound, unsound=unsound)


def graph_of(root: CID, store: BlockStore) -> Iterator[CID]:
    """Yield a record and all that are before it, as far as they are here, the earliest first; at most MAX_GRAPH.

    Raises:
        UnavailableError, VerificationError: the first one cannot be read.
    """
    load_node(store, root, Record)
    found, todo = dict.fromkeys([root]), [root]
    while todo and len(found) < MAX_GRAPH:
        try:
            parents = load_node(store, todo.pop(), Record).parents
        except (UnavailableError, VerificationError):
            continue
        fresh = [parent for parent in parents if parent not in found][: MAX_GRAPH - len(found)]
        found |= dict.fromkeys(fresh)
        todo += fresh
    yield from reversed(found)

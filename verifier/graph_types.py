"""What a person publishes of a result graph: a log of records, its signed head, and a root that picks some of them.

Each type is one DAG-CBOR block; `docs/graph.md` says what is checked of them, `docs/record.ipldsch` has their form. A
published version is never edited: a change of meaning is a new version.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final, TypeAlias

from storage.blocks import BlockStore
from storage.cid import CID, cid_text, parse_cid
from storage.errors import UserError
from verifier.bounds import Amount, Count, Epoch, Hex32, Link, Peer, Signature, SortedLinks, at_most
from verifier.model import load_node, version_of
from verifier.schema import Schema

MAX_RECORDS: Final = 40_000
"""Of one root: its block stays below the 2 MiB of which blocks travel."""
MAX_ENTRIES: Final = 250_000
"""Of a log that is read whole: some 250 bytes an entry on the way, a kilobyte and more in memory."""


_MOST_CHARACTERS: Final = 256


def _cid_problem(text: str) -> str:
    try:
        same = len(text) <= _MOST_CHARACTERS and cid_text(parse_cid(text)) == text
    except UserError:
        same = False
    return "" if same else "must be a CID as text, in its usual form"


CidText = Annotated[str, _cid_problem]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry(Schema):
    """One record that its publisher says to have published, linked to all before it."""

    VERSION: ClassVar[str] = "graph-entry/1"

    publisher: Peer
    number: Count
    """From 0, without gaps."""
    previous: Link | None
    """The entry before; None of the first."""
    record: CidText
    """Text and no link: who keeps the log need not keep every record that was ever in it."""
    at: Epoch
    """Seconds since 1970, UTC, as the publisher says."""

    @property
    def record_cid(self) -> CID:
        """The record."""
        return parse_cid(self.record)


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphHead(Schema):
    """A publisher's signed statement that its log is these entries, in this order. Two of one size are equal."""

    VERSION: ClassVar[str] = "graph-head/1"

    publisher: Peer
    size: Amount
    """Entries."""
    last: Link
    """The newest entry."""
    tree: Hex32
    """Merkle tree hash of the blocks of all entries (`verifier.graph_tree`)."""
    signature: Signature


def _ascending(cids: tuple[bytes, ...]) -> str:
    ascending = all(left < right for left, right in itertools.pairwise(cids))
    return "" if ascending and cids else "must be sorted by CID without duplicates, and not empty"


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph(Schema):
    """A graph root: records of a log, with everything that shows them sound beside it."""

    VERSION: ClassVar[str] = "graph/1"

    head: Link
    records: Annotated[tuple[Link, ...], at_most(MAX_RECORDS), _ascending]
    """Those that this is about, and their ancestors; of the others in the log only the CIDs are published."""

    @property
    def merges(self) -> tuple[CID, ...]:
        """Return the outputs of jobs over shards that it is about: none."""
        return ()

    @property
    def rivals(self) -> tuple[CID, ...]:
        """Return the records that contradict its own: none that it tells."""
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotatedGraph(Schema):
    """A graph root that says more of its records than that they are there."""

    VERSION: ClassVar[str] = "graph/2"

    head: Link
    records: Annotated[tuple[Link, ...], at_most(MAX_RECORDS), _ascending]
    """As of `Graph`."""
    merges: SortedLinks
    """Statements that outputs are merged of what records of this root gave (`verifier.merge_types`)."""
    rivals: SortedLinks
    """Records that contradict some of these, in no log of this publisher: it tells of them, and does not claim them."""


AnyGraph: TypeAlias = Graph | AnnotatedGraph
GRAPHS: Final = frozenset({Graph.VERSION, AnnotatedGraph.VERSION})


def load_graph(store: BlockStore, cid: CID) -> AnyGraph:
    """Return a graph root of either version.

    Raises:
        UnavailableError: it is not here. VerificationError: it is none.
    """
    if version_of(store, cid) == AnnotatedGraph.VERSION:
        return load_node(store, cid, AnnotatedGraph)
    return load_node(store, cid, Graph)


def make_graph(head: CID, records: Iterable[CID], merges: Iterable[CID] = (), rivals: Iterable[CID] = ()) -> AnyGraph:
    """Return a root, of the oldest version that can say it."""
    listed, merged, others = (tuple(sorted(set(cids))) for cids in (records, merges, rivals))
    if merged or others:
        return AnnotatedGraph(head=head, records=listed, merges=merged, rivals=others)
    return Graph(head=head, records=listed)

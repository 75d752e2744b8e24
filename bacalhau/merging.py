"""Somebody else's graph becomes part of the one here: checked, kept, filed, and compared with what was here before.

Nothing is taken on trust: every signature, the log and all records are audited first. What is merged explains and
contradicts, and answers no run in place of executing it (`network.known_results`): whose nodes those were is not known.
Reads the clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from bacalhau.admission import check_evidence
from bacalhau.graph_blocks import present_blocks
from bacalhau.proof import open_proof
from network.graph_store import GraphStore
from network.lineage_index import Filer
from network.lineage_store import LineageRow, LineageStore
from storage.block_folder import read_block_folder
from storage.blocks import BlockStore
from storage.cid import CID, cid_text, is_cid_text, parse_cid
from storage.errors import UnavailableError, UserError, VerificationError
from storage.sqlite_block_store import SqliteBlockStore
from verifier.graph_audit import GraphAudit, audit_graph
from verifier.graph_log import Equivocation, LogChain, compare_chains, read_chain
from verifier.graph_types import GraphHead
from verifier.merge_types import load_merge
from verifier.model import load_node, node_cid

Count = Callable[[str, int, int | None], None]
"""As `progress.Display.count`."""
_BLOCKS_PER_PUT: Final = 64
_MOST_RIVALS: Final = 100
"""Records that contradict one that is merged, of those that are told."""
_MAY_BE_FALSE: Final = frozenset({"disputes"})
_MAY_BE_UNKNOWN: Final = frozenset({"records", "taint", "disputes", "merges", "rivals"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """Two records of one task that say different things."""

    task: CID
    merged: CID
    here: CID

    def to_json(self) -> dict[str, str]:
        """Return it as JSON."""
        return {"task": cid_text(self.task), "merged": cid_text(self.merged), "here": cid_text(self.here)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What came of one root."""

    root: CID
    publisher: str
    records: int
    new: int
    """Records that were not here."""
    partly_checked: int
    """Records whose content is not all there: their evidence is sound, and what it is about cannot be looked at."""
    tainted: int
    disputes: tuple[Dispute, ...]
    equivocation: Equivocation | None
    merges: int = 0
    """Outputs of jobs over shards that were merged again, and are what is said of them."""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "root": cid_text(self.root),
            "publisher": self.publisher,
            "records": self.records,
            "new": self.new,
            "partly_checked": self.partly_checked,
            "tainted": self.tainted,
            "merges": self.merges,
            "disputes": [one.to_json() for one in self.disputes],
            "equivocation": None if self.equivocation is None else equivocation_json(self.equivocation),
        }


def equivocation_json(found: Equivocation) -> dict[str, Any]:
    """Return the proof against a publisher as JSON: both signed heads, whole."""
    heads = (found.first, found.second)
    return {
        "publisher": found.first.publisher,
        "number": found.number,
        "heads": [
            {
                "cid": cid_text(node_cid(head)),
                "size": head.size,
                "last": cid_text(head.last),
                "tree": head.tree,
                "signature": head.signature,
            }
            for head in heads
        ],
    }


class FirstThen:
    """Reads blocks of one store, and what is not there of another; for reading alone."""

    def __init__(self, first: BlockStore, then: BlockStore) -> None:
        self._first, self._then = first, then

    def get(self, cid: CID) -> bytes:
        """Return the block, checked."""
        return (self._first if self._first.has(cid) else self._then).get(cid)

    def has(self, cid: CID) -> bool:
        """Tell whether it is in either."""
        return self._first.has(cid) or self._then.has(cid)

    def put(self, cid: CID, data: bytes) -> None:
        """Refuse: this is for reading."""
        raise NotImplementedError

    def put_many(self, blocks: object) -> None:
        """Refuse: this is for reading."""
        raise NotImplementedError


@contextmanager
def open_published(text: str, here: SqliteBlockStore) -> Iterator[tuple[BlockStore, tuple[CID, ...]]]:
    """Open what somebody published: a CAR, a folder that `publish --to dir:` made, or a CID whose blocks are here.

    Returns:
        the blocks, with those of this home behind them, and the roots.

    Raises:
        UserError: it is none of these.
        VerificationError: a block is not what its CID says, or the file is cut off.
    """
    path = Path(text)
    if is_cid_text(text) and not path.exists():
        yield here, (parse_cid(text),)
    elif path.is_dir():
        with (
            TemporaryDirectory(prefix="bacalhau-merge-") as folder,
            SqliteBlockStore(Path(folder) / "blocks.sqlite") as store,
        ):
            roots, blocks = read_block_folder(path)
            while batch := list(islice(blocks, _BLOCKS_PER_PUT)):
                store.put_many(batch)
            yield FirstThen(store, here), roots
    else:
        with open_proof(path) as proof:
            if proof.damage:
                raise VerificationError(proof.damage, fix="get it again")
            yield FirstThen(proof.store, here), proof.roots


def merge_root(
    root: CID,
    blocks: BlockStore,
    *,
    store: SqliteBlockStore,
    lineage: LineageStore,
    logs: GraphStore,
    count: Count,
) -> Merged:
    """Check one graph root and take it in.

    blocks: what was published; store: of this home.

    Raises:
        VerificationError: something in it is wrong; nothing was taken.
        UnavailableError: too little of it is there; nothing was taken.
    """
    found = audit_graph(blocks, root, lambda done, total: count("records audited", done, total))
    chain = _admitted(root, found)
    equivocation = _compare(chain, blocks, store, logs)
    rows = [lineage.record(facts.cid) for facts, _ in found.records]
    pieces = present_blocks(blocks, root)
    while batch := list(islice(pieces, _BLOCKS_PER_PUT)):
        store.put_many(batch)
    store.sync()
    logs.merge(root, chain, at=time.time())
    filer = Filer(store, lineage)
    filer.add([facts for facts, _ in (*found.records, *found.rivals)], merged=True)
    for merge in found.merges:
        filer.add_merge(merge, load_merge(store, merge)[0])
    filed = [lineage.record(facts.cid) for facts, _ in found.records]
    return Merged(
        root=root,
        publisher=chain.head.publisher,
        records=len(filed),
        new=sum(row is None for row in rows),
        partly_checked=sum(report is not None and report.verdict != "valid" for _, report in found.records),
        tainted=sum(not facts.is_verified for facts, _ in found.records),
        disputes=tuple(dispute for row in filed if row is not None for dispute in _disputes(row, lineage)),
        merges=len(found.merges),
        equivocation=equivocation,
    )


def _admitted(root: CID, found: GraphAudit) -> LogChain:
    """Return the log of a graph that is sound as far as its content is there.

    Raises:
        VerificationError, UnavailableError: it is not.
    """
    for check in found.report.checks:
        if check.ok is False and check.name not in _MAY_BE_FALSE:
            fix = "give what `bacalhau publish` made" if check.name == "root" else ""
            raise VerificationError(f"check {check.n} {check.name}: {check.detail}", where=cid_text(root), fix=fix)
    lacking = [one for one in found.report.checks if one.ok is None and one.name not in _MAY_BE_UNKNOWN]
    if lacking or found.chain is None or len(found.records) < found.size:
        first = lacking[0] if lacking else next(one for one in found.report.checks if one.name == "records")
        fix = "get the whole of it; `bacalhau audit` says what is missing"
        raise UnavailableError(f"check {first.n} {first.name}: {first.detail}", where=cid_text(root), fix=fix)
    for facts, report in found.records:
        if report is not None:
            check_evidence(facts.cid, report)
    for facts, rival in found.rivals:
        check_evidence(facts.cid, rival)
    return found.chain


def _compare(chain: LogChain, blocks: BlockStore, store: SqliteBlockStore, logs: GraphStore) -> Equivocation | None:
    """Compare a log with all that its publisher has signed and that is here.

    A shorter head is in this log if its last entry is; only of a longer one the entries must be read.
    """
    known = FirstThen(store, blocks)
    for seen in reversed(logs.heads(chain.head.publisher)):
        head = load_node(store, seen.head, GraphHead)
        if head.size <= chain.head.size and chain.entries[head.size - 1][0] == head.last:
            continue
        found = compare_chains(read_chain(known, head), chain)
        if found is not None:
            return found
    return None


def _disputes(row: LineageRow, lineage: LineageStore) -> Iterator[Dispute]:
    for _, rival in sorted(lineage.rivals([row.record], limit=_MOST_RIVALS)):
        yield Dispute(task=row.task, merged=row.record, here=rival)


def read_log(root: CID, blocks: BlockStore) -> LogChain:
    """Read and check the log of a graph root, or of a head.

    Raises:
        UnavailableError: not all of it is there.
        VerificationError: it is not sound.
    """
    from verifier.graph_log import check_head
    from verifier.graph_types import load_graph

    try:
        head = load_node(blocks, root, GraphHead)
    except VerificationError:
        head = load_node(blocks, load_graph(blocks, root).head, GraphHead)
    check_head(head)
    chain = read_chain(blocks, head)
    chain.check_tree()
    return chain


def refuse_without_roots(roots: tuple[CID, ...], text: str) -> None:
    """Refuse what names nothing.

    Raises:
        UserError: there are no roots.
    """
    if not roots:
        raise UserError("has no root", where=text, fix="name what `bacalhau publish` made")

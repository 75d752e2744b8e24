"""Which blocks a published graph is: all that its audit reads, each once, the root first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress

from storage.blocks import BlockStore
from storage.cid import CID
from storage.dag_walk import VisitKey, visit_key, walk
from storage.errors import BacalhauError, UnavailableError, UserError
from verifier.closure import visit_trees
from verifier.evidence import Evidence
from verifier.graph_reading import RecordFacts, read_facts
from verifier.graph_types import MAX_RECORDS, GraphHead, LogEntry, load_graph
from verifier.merge_types import Merge, merge_blocks
from verifier.model import Function, Lock, load_node


def with_ancestors(records: Iterable[CID], store: BlockStore) -> list[RecordFacts]:
    """Return records and all that they rest on, parents before their children; the same for the same records.

    Raises:
        UserError: they are more than a graph root can name.
        UnavailableError: an ancestor is not here.
        VerificationError: one is no record.
    """
    found: dict[CID, RecordFacts] = {}
    ordered: dict[CID, RecordFacts] = {}
    # A record is met twice: before its parents are put on the stack, and when they are done.
    todo = [(record, False) for record in reversed(list(dict.fromkeys(records)))]
    while todo:
        cid, is_done = todo.pop()
        if is_done:
            ordered[cid] = found[cid]
        elif cid not in found:
            found[cid] = read_facts(store, cid)
            if len(found) > MAX_RECORDS:
                raise UserError(f"more than {MAX_RECORDS} records", where="publish", fix="publish fewer at a time")
            todo.append((cid, True))
            todo += [(parent, False) for parent in reversed(found[cid].parents)]
    return list(ordered.values())


def published_blocks(store: BlockStore, root: CID, *, wheels: bool = True) -> Iterator[tuple[CID, bytes]]:
    """Yield the blocks of a graph: root, head, the log's entries, then of every record all that its audit reads.

    wheels: also the wheels themselves, not only the lock with their hashes.

    Raises:
        UnavailableError: a block is not here.
        VerificationError: one is not what it should be.
    """
    seen: set[VisitKey] = set()
    graph = load_graph(store, root)
    trees: dict[CID, None] = {}
    for cid in (root, graph.head, *_entries(store, graph.head)):
        yield from _once(store, cid, seen)
    for merge in graph.merges:
        for cid in merge_blocks(store, merge):
            yield from _once(store, cid, seen)
        trees[load_node(store, merge, Merge).output] = None
    for record in graph.records:
        if read_facts(store, record).is_verified:
            evidence = Evidence(store=store, cid=record)
            for cid, _ in evidence.nodes():
                yield from _once(store, cid, seen)
            below = list(evidence.trees())
            for wheel in [] if wheels else _wheels(evidence):
                below.remove(wheel)  # once: the same bytes may be an input too
            trees.update(dict.fromkeys(below))
        else:
            yield from _of_unverified(store, record, seen)
    for visit in visit_trees(store, trees):
        if visit.error is not None:
            raise visit.error
        yield from _once(store, visit.cid, seen)
    yield from _evidence_here(store, graph.rivals, seen)


def _evidence_here(store: BlockStore, records: Iterable[CID], seen: set[VisitKey]) -> Iterator[tuple[CID, bytes]]:
    """Yield what the audits of records read, as far as it is here."""
    trees: dict[CID, None] = {}
    for record in records:
        evidence = Evidence(store=store, cid=record)
        for cid, _ in evidence.nodes():
            if store.has(cid):
                yield from _once(store, cid, seen)
        trees.update(dict.fromkeys(evidence.trees()))
    for visit in visit_trees(store, trees):
        if visit.error is None:
            yield from _once(store, visit.cid, seen)


def whole_dag(store: BlockStore, root: CID) -> Iterator[tuple[CID, bytes]]:
    """Yield everything below a root, for those who keep whole DAGs alone.

    Raises:
        UnavailableError: a block is not here, such as an output that only a dissenting receipt names.
        VerificationError: one is not what it should be.
    """
    try:
        yield from walk(store, root)
    except UnavailableError as error:
        fix = "publish to a CAR or a folder, which need not be whole DAGs"
        raise UnavailableError(error.problem, where=error.where, fix=fix) from error


def _entries(store: BlockStore, head: CID) -> Iterator[CID]:
    following: CID | None = load_node(store, head, GraphHead).last
    while following is not None:
        yield following
        following = load_node(store, following, LogEntry).previous


def _wheels(evidence: Evidence) -> list[CID]:
    function = evidence.function
    return [one.wheel for one in evidence.load(function.lock, Lock).wheels] if isinstance(function, Function) else []


def _of_unverified(store: BlockStore, record: CID, seen: set[VisitKey]) -> Iterator[tuple[CID, bytes]]:
    """Yield what a record of the unverified tier names; of another engine's function, whatever is below it."""
    facts = read_facts(store, record)
    yield from _once(store, record, seen)
    for visit in visit_trees(store, (facts.task, facts.function, facts.input, facts.output)):
        if visit.error is not None:
            raise visit.error
        yield from _once(store, visit.cid, seen)


def _once(store: BlockStore, cid: CID, seen: set[VisitKey]) -> Iterator[tuple[CID, bytes]]:
    key = visit_key(cid)
    if key not in seen:
        seen.add(key)
        yield cid, store.get(cid)


def present_blocks(store: BlockStore, root: CID) -> Iterator[tuple[CID, bytes]]:
    """Yield those of the same blocks that are here, and sound: what is kept of a graph that somebody else published.

    The root, its head and the log must be here.

    Raises:
        UnavailableError, VerificationError: one of those is not.
    """
    seen: set[VisitKey] = set()
    graph = load_graph(store, root)
    for cid in (root, graph.head, *_entries(store, graph.head)):
        yield from _once(store, cid, seen)
    trees: dict[CID, None] = {}
    for merge in graph.merges:
        with suppress(BacalhauError):  # not all of it is here
            for cid in list(merge_blocks(store, merge)):
                yield from _once(store, cid, seen)
            trees[load_node(store, merge, Merge).output] = None
    for record in graph.records:
        if not read_facts(store, record).is_verified:
            trees[record] = None
    for visit in visit_trees(store, trees):
        if visit.error is None:
            yield from _once(store, visit.cid, seen)
    verified = (record for record in graph.records if read_facts(store, record).is_verified)
    yield from _evidence_here(store, (*verified, *graph.rivals), seen)

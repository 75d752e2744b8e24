"""Finding one's way into the result graph: what a person's text names there, and where raw inputs came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from bacalhau.admission import check_evidence
from bacalhau.flow_report import is_of_flow
from bacalhau.graph_view import MAX_EDGES, Content, RecordGraph, RecordNode, producers_of
from bacalhau.merge_statement import is_merge, merges_of
from bacalhau.shard_report import is_over_shards
from bacalhau.targets import split_content
from network.job_store import Job, JobStore
from network.lineage_index import Filer
from network.lineage_store import LineageStore
from storage.cid import CID, cid_text, is_cid_text, parse_cid
from storage.errors import BacalhauError
from storage.ipld_path import content_at
from storage.sqlite_block_store import SqliteBlockStore
from verifier.audit import audit_record
from verifier.graph_reading import read_facts
from verifier.graph_types import load_graph
from verifier.merge_audit import check_merged
from verifier.merge_types import load_merge

if TYPE_CHECKING:
    from bacalhau.progress import Display
    from bacalhau.services import Services

_MAX_ORIGINS: Final = 20
"""Origins that are told of one content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenGraph:
    """What answers are made of."""

    store: SqliteBlockStore
    jobs: JobStore
    lineage: LineageStore
    filer: Filer


@contextmanager
def open_graph(services: Services, display: Display) -> Iterator[OpenGraph]:
    """Open the graph of this home, with what was made here lately filed.

    Raises:
        UnavailableError: the databases cannot be used.
    """
    with services.open_store() as store, services.open_jobs() as jobs, services.open_lineage() as lineage:
        filer = Filer(store, lineage)
        filer.catch_up(lambda done: display.step(f"filing records: {done}"))
        yield OpenGraph(store=store, jobs=jobs, lineage=lineage, filer=filer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What a text names in the graph."""

    kind: str
    """job, record, graph, merge, output (of a record, or merged), part (something in an output), task, or content."""
    cid: CID | None
    """None of a job."""
    records: tuple[CID, ...]
    """Those that it stands for; empty if no record here made it."""
    job: Job | None = None


def find_named(text: str, graph: OpenGraph, *, limit: int) -> Named:
    """Find what a job id, or a CID with or without a path behind it, names.

    Raises:
        UserError: no such job, or no CID. UnavailableError: a block that the path leads through is not here.
    """
    head = text.removeprefix("/ipfs/").partition("/")[0]
    if "://" not in text and not is_cid_text(head):
        job = graph.jobs.find(text)
        return Named(kind="job", cid=job.output, records=_of_job(job, graph, limit), job=job)
    root, path = split_content(text)
    cid = content_at(graph.store, root, path) if path.strip("/") else root
    if cid != root:
        within = _within(root, cid, graph, limit)
        return Named(kind="part", cid=cid, records=within or tuple(producers_of(cid, graph.lineage, limit=limit)))
    return _of_cid(cid, graph, limit)


def _of_cid(cid: CID, graph: OpenGraph, limit: int) -> Named:
    if graph.lineage.record(cid) is not None or _file(cid, graph):
        return Named(kind="record", cid=cid, records=(cid,))
    if is_merge(cid, graph.store):
        output, merged_of = load_merge(graph.store, cid)
        if cid not in graph.lineage.merges(output, limit=MAX_EDGES):  # of a stranger: checked, as records are
            check_merged(graph.store, output, merged_of)
        return Named(kind="merge", cid=cid, records=tuple(merged_of.values())[:limit])
    published = _published(cid, graph)
    if published:
        return Named(kind="graph", cid=cid, records=published[:limit])
    made = sorted(row.record for row in graph.lineage.records("output", cid, limit=limit))
    if made:
        return Named(kind="output", cid=cid, records=tuple(made))
    of_task = sorted(row.record for row in graph.lineage.records("task", cid, limit=limit))
    if of_task:
        return Named(kind="task", cid=cid, records=tuple(of_task))
    merged = next((job for job in graph.jobs.by_output(cid) if job.task is None), None)
    if merged is not None and is_over_shards(merged.report):
        return Named(kind="output", cid=cid, records=_of_job(merged, graph, limit), job=merged)
    for merge in merges_of(cid, graph.lineage, graph.store)[:1]:
        return replace(_of_cid(merge, graph, limit), kind="output", cid=cid, job=merged)
    if merged is not None:
        return Named(kind="output", cid=cid, records=_of_job(merged, graph, limit), job=merged)
    holders = producers_of(cid, graph.lineage, limit=limit)
    return Named(kind="part" if holders else "content", cid=cid, records=tuple(holders))


def _within(root: CID, cid: CID, graph: OpenGraph, limit: int) -> tuple[CID, ...]:
    """Return the records that gave what is at a path below a record, an output, or the output of a job over shards."""
    named = _of_cid(root, graph, limit)
    if len(named.records) == 1 or not named.records:
        return named.records
    gave = frozenset(producers_of(cid, graph.lineage, limit=MAX_EDGES))
    return tuple(record for record in named.records if record in gave) or named.records


def _file(cid: CID, graph: OpenGraph) -> bool:
    """File a record that is here although no job made it, if its evidence is sound; tell whether it is one.

    Raises:
        VerificationError: it is a record, and something in it is wrong.
        UnavailableError: not all of its evidence is here.
    """
    try:
        facts = read_facts(graph.store, cid)
    except BacalhauError:
        return False
    if facts.is_verified:
        check_evidence(cid, audit_record(graph.store, cid))
    graph.filer.add([facts], merged=True)
    return True


def _published(cid: CID, graph: OpenGraph) -> tuple[CID, ...]:
    try:
        return load_graph(graph.store, cid).records
    except BacalhauError:
        return ()


def _of_job(job: Job, graph: OpenGraph, limit: int) -> tuple[CID, ...]:
    if job.record is not None:
        return (job.record,)
    if is_of_flow(job.report) and job.report.get("merge"):
        return tuple(load_merge(graph.store, parse_cid(job.report["merge"]))[1].values())[:limit]
    rows = graph.jobs.each_shard(job.id)
    found: dict[CID, None] = {}
    for row in rows:
        if row.record is not None:
            found[row.record] = None
        if len(found) >= limit:
            break
    return tuple(found)


# Where raw inputs came from


def with_origins(found: RecordGraph, graph: OpenGraph) -> RecordGraph:
    """Return the same with what jobs here noted of downloads, at the contents that no record here gave."""
    origins = _Origins(graph)
    nodes = {
        cid: replace(node, contents=tuple(origins.told(node, content) for content in node.contents))
        for cid, node in found.nodes.items()
    }
    return replace(found, nodes=nodes)


class _Origins:
    """Origins by job, each read once."""

    def __init__(self, graph: OpenGraph) -> None:
        self._graph = graph
        self._of_job: dict[str, list[Mapping[str, Any]]] = {}

    def told(self, node: RecordNode, content: Content) -> Content:
        origins = [] if content.given_by else self._of_record(node.cid)
        if not origins:
            return content
        entries = self._graph.lineage.parts(content.cid, limit=MAX_EDGES)
        inside = {cid_text(content.cid), *(cid_text(entry.cid) for entry in entries)}
        return replace(content, origins=tuple(one for one in origins if one.get("cid") in inside)[:_MAX_ORIGINS])

    def _of_record(self, record: CID) -> list[Mapping[str, Any]]:
        jobs = self._graph.jobs
        job = jobs.by_record(record)
        if job is None:
            shards = jobs.shards_with(record, limit=1)
            job = jobs.find(shards[0][0]) if shards else None
        if job is None:
            return []
        if job.id not in self._of_job:
            noted = job.report.get("origins")
            self._of_job[job.id] = [one for one in noted if isinstance(one, dict)] if isinstance(noted, list) else []
        return self._of_job[job.id]

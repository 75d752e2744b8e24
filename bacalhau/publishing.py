"""From what a person names to a published graph: its records and their ancestors, a log that is longer by them, a root.

Reads the clock. Knows nothing about where the blocks go.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bacalhau.admission import check_evidence
from bacalhau.flow_report import is_of_flow
from bacalhau.graph_blocks import with_ancestors
from bacalhau.merge_statement import is_merge, merge_of_job, merges_of, merges_of_flow
from bacalhau.shard_report import is_over_shards
from bacalhau.targets import find_target
from network.graph_store import Publication
from network.job_store import Job, JobStore
from network.key_store import load_or_create
from network.lineage_index import Filer
from network.lineage_store import MAX_MANY, LineageStore
from storage.cid import CID, DAG_CBOR, cid_text, codec_of, is_cid_text, parse_cid
from storage.counting import agrees, counted
from storage.errors import BacalhauError, UserError
from storage.sqlite_block_store import SqliteBlockStore
from verifier.audit import audit_record
from verifier.graph_reading import RecordFacts, read_facts
from verifier.graph_types import load_graph
from verifier.identity import Identity
from verifier.merge_audit import check_merged
from verifier.merge_types import load_merge

if TYPE_CHECKING:
    from bacalhau.services import Services

_MOST_RIVALS: Final = 100
"""Records that go along because they contradict what is published."""
KEY_NAME: Final = "publisher.key"
"""A key of its own: what a node signs as a worker is not what its owner publishes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What goes to the world."""

    root: CID
    is_graph: bool
    """A graph root; else content as it is."""
    records: int = 0
    added: int = 0
    """Entries that the log is longer by."""
    publisher: str | None = None
    log_size: int | None = None
    merges: tuple[CID, ...] = ()
    """Statements of what jobs over shards and maps of flows gave."""
    disputes: tuple[tuple[CID, CID], ...] = ()
    """Records, each with one of the same task that has another output and goes along."""

    def to_json(self) -> dict[str, Any]:
        """Return what is said of a graph."""
        return {
            "cid": cid_text(self.root),
            "graph": self.is_graph,
            "records": self.records,
            "added": self.added,
            "publisher": self.publisher,
            "log_size": self.log_size,
            "merges": [cid_text(merge) for merge in self.merges],
            "disputes": [{"record": cid_text(one), "rival": cid_text(rival)} for one, rival in self.disputes],
        }


def publisher_of(services: Services) -> Identity:
    """Return who publishes here, made on first use.

    Raises:
        UserError: the key file cannot be used.
    """
    services.home.create()
    return load_or_create(services.home.keys_dir / KEY_NAME)


def prepare(text: str, services: Services, store: SqliteBlockStore, *, plain: bool = False) -> Published:
    """Find what a job id or CID names; records become a graph root, with all that they rest on. Everything else stays
    what it is.

    plain: content stays content, although a record names it as its output.

    Raises:
        UserError: there is no such job, or it has no record.
        UnavailableError, VerificationError: an ancestor is not here, or is no record; a merge gives something else.
    """
    root = parse_cid(text) if is_cid_text(text) else None
    if plain and root is None:
        raise UserError("publishes content, and a job is none", where="--plain", fix="name the CID of its output")
    if root is not None and (plain or _is_graph(root, store)):
        return Published(root=root, is_graph=not plain)
    with services.open_jobs() as jobs, services.open_lineage() as lineage:
        records, merges = _records(text, root, store, jobs, lineage)
    if not records:
        if root is None:
            raise UserError("this job has no record", where=text, fix="publish one that was verified")
        return Published(root=root, is_graph=False)
    found = with_ancestors(records, store)
    _check_strangers(found, services, store)
    rivals = _rivals(found, services)
    made = _publish([facts.cid for facts in found], services, store, merges, tuple(rivals.values()))
    return Published(
        root=made.root,
        is_graph=True,
        records=len(found),
        added=made.added,
        publisher=made.head.publisher,
        log_size=made.head.size,
        merges=tuple(merges),
        disputes=tuple(rivals.items()),
    )


def _check_strangers(found: Sequence[RecordFacts], services: Services, store: SqliteBlockStore) -> None:
    """Check the evidence of what was neither made here nor merged: nobody has looked at it, and our key signs for it.

    Raises:
        VerificationError, UnavailableError: as `check_evidence`.
    """
    with services.open_lineage() as lineage:
        Filer(store, lineage).catch_up()
        for facts in found:
            if facts.is_verified and lineage.record(facts.cid) is None:
                check_evidence(facts.cid, audit_record(store, facts.cid))


def _rivals(found: Sequence[RecordFacts], services: Services) -> dict[CID, CID]:
    """Return records with what contradicts them here; of those that are published together none goes along.

    Whoever gets one side of a dispute without the other could not know that there is one.
    """
    listed = frozenset(facts.cid for facts in found)
    rivals: dict[CID, CID] = {}
    with services.open_lineage() as lineage:
        for start in range(0, len(found), MAX_MANY):
            some = [facts.cid for facts in found[start : start + MAX_MANY]]
            for record, rival in lineage.rivals(some, limit=_MOST_RIVALS):
                if rival not in listed and len(rivals) < _MOST_RIVALS:
                    rivals.setdefault(record, rival)
    return rivals


def _publish(
    records: Sequence[CID],
    services: Services,
    store: SqliteBlockStore,
    merges: Iterable[CID],
    rivals: Collection[CID],
) -> Publication:
    with services.open_results() as results:
        # What everybody may know is no secret check of a node any more (docs/trust.md), and is not topped up.
        for record in (*records, *rivals):
            results.published(record)
    with services.open_published() as logs:
        return logs.publish(publisher_of(services), records, store, at=time.time(), merges=merges, rivals=rivals)


def _is_graph(cid: CID, store: SqliteBlockStore) -> bool:
    if codec_of(cid) != DAG_CBOR:
        return False
    try:
        load_graph(store, cid)
    except BacalhauError:
        return False
    return True


def _records(
    text: str, root: CID | None, store: SqliteBlockStore, jobs: JobStore, lineage: LineageStore
) -> tuple[list[CID], list[CID]]:
    """Return the records that something stands for, and the statements of merges that it is.

    None of a task or another node, which are content like files.
    """
    if root is not None and codec_of(root) == DAG_CBOR:
        if is_merge(root, store):
            output, records = load_merge(store, root)
            check_merged(store, output, records)  # anybody may have put it here
            return list(records.values()), [root]
        try:
            return [read_facts(store, root).cid], []
        except BacalhauError:
            return [], []
    target = find_target(text, jobs)
    if target.record is not None:
        target.check_record(store)
        return [target.record], []
    if target.job is not None:
        return _of_shards(target.job, jobs), _merges(target.job, jobs, store)
    merges = [] if root is None else merges_of(root, lineage, store)[:1]
    return [record for merge in merges for record in load_merge(store, merge)[1].values()], merges


def _merges(job: Job, jobs: JobStore, store: SqliteBlockStore) -> list[CID]:
    """Return the statements of what was merged in a job over shards, or in the maps of a flow."""
    if is_of_flow(job.report):
        return sorted(set(merges_of_flow(job, jobs, store).values()))
    merge = merge_of_job(job, jobs, store) if is_over_shards(job.report) else None
    return [] if merge is None else [merge]


def _of_shards(job: Job, jobs: JobStore) -> list[CID]:
    """Return the records of a job over shards, or of a flow; of shards also those of the data that was split.

    A shard's record names those that gave something of it; records of earlier releases name none. Without them what
    taints the job would be missing in what is published of it.

    Raises:
        UserError: one of its tasks was not verified.
    """
    rows = list(jobs.each_shard(job.id))
    lacking = sum(row.record is None for row in rows)
    if lacking:
        fix = "publish the records of the others one by one"
        have = agrees(lacking, "has", "have")
        raise UserError(f"{lacking} of its {counted(len(rows), 'task')} {have} no record", where=job.id, fix=fix)
    of_data = map(parse_cid, job.report.get("parents", ()))
    return list(dict.fromkeys((*of_data, *(row.record for row in rows if row.record is not None))))

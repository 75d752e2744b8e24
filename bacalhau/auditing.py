"""An audit from what a person named to the verdict: finds the record, checks it, and runs the task again if asked.

The checks are `verifier.audit`'s; this file adds where the record comes from (the local store, or one CAR file) and
what a rerun says. It never turns "not here" into "invalid", nor into "valid".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bacalhau.audit_demand import Demand, Replay, sample_json
from bacalhau.file_audit import FileAudit
from bacalhau.merge_statement import is_merge, merges_of
from bacalhau.proof import open_car
from bacalhau.replay import Rerun, rerun
from bacalhau.services import Services
from bacalhau.taint_report import taint_entry
from bacalhau.targets import Target, find_target
from network.job_store import JobStore
from storage.blocks import BlockStore
from storage.cid import CID, DAG_CBOR, cid_text, codec_of, is_cid_text, parse_cid
from storage.errors import UnavailableError, UserError, VerificationError
from verifier.audit import audit_record
from verifier.audit_car import audit_car, check_file, is_graph, roots_for
from verifier.audit_deep import DeepReport, audit_ancestors
from verifier.audit_report import AuditReport, AuditVerdict, Check, blind_entry
from verifier.blindness import Blindness
from verifier.taint import Taint, find_taint

if TYPE_CHECKING:
    from bacalhau.shard_auditing import ShardsAudit

Count = Callable[[str, int, int | None], None]
"""As `progress.Display.count`."""


def uncounted(_phrase: str, _done: int, _total: int | None) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What was found."""

    record: CID | None
    checks: tuple[Check, ...] = ()
    reruns: tuple[Rerun, ...] = ()
    reason: str = ""
    """Why nothing could be checked, or why it was not run again; empty otherwise."""
    ancestors: DeepReport | None = None
    """Of the records that it comes from; None: they were not looked at."""
    ancestor_reruns: tuple[tuple[CID, Rerun], ...] = ()
    sample: dict[str, Any] | None = None
    blindness: Blindness | None = None
    """Of the record; None: its evidence is not sound."""
    taint: Taint | None = None
    """Of the record and of all that it comes from; None: there is no record."""

    @property
    def records(self) -> tuple[CID, ...]:
        """What it is about."""
        return () if self.record is None else (self.record,)

    @property
    def confirmed(self) -> frozenset[CID]:
        """Records whose tasks were run again and gave the same."""
        again = [(self.record, one) for one in self.reruns] + list(self.ancestor_reruns)
        return confirmed_by(again)

    @property
    def report(self) -> AuditReport:
        """The checks, with each rerun as one more; none if there is no check."""
        reruns = tuple(Check(n=n, name="rerun", ok=one.ok, detail=one.detail) for n, one in enumerate(self.reruns))
        return AuditReport(checks=self.checks + reruns if self.checks else (), blindness=self.blindness)

    @property
    def verdict(self) -> AuditVerdict:
        """`invalid` if any check or rerun is false, else `unchecked` if any is unknown or there is none."""
        return self.report.verdict

    def to_json(self) -> dict[str, Any]:
        """Return the object of docs/cli.md."""
        return {
            "verdict": self.verdict,
            "record": cid_text(self.record) if self.record else None,
            "reason": self.reason or None,
            **blind_entry(self.report),
            "checks": [{"n": one.n, "name": one.name, "ok": one.ok, "detail": one.detail} for one in self.checks],
            "reruns": [
                *(one.to_json() for one in self.reruns),
                *({"record": cid_text(record), **one.to_json()} for record, one in self.ancestor_reruns),
            ],
            **({} if self.ancestors is None else {"ancestors": ancestors_json(self.ancestors)}),
            **({} if self.sample is None else {"sample": self.sample}),
            **({} if self.taint is None else taint_entry(self.taint)),
        }


def confirmed_by(reruns: Iterable[tuple[CID | None, Rerun]]) -> frozenset[CID]:
    """Return the records of which there are reruns, and all gave what they say."""
    oks: dict[CID, bool] = {}
    for record, one in reruns:
        if record is not None:
            oks[record] = oks.get(record, True) and one.ok is True
    return frozenset(record for record, ok in oks.items() if ok)


def ancestors_json(deep: DeepReport) -> dict[str, Any]:
    """Return the object `ancestors` of docs/cli.md."""
    listed = [
        {"record": cid_text(one.record), "generation": one.generation, "verdict": one.verdict, "reason": one.reason}
        for one in deep.listed
    ]
    return {
        "counts": dict(deep.counts),
        "generations": deep.generations,
        "unblind": deep.unblind,
        "listed": listed,
    }


def audit_here(
    text: str, services: Services, demand: Demand | None = None, count: Count = uncounted
) -> Audit | ShardsAudit:
    """Audit what a CID or job id names with the blocks of the local store; count: told of each of many shards.

    Raises:
        UserError: it names nothing here.
    """
    asked = demand or Demand()
    with services.open_store() as store, services.open_jobs() as jobs:
        merge = _merge_named(text, services, store, jobs)
        if merge is not None:
            from bacalhau.shard_auditing import audit_merge

            return audit_merge(merge, store, asked, count)
        target = find_target(text, jobs)
        if target.record is None and target.job is not None and target.job.task is None:
            from bacalhau.flow_report import is_of_flow
            from bacalhau.shard_auditing import audit_flow, audit_job

            audit_all = audit_flow if is_of_flow(target.job.report) else audit_job
            return audit_all(target.job, jobs, store, asked, count)
        if target.record is None:
            return Audit(record=None, reason=_why_none(target))
        return _mistaken(target, store) or audit_whole(store, target.record, asked)


def _merge_named(text: str, services: Services, store: BlockStore, jobs: JobStore) -> CID | None:
    """Return the statement of a merge that a CID is, or that is here of an output that no job here gave."""
    if not is_cid_text(text):
        return None
    cid = parse_cid(text)
    if codec_of(cid) == DAG_CBOR:
        return cid if is_merge(cid, store) else None
    target = find_target(text, jobs)
    if target.record is not None or target.job is not None:
        return None
    with services.open_lineage() as lineage:
        return next(iter(merges_of(cid, lineage, store)), None)


def audit_file(
    path: Path, text: str | None, services: Services, demand: Demand | None = None, count: Count = uncounted
) -> Audit | ShardsAudit | FileAudit:
    """Audit a record, or the record of an output, with the blocks of one CAR file and no others.

    text: a CID (of a record, an output or a task) or job id; None means all roots of the file.

    Raises:
        UserError: the file cannot be read, or is about something else; or it has several roots, one of them a graph,
            and more was demanded than their audit.
    """
    asked = demand or Demand()
    wanted = None if text is None else _wanted(text, services)
    with open_car(path) as car:
        file, roots = check_file(car, wanted), roots_for(car, wanted)
        if file.ok is False and not car.roots:
            file = replace(file, detail=f"{file.detail}; give a CAR made by `bacalhau get` or `bacalhau publish`")
        if wanted is not None and not roots and file.ok is not False:
            fix = f"its roots are: {', '.join(map(cid_text, car.roots[:3])) or 'none'}"
            raise UserError("does not prove this", where=str(path), fix=fix)
        refused = ""
        if file.ok is False and asked.replay is not None:
            asked, refused = replace(asked, replay=None), "not run again: the file is not sound"
        if len(roots) == 1:
            found = audit_whole(car, roots[0], asked)
            return replace(found, checks=(file, *found.checks), reason=refused or found.reason)
        if not roots:
            return Audit(record=None, checks=(file,))
        if any(is_graph(car, root) for root in roots):
            if demand not in (None, Demand()):
                fix = "name one of its records, or leave out --rerun, --deep and --sample"
                raise UserError(
                    "has published graphs among its roots, which are audited whole", where=str(path), fix=fix
                )
            return FileAudit(report=audit_car(car))
        from bacalhau.shard_auditing import audit_records

        return audit_records(roots, car, asked, count, file)


def _wanted(text: str, services: Services) -> CID:
    """Return the CID to look for among the roots; only a job id needs the jobs here."""
    try:
        return parse_cid(text)
    except UserError:
        with services.open_jobs() as jobs:
            job = find_target(text, jobs).job
    if job is None or job.record is None:
        raise UserError("this job has no record", where=text, fix="give the record's CID")
    return job.record


def audit_whole(store: BlockStore, record: CID, demand: Demand) -> Audit:
    """Audit one record as far as was demanded.

    Raises:
        UserError: a sample of one record was asked for.
    """
    if demand.sample is not None and not demand.deep:
        raise UserError(
            "one record is no sample", where="--sample", fix="add --deep, or name a job over shards or a flow"
        )
    found = replace(audit_one(store, record, demand.replay), taint=find_taint(store, [record]))
    if not demand.deep:
        return found
    deep, reruns = audit_lineage(store, [record], record, demand, all_evidence=not demand.is_evidence_sampled)
    return replace(
        found,
        checks=(*found.checks, *deep.checks),
        ancestors=deep,
        ancestor_reruns=tuple(reruns),
        sample=sample_json(demand, deep.chosen, deep.of),
    )


def audit_lineage(
    store: BlockStore, records: Sequence[CID], subject: CID, demand: Demand, *, all_evidence: bool
) -> tuple[DeepReport, list[tuple[CID, Rerun]]]:
    """Audit the records that some records come from, and run their tasks again if demanded.

    all_evidence: a sample is of what is run again alone.
    """
    reruns: list[tuple[CID, Rerun]] = []

    def audit(cid: CID, is_chosen: bool) -> AuditReport:
        found = audit_one(store, cid, demand.replay if is_chosen else None)
        reruns.extend((cid, one) for one in found.reruns)
        return found.report

    deep = audit_ancestors(store, records, subject, audit, demand.sample, all_evidence=all_evidence)
    return deep, reruns


def audit_one(store: BlockStore, record: CID, replay: Replay | None) -> Audit:
    """Audit one record by itself with the blocks of a store, and run its task again if asked."""
    report = audit_record(store, record)
    found = Audit(record=record, checks=report.checks, blindness=report.blindness)
    if replay is None:
        return found
    if not _is_runnable(found):
        return replace(found, reason="not run again: not all that it needs was found sound")
    again = rerun(
        store,
        record,
        engine=replay.engine,
        knows_runtime=replay.knows_runtime,
        wall_clock_s=replay.wall_clock_s,
        max_memory=replay.max_memory,
        progress=replay.progress,
    )
    return replace(found, reruns=(again,))


def _is_runnable(found: Audit) -> bool:
    """Tell whether all the blocks that a run needs were found sound."""
    return all(check.ok for check in found.checks if check.name in ("record", "blocks", "task", "wheels", "receipts"))


def _mistaken(target: Target, store: BlockStore) -> Audit | None:
    """Return the audit that says that jobs here mistake another record for the one of what was named."""
    if target.record is None or not store.has(target.record):
        return None
    try:
        target.check_record(store)
    except VerificationError:
        return None  # check 1 says so
    except UnavailableError as error:
        return Audit(record=target.record, reason=str(error))
    return None


def _why_none(target: Target) -> str:
    if target.job is not None:
        return f"this job has no record: it was not verified ({target.job.verdict})"
    return "no record here names this output"

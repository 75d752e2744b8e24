"""An audit from what a person named to the verdict: finds the record, checks it, and runs the task again if asked.

The checks are `verifier.audit`'s; this file adds where the record comes from (the local store, or one CAR file) and
what a rerun says. It never turns "not here" into "invalid", nor into "valid".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bacalhau.proof import OpenedProof, describe_roots, open_proof
from bacalhau.replay import Rerun, rerun
from bacalhau.services import Services
from bacalhau.taint_report import taint_entry
from bacalhau.targets import Target, find_target
from runtime.engine import Engine, Progress
from runtime.fitness import KnowsRuntime
from storage.blocks import BlockStore
from storage.cid import CID, cid_text, parse_cid
from storage.errors import UnavailableError, UserError, VerificationError
from verifier.audit import audit_record
from verifier.audit_report import AuditReport, AuditVerdict, Check
from verifier.taint import Taint, find_taint

if TYPE_CHECKING:
    from bacalhau.shard_auditing import ShardsAudit

_UNVERIFIED = "not verified: it is of the tier unverified, so it has no receipts, and there is nothing to check"
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
    taint: Taint | None = None
    """Of the record and of all that it comes from; None: there is no record."""

    @property
    def verdict(self) -> AuditVerdict:
        """`invalid` if any check or rerun is false, else `unchecked` if any is unknown or there is none."""
        reruns = tuple(Check(n=n, name="rerun", ok=one.ok, detail=one.detail) for n, one in enumerate(self.reruns))
        return AuditReport(checks=self.checks + reruns if self.checks else ()).verdict

    def to_json(self) -> dict[str, Any]:
        """Return the object of docs/cli.md."""
        return {
            "verdict": self.verdict,
            "record": cid_text(self.record) if self.record else None,
            "reason": self.reason or None,
            "checks": [{"n": one.n, "name": one.name, "ok": one.ok, "detail": one.detail} for one in self.checks],
            "reruns": [one.to_json() for one in self.reruns],
            **({} if self.taint is None else taint_entry(self.taint)),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """How to run a task again; None in its place means not to."""

    engine: Engine
    knows_runtime: KnowsRuntime
    wall_clock_s: float
    progress: Progress
    max_memory: int | None = None
    """Bytes that the task may ask for; None: as many as runs get."""


def audit_here(text: str, services: Services, replay: Replay | None, count: Count = uncounted) -> Audit | ShardsAudit:
    """Audit what a CID or job id names with the blocks of the local store; count: told of each of many shards.

    Raises:
        UserError: it names nothing here.
    """
    with services.open_store() as store, services.open_jobs() as jobs:
        target = find_target(text, jobs)
        if target.record is None and target.job is not None and target.job.task is None:
            from bacalhau.flow_report import is_of_flow
            from bacalhau.shard_auditing import audit_flow, audit_job

            audit_all = audit_flow if is_of_flow(target.job.report) else audit_job
            return audit_all(target.job, jobs, store, replay, count)
        if target.record is None:
            return Audit(record=None, reason=_why_none(target))
        return _mistaken(target, store) or audit_one(store, target.record, replay)


def audit_file(
    path: Path, text: str | None, services: Services, replay: Replay | None, count: Count = uncounted
) -> Audit | ShardsAudit:
    """Audit a record, or the record of an output, with the blocks of one CAR file and no others.

    text: a CID (of a record, an output or a task) or job id; None means all roots of the file.

    Raises:
        UserError: the file is no CAR, or is about something else.
        VerificationError: it is damaged so that not even its record can be found.
    """
    wanted = None if text is None else _wanted(text, services)
    with open_proof(path) as proof:
        if wanted is None and len(proof.roots) > 1:
            from bacalhau.shard_auditing import audit_records

            if proof.damage:
                raise VerificationError(proof.damage, fix="get the proof again")
            return audit_records(proof.roots, proof.store, replay, count)
        record = proof.record_for(wanted)
        if record is None and proof.damage:
            raise VerificationError(proof.damage, fix="get the proof again")
        if record is None:
            fix = f"its roots are: {describe_roots(proof)}"
            raise UserError("does not prove this" if wanted else "has no root", where=str(path), fix=fix)
        return _with_damage(audit_one(proof.store, record, replay), proof)


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


def audit_one(store: BlockStore, record: CID, replay: Replay | None) -> Audit:
    """Audit one record with the blocks of a store, and run its task again if asked.

    There is nothing to check of one of the tier "unverified": it is neither valid nor invalid.
    """
    taint = find_taint(store, [record])
    if record in taint.unverified:
        return Audit(record=record, reason=_UNVERIFIED, taint=taint)
    found = Audit(record=record, checks=audit_record(store, record).checks, taint=taint)
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


def _with_damage(found: Audit, proof: OpenedProof) -> Audit:
    """Say in check 2 what is wrong with the file: a block that is not what its CID says is false, not missing."""
    if not proof.damage:
        return found
    checks = tuple(replace(one, ok=False, detail=proof.damage) if one.name == "blocks" else one for one in found.checks)
    return replace(found, checks=checks)


def _why_none(target: Target) -> str:
    if target.job is not None:
        return f"this job has no record: it was not verified ({target.job.verdict})"
    return "no record here names this output"

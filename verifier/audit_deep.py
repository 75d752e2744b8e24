"""Audit the records that a record comes from: check 17 of docs/audit.md, and 18 where only a sample was looked at.

17. ancestors  every record that `parents` lead to is here, of the tier "verified", and valid by itself
18. sample     all of them were looked at

An ancestor of the tier "unverified" leaves check 17 unknown: what it gave is nobody's word, and so is what rests on it.
One record that is valid by itself says nothing of where its input came from; this does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from storage.blocks import BlockStore
from storage.cid import CID, cid_text
from storage.counting import counted
from storage.errors import BacalhauError, VerificationError
from verifier.ancestry import Step, walk_ancestors
from verifier.audit_report import AuditReport, AuditVerdict, Check, Finding, later_phrase, make_check
from verifier.audit_sample import Sample, chance_of_missing
from verifier.graph_reading import RecordFacts

Audit = Callable[[CID, bool], AuditReport]
"""Audits one record by itself; the second: it is in the sample, if there is one."""

MAX_LISTED: Final = 1000
"""Ancestors that are not valid, in one report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedAncestor:
    """An ancestor that is not valid."""

    record: CID
    generation: int
    verdict: AuditVerdict
    reason: str


@dataclass(slots=True, kw_only=True)
class DeepReport:
    """What was found of the ancestors."""

    counts: dict[AuditVerdict, int] = field(default_factory=lambda: {"valid": 0, "invalid": 0, "unchecked": 0})
    """Of those that were looked at."""
    generations: int = 0
    unblind: int = 0
    """Of those that were looked at: in which nodes that agree may have seen earlier receipts."""
    listed: list[ListedAncestor] = field(default_factory=list)
    """MAX_LISTED at most, the nearest first."""
    checks: list[Check] = field(default_factory=list)
    chosen: int = 0
    of: int = 0
    """How many of those that can be read are in the sample: all, if there is none."""


def audit_ancestors(
    store: BlockStore,
    records: Sequence[CID],
    subject: CID,
    audit: Audit,
    sample: Sample | None = None,
    *,
    all_evidence: bool = False,
) -> DeepReport:
    """Audit every ancestor of some records, or a sample; never raises for what the store holds or lacks.

    What cannot be read is always looked at: it could not be part of a sample, and is not to hide behind one.

    subject: what the sample is of. all_evidence: look at all, and only tell `audit` which are in the sample.
    """
    report, findings = DeepReport(), list[Finding]()
    steps = list(walk_ancestors(store, records))
    sound = {step.cid for step in steps if isinstance(step.found, RecordFacts)}
    chosen = frozenset(sound) if sample is None else sample.choose(sound, subject)
    for step in steps:
        report.generations = max(report.generations, step.generation)
        if all_evidence or step.cid in chosen or step.cid not in sound:
            findings += _look(step, audit, step.cid in chosen, report)
    total = sum(report.counts.values())
    done = f"{counted(total, 'ancestor')} in {counted(report.generations, 'generation')}" if total else "none"
    done += later_phrase(report.unblind)
    report.checks = [make_check(17, "ancestors", findings, done)]
    report.chosen, report.of = len(chosen), len(sound)
    if sample is not None and not all_evidence:
        report.checks.append(sample_check(sample, len(chosen), len(sound)))
    return report


def _look(step: Step, audit: Audit, is_chosen: bool, report: DeepReport) -> list[Finding]:
    if step.generation == 0:  # its own audit says what is wrong with it
        return [Finding(wrong=False, text=f"{cid_text(step.cid)}: needs a sound record")]
    verdict, reason = _verdict_of(step, audit, is_chosen, report)
    report.counts[verdict] += 1
    if verdict == "valid":
        return []
    if len(report.listed) < MAX_LISTED:
        report.listed.append(
            ListedAncestor(record=step.cid, generation=step.generation, verdict=verdict, reason=reason)
        )
    return [Finding(wrong=verdict == "invalid", text=f"{cid_text(step.cid)}: {reason}")]


def _verdict_of(step: Step, audit: Audit, is_chosen: bool, report: DeepReport) -> tuple[AuditVerdict, str]:
    if isinstance(step.found, BacalhauError):
        return ("invalid" if isinstance(step.found, VerificationError) else "unchecked"), step.found.problem
    if not step.found.is_verified:
        return "unchecked", "is of the tier unverified: nobody vouches for what it gave"
    found = audit(step.cid, is_chosen)
    report.unblind += found.blindness is not None and found.blindness.unblind > 0
    return found.verdict, found.reason


def sample_check(sample: Sample, chosen: int, total: int) -> Check:
    """Return check 18: unknown, and never more, as long as anything was left out."""
    if chosen >= total:
        return Check(n=18, name="sample", ok=True, detail=f"all {total} were looked at")
    bad = -(-total // 20)
    missed = chance_of_missing(chosen, total, bad)
    detail = (
        f"{chosen} of {total} were looked at, chosen by the seed {sample.seed.hex()}; "
        f"were {bad} of them bad, none would be among these with probability {missed:.2g}"
    )
    return Check(n=18, name="sample", ok=None, detail=detail)

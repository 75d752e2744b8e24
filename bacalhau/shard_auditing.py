"""The audit of a job over shards: every shard's record, and that together they are the job.

The numbered checks are those of single records (`verifier.audit`), each over all shards: false if it is for one, else
unknown if it is for one. Three more are about the job, which no node signs and anybody can make again:

14. split   the input, split as the job says, gives the tasks of its shards
15. shards  there is a record of each shard, and it is of the shard's task
16. merge   the outputs in these records, merged, are the job's output

Of the statement of a merge, which says what a job gave and not how it was split, the last alone. Of a flow the last
two: its tasks have records of their own, and its output is made of what they gave. Of a file, check
0 of `verifier.audit_car` is beside them; with `--deep` and `--sample` checks 17 and 18 of `verifier.audit_deep`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, Final

from bacalhau.audit_demand import Demand, Selection
from bacalhau.auditing import Audit, Count, ancestors_json, audit_lineage, audit_one, confirmed_by
from bacalhau.replay import Rerun
from bacalhau.shard_report import shards_phrase
from bacalhau.taint_report import taint_entry
from network.job_shards import JobShard
from network.job_store import Job, JobStore
from runtime.engine import NO_PACKAGES
from runtime.flow_types import StepKind
from runtime.plan import make_plan
from runtime.shard_plan import ShardTask, read_sharding, shard_tasks
from storage.blocks import BlockStore, OverlayBlockStore
from storage.cid import CID, cid_text, parse_cid
from storage.counting import counted
from storage.errors import UnavailableError, VerificationError
from storage.unixfs_graft import finished_entry
from storage.unixfs_import import Importer
from verifier.audit_deep import DeepReport
from verifier.audit_report import (
    SHOWN_PROBLEMS,
    AuditReport,
    AuditVerdict,
    Check,
    Finding,
    examine,
    later_phrase,
    make_check,
)
from verifier.audit_sample import list_subject
from verifier.merge_audit import check_merge, check_merged
from verifier.merge_types import load_merge
from verifier.model import Function, Input, Lock, Record, load_node
from verifier.shard_merge import merge_shards
from verifier.taint import Taint, find_taint
from verifier.wasm_types import load_function

MAX_LISTED: Final = 1000
"""Shards that are not valid, and reruns, in one report."""


@dataclass(slots=True)
class _Joined:
    """One check over many records."""

    name: str
    records: int = 0
    failed: int = 0
    findings: list[Finding] = field(default_factory=list)

    def add(self, index: int, check: Check) -> None:
        self.records += 1
        if check.ok is not True:
            self.failed += 1
            is_first_wrong = check.ok is False and not any(one.wrong for one in self.findings)
            if len(self.findings) < SHOWN_PROBLEMS or is_first_wrong:
                self.findings.append(Finding(wrong=check.ok is False, text=f"shard {index}: {check.detail}"))

    def joined(self, n: int, unblind: int) -> Check:
        said = later_phrase(unblind) if self.name == "rounds" else ""
        return make_check(n, self.name, self.findings, counted(self.records, "record") + said)


@dataclass(kw_only=True)
class ShardsAudit:
    """What was found of many records."""

    counts: dict[AuditVerdict, int] = field(default_factory=lambda: {"valid": 0, "invalid": 0, "unchecked": 0})
    unblind: int = 0
    """Of the records: in which nodes that agree may have seen earlier receipts."""
    listed: list[dict[str, Any]] = field(default_factory=list)
    """Shards that are not valid, MAX_LISTED at most."""
    reruns: list[dict[str, Any]] = field(default_factory=list)
    of_file: list[Check] = field(default_factory=list)
    of_sample: list[Check] = field(default_factory=list)
    of_job: list[Check] = field(default_factory=list)
    lineage: DeepReport | None = None
    sample: dict[str, Any] | None = None
    taint: Taint | None = None
    """Of the records, and of what the job's input is known to come from."""
    records: set[CID] = field(default_factory=set)
    """That were looked at."""
    _again: list[tuple[CID | None, Rerun]] = field(default_factory=list)
    _joined: dict[int, _Joined] = field(default_factory=dict)

    def add(self, index: int, found: Audit) -> None:
        """Count the audit of one shard."""
        self.counts[found.verdict] += 1
        self.records.update(found.records)
        self.unblind += found.blindness is not None and found.blindness.unblind > 0
        self._again.extend((found.record, one) for one in found.reruns)
        for check in found.checks:
            self._joined.setdefault(check.n, _Joined(check.name)).add(index, check)
        if len(self.reruns) < MAX_LISTED:
            self.reruns.extend({"shard": index, **one.to_json()} for one in found.reruns)
        if found.verdict != "valid" and len(self.listed) < MAX_LISTED:
            record = None if found.record is None else cid_text(found.record)
            self.listed.append({"index": index, "record": record, "verdict": found.verdict, "reason": _why(found)})

    @property
    def confirmed(self) -> frozenset[CID]:
        """Records whose tasks were run again and gave the same."""
        return confirmed_by(self._again)

    @property
    def checks(self) -> tuple[Check, ...]:
        """All checks, by number."""
        return (
            *self.of_file,
            *(one.joined(n, self.unblind) for n, one in sorted(self._joined.items())),
            *self.of_job,
            *self.of_sample,
        )

    @property
    def verdict(self) -> AuditVerdict:
        """`invalid` if anything is, else `unchecked` if anything is, else `valid`."""
        if self.counts["invalid"]:
            return "invalid"
        found = AuditReport(checks=self.checks).verdict
        return "unchecked" if found == "valid" and self.counts["unchecked"] else found

    def to_json(self) -> dict[str, Any]:
        """Return the object of docs/cli.md."""
        bad = self.counts["invalid"] + self.counts["unchecked"]
        return {
            "verdict": self.verdict,
            "record": None,
            "reason": f"of {shards_phrase(sum(self.counts.values()))} {bad} not valid" if bad else None,
            "checks": [{"n": one.n, "name": one.name, "ok": one.ok, "detail": one.detail} for one in self.checks],
            "reruns": self.reruns,
            "counts": dict(self.counts),
            "unblind": self.unblind,
            "shards": self.listed,
            **({} if self.lineage is None else {"ancestors": ancestors_json(self.lineage)}),
            **({} if self.sample is None else {"sample": self.sample}),
            **({} if self.taint is None else taint_entry(self.taint)),
        }

    def follow(
        self, store: BlockStore, records: Iterable[CID], subject: CID, demand: Demand, *, known: Iterable[CID] = ()
    ) -> None:
        """Look for taint, and audit what the records come from too, if that was demanded.

        known: records that the job's input is known to come from, whether its tasks' records say so or not.
        """
        about = tuple(dict.fromkeys(records))
        self.taint = find_taint(store, (*about, *known))
        if not demand.deep:
            return
        self.lineage, reruns = audit_lineage(store, about, subject, demand, all_evidence=True)
        self._again.extend(reruns)
        room = max(0, MAX_LISTED - len(self.reruns))
        self.reruns.extend({"record": cid_text(record), **one.to_json()} for record, one in reruns[:room])
        self.of_job += self.lineage.checks


def audit_job(job: Job, jobs: JobStore, store: BlockStore, demand: Demand, count: Count) -> ShardsAudit:
    """Audit a job over shards with the blocks of the local store; count: told of every shard."""
    total = job.report["sharding"]["shards"]
    found, strays = _audit_rows(job, jobs, store, demand, count, total)
    if not job.report["sharding"]["is_complete"]:
        strays.append(Finding(wrong=False, text="the job was stopped before all shards were begun"))
    found.of_job += [
        make_check(14, "split", examine(_check_split, job, jobs, store), shards_phrase(total)),
        make_check(15, "shards", strays, shards_phrase(total)),
        make_check(16, "merge", examine(_check_merge, job, jobs, store), _text(job.output)),
    ]
    found.follow(store, _records(job, jobs), job.input, demand, known=map(parse_cid, job.report["parents"]))
    return found


def audit_merge(merge: CID, store: BlockStore, demand: Demand, count: Count) -> ShardsAudit:
    """Audit what a job over shards gave by its statement, with the blocks of the local store."""
    output, records = load_merge(store, merge)
    found, selection = ShardsAudit(), Selection(demand, records.values(), merge)
    for number, record in records.items():
        if selection.is_looked_at(record):
            found.add(number, audit_one(store, record, selection.replay_for(record)))
        _tell(count, found, len(records))
    found.of_sample, found.sample = selection.checks(), selection.to_json()
    found.of_job.append(make_check(16, "merge", examine(check_merged, store, output, records), cid_text(output)))
    found.follow(store, records.values(), merge, demand)
    return found


def audit_flow(job: Job, jobs: JobStore, store: BlockStore, demand: Demand, count: Count) -> ShardsAudit:
    """Audit the tasks of a flow, and that what it gave is made of theirs, with the blocks of the local store."""
    found, strays = _audit_rows(job, jobs, store, demand, count, None)
    found.of_job += [
        make_check(15, "tasks", strays, counted(sum(found.counts.values()), "task")),
        make_check(16, "output", examine(_check_flow_output, job, jobs, store), _text(job.output)),
    ]
    found.follow(store, _records(job, jobs), job.input, demand)
    return found


def _audit_rows(
    job: Job, jobs: JobStore, store: BlockStore, demand: Demand, count: Count, total: int | None
) -> tuple[ShardsAudit, list[Finding]]:
    """Audit the record of every task, and return that with the records that are not of their rows' tasks.

    total: None of a flow, whose tasks are called by their steps.
    """
    found, strays = ShardsAudit(), []
    selection = Selection(demand, _records(job, jobs), job.input)
    for row in jobs.each_shard(job.id):
        if row.record is None:
            which = f"{row.first} " if total is None else ""
            found.add(row.number, Audit(record=None, reason=f"{which}was not verified ({row.verdict}): {row.reason}"))
        elif selection.is_looked_at(row.record):
            found.add(row.number, audit_one(store, row.record, selection.replay_for(row.record)))
        strays += examine(_check_shard, row, store)
        _tell(count, found, total)
    found.of_sample, found.sample = selection.checks(), selection.to_json()
    return found, strays


def _records(job: Job, jobs: JobStore) -> Iterator[CID]:
    return (row.record for row in jobs.each_shard(job.id) if row.record is not None)


def _check_flow_output(job: Job, jobs: JobStore, store: BlockStore) -> None:
    if job.output is None:
        raise UnavailableError(job.report["reason"] or "the flow gave no output")
    given: dict[str, dict[int, CID]] = {}
    for row in jobs.each_shard(job.id):
        step, _, number = (row.first or "").rpartition("/")
        if row.output is not None:
            given.setdefault(step, {})[int(number)] = row.output
    made, kinds = OverlayBlockStore(store), {step["name"]: step["kind"] for step in job.report["steps"]}
    outputs: dict[str, CID] = {}
    for target in job.report["targets"]:
        parts = given.get(target)
        if not parts:
            raise UnavailableError("has no output", where=f"step {target}")
        # Of a map all that its tasks gave, of others what the last of them did.
        is_map = kinds[target] == StepKind.MAP.value
        outputs[target] = merge_shards(made, parts).output if is_map else parts[max(parts)]
    entries = {name: finished_entry(made, output) for name, output in outputs.items()}
    whole = next(iter(outputs.values())) if len(outputs) == 1 else Importer(made).directory(entries).cid
    if whole != job.output:
        raise VerificationError("what the tasks gave makes another one", where=cid_text(job.output))


def audit_records(records: Sequence[CID], store: BlockStore, demand: Demand, count: Count, file: Check) -> ShardsAudit:
    """Audit several records of a file, numbered in their order, that say nothing of a job; file: its check 0."""
    subject = list_subject(records)
    found, selection = ShardsAudit(of_file=[file]), Selection(demand, records, subject)
    for number, record in enumerate(records):
        if selection.is_looked_at(record):
            found.add(number, audit_one(store, record, selection.replay_for(record)))
        _tell(count, found, None)
    found.of_sample, found.sample = selection.checks(), selection.to_json()
    found.follow(store, records, subject, demand)
    return found


def _tell(count: Count, found: ShardsAudit, total: int | None) -> None:
    done = sum(found.counts.values())
    bad = f", {done - found.counts['valid']} not valid" if done > found.counts["valid"] else ""
    of = shards_phrase(done) if total is None else f"{done} of {shards_phrase(total)}"
    count(f"{of} audited{bad}", done, total)


def _check_split(job: Job, jobs: JobStore, store: BlockStore) -> None:
    tasks = _tasks_of(job, OverlayBlockStore(store))
    rows = jobs.each_shard(job.id)
    if not job.report["sharding"]["is_complete"]:
        tasks = (task for task, _ in zip(tasks, jobs.each_shard(job.id), strict=False))
    for number, (task, row) in enumerate(zip_longest(tasks, rows)):
        if task is None or row is None or (task.shard.index, task.plan.task) != (row.number, row.task):
            raise VerificationError("the input gives another task", where=f"shard {number}")


def _tasks_of(job: Job, store: BlockStore) -> Iterator[ShardTask]:
    """Yield the shards of a job's input, split again as its report says."""
    asked = job.report["sharding"]
    sharding = read_sharding(asked["glob_pattern"], base_path=asked["base_path"], batch_size=asked["batch_size"])
    function, input_ = load_function(store, job.function), load_node(store, job.input, Input)
    lock = load_node(store, function.lock, Lock) if isinstance(function, Function) else NO_PACKAGES
    whole = make_plan(function, input_, lock, store=store, wall_clock_s=1)
    yield from shard_tasks(whole, sharding, store)


def _check_shard(row: JobShard, store: BlockStore) -> None:
    where = f"shard {row.number}"
    if row.record is None:
        raise UnavailableError("has no record", where=where)
    try:
        record = load_node(store, row.record, Record)
    except VerificationError as error:
        raise UnavailableError("needs a sound record", where=where) from error
    if (record.task, record.output) != (row.task, row.output):
        raise VerificationError("its record is of something else", where=where)


def _check_merge(job: Job, jobs: JobStore, store: BlockStore) -> None:
    outputs = {row.number: row.output for row in jobs.each_shard(job.id) if row.output is not None}
    if job.output is None:
        raise UnavailableError("no shard has an output")
    check_merge(store, job.output, outputs)


def _why(found: Audit) -> str:
    wrong = [check for check in found.checks if check.ok is not True]
    wrong.sort(key=lambda check: check.ok is None)
    if wrong:
        return f"{wrong[0].name}: {wrong[0].detail}"
    return found.reason or "; ".join(one.detail for one in found.reruns if one.ok is not True)


def _text(cid: CID | None) -> str:
    return "" if cid is None else cid_text(cid)

"""What a job over shards says as JSON, and its rows: made of values alone.

The report that is kept with a job is a summary of bounded size; `complete_report` puts the list of shards in, of the
rows. Claims no more than the shards do: the job is verified only if every shard of its input is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from bacalhau.conflict_list import conflict_list
from bacalhau.report import CACHED, agreeing, claimed, lock_list, reason_of
from network.embedded import SessionResult
from network.job_shards import MAX_FIRST_CHARACTERS, MAX_REASON_CHARACTERS, JobShard
from network.job_store import Job
from runtime.engine import Plan
from runtime.shard_plan import INPUT_PATH, Sharding, ShardTask
from storage.cid import CID, cid_text
from storage.counting import counted
from verifier.model import Rule, Verdict
from verifier.shard_merge import Merged

_VERIFIED: Final = frozenset({Verdict.AGREED.value, CACHED})
_NAMED: Final = 3
"""Shards that a job's reason names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardTotals:
    """Shards that have ended, counted."""

    shards: int = 0
    verified: int = 0
    """Agreed, or known from before."""
    cached: int = 0
    """Known from before: nothing ran."""
    failed: int = 0
    """The function ended with another exit code than 0; verified all the same."""
    split: int = 0
    too_few: int = 0

    @property
    def unverified(self) -> int:
        """Those without an output."""
        return self.shards - self.verified

    def plus(self, one: JobShard) -> ShardTotals:
        """Return the totals with one more shard."""
        is_verified = one.verdict in _VERIFIED
        return ShardTotals(
            shards=self.shards + 1,
            verified=self.verified + is_verified,
            cached=self.cached + (one.verdict == CACHED),
            failed=self.failed + (is_verified and one.exit_code != 0),
            split=self.split + (one.verdict == Verdict.SPLIT.value),
            too_few=self.too_few + (one.verdict == Verdict.TOO_FEW.value),
        )


def shard_of(task: ShardTask, session: SessionResult, rule: Rule) -> JobShard:
    """Return the row of a shard that has ended."""
    agreed = session.verdict is Verdict.AGREED
    said = claimed(agreeing(session))
    return JobShard(
        number=task.shard.index,
        task=task.plan.task,
        output=session.output,
        record=session.record,
        verdict=CACHED if session.cached else session.verdict.value,
        exit_code=said["exit_code"],
        first=task.shard.first[:MAX_FIRST_CHARACTERS],
        picks=task.shard.picks,
        input=task.plan.input_cid,
        fuel=said["fuel"],
        receipts=len(session.receipts),
        reason="" if agreed else reason_of(session, rule)[:MAX_REASON_CHARACTERS],
    )


def shards_report(
    *,
    job: str,
    created_at: float,
    labels: Sequence[str],
    whole: Plan,
    rule: Rule,
    sharding: Sharding,
    max_failures: int | None,
    rows: Sequence[JobShard],
    is_complete: bool,
    merged: Merged | None,
    parents: Sequence[CID],
    origins: Sequence[Mapping[str, Any]],
    timings_s: Mapping[str, float],
) -> dict[str, Any]:
    """Return the report of a job over shards without the list of its shards.

    created_at: seconds since 1970, UTC; whole: the plan that was split; is_complete: `rows` are all shards of the
    input; merged: of the shards that have an output, None if none has; parents: records whose output the input is;
    origins, timings_s: as `report.run_report`.
    """
    totals = count_shards(rows)
    verdict = job_verdict(totals, is_complete=is_complete)
    is_verified = verdict in _VERIFIED
    return {
        "job": job,
        "created_at": datetime.fromtimestamp(created_at, UTC).isoformat(timespec="seconds"),
        "labels": list(labels),
        "task": None,
        "function": cid_text(whole.function_cid),
        "input": cid_text(whole.input_cid),
        "output": None if merged is None else cid_text(merged.output),
        "record": None,
        "verdict": verdict,
        "tier": "verified" if is_verified else "unverified",
        "reason": None if is_verified else _reason(rows, totals, is_complete=is_complete, max_failures=max_failures),
        "exit_code": _exit_code(rows) if is_verified else None,
        "fuel": _sum_of_fuel(rows),
        "state_digest": None,
        "same_state": None,
        "result": None,
        "result_bytes": None,
        "stdout": None,
        "stderr": None,
        "cut": [],
        "receipts": [],
        "undetermined": [],
        "faults": [],
        "rule": rule.to_node(),
        "seed": whole.input.seed,
        "epoch": whole.input.epoch,
        "lock": lock_list(whole.lock),
        "origins": [dict(origin) for origin in origins],
        "parents": [cid_text(parent) for parent in parents],
        "merge": None,
        "require_verified": None,
        "disputes": [],
        "dispute_count": 0,
        "sharding": {
            **sharding_node(sharding),
            "max_failures": max_failures,
            "is_complete": is_complete,
            "shards": totals.shards,
            "verified": totals.verified,
            "cached": totals.cached,
            "failed": totals.failed,
            "split": totals.split,
            "too_few": totals.too_few,
        },
        "shards": [],
        "conflicts": [] if merged is None else conflict_list(merged.conflicts),
        "conflict_count": 0 if merged is None else merged.conflict_count,
        "timings": {**{f"{name}_s": round(seconds, 4) for name, seconds in timings_s.items()}, "executions": []},
    }


def job_of_shards(report: dict[str, Any], created_at: float, whole: Plan, merged: Merged | None,
                  rows: Iterable[JobShard]) -> Job:  # fmt: skip
    """Return the row of a finished job over shards, with theirs. created_at: seconds since 1970, UTC."""
    return Job(
        id=report["job"],
        created_at=created_at,
        labels=tuple(report["labels"]),
        task=None,
        function=whole.function_cid,
        input=whole.input_cid,
        output=None if merged is None else merged.output,
        record=None,
        verdict=report["verdict"],
        tier=report["tier"],
        exit_code=report["exit_code"],
        report=report,
        shards=tuple(rows),
    )


def complete_report(report: Mapping[str, Any], rows: Iterable[JobShard]) -> dict[str, Any]:
    """Return a report with the list of its shards, which are in its job's rows."""
    return {**report, "shards": [shard_entry(one) for one in rows]}


def shard_entry(one: JobShard) -> dict[str, Any]:
    """Return what a report says of one shard."""
    return {
        "index": one.number,
        "first": one.first,
        "picks": one.picks,
        "task": cid_text(one.task),
        "input": _text(one.input),
        "output": _text(one.output),
        "record": _text(one.record),
        "verdict": one.verdict,
        "exit_code": one.exit_code,
        "fuel": one.fuel,
        "receipts": one.receipts,
        "cached": one.verdict == CACHED,
        "reason": one.reason or None,
    }


def shards_phrase(count: int) -> str:
    """Return `1 shard`, `2 shards`."""
    return counted(count, "shard")


def is_over_shards(report: Mapping[str, Any]) -> bool:
    """Tell whether a report is of a job over shards."""
    return "sharding" in report


def sharding_node(sharding: Sharding) -> dict[str, Any]:
    """Return how an input is split, as it was asked for."""
    base = f"{INPUT_PATH}/{sharding.base}" if sharding.base else INPUT_PATH
    return {"glob_pattern": sharding.pattern.text, "base_path": base, "batch_size": sharding.batch_size}


def count_shards(rows: Iterable[JobShard]) -> ShardTotals:
    """Return the totals of shards."""
    totals = ShardTotals()
    for one in rows:
        totals = totals.plus(one)
    return totals


def job_verdict(totals: ShardTotals, *, is_complete: bool) -> str:
    """Return the verdict over all shards: the worst of theirs; one that was not begun has too few receipts."""
    if totals.split:
        return Verdict.SPLIT.value
    if totals.unverified or not is_complete:
        return Verdict.TOO_FEW.value
    return CACHED if totals.cached == totals.shards else Verdict.AGREED.value


def _exit_code(rows: Iterable[JobShard]) -> int | None:
    """Return 0 if every function ended with it, else the first other one, in the order of shards."""
    return next((one.exit_code for one in rows if one.exit_code != 0), 0)


def _sum_of_fuel(rows: Sequence[JobShard]) -> int | None:
    spent = [one.fuel for one in rows if one.fuel is not None]
    return sum(spent) if rows and len(spent) == len(rows) else None


def _reason(rows: Sequence[JobShard], totals: ShardTotals, *, is_complete: bool, max_failures: int | None) -> str:
    said = []
    if totals.unverified:
        without = [one for one in rows if one.verdict not in _VERIFIED]
        named = "; ".join(f"shard {one.number} ({one.verdict}): {one.reason}" for one in without[:_NAMED])
        more = "; …" if len(without) > _NAMED else ""
        verb = "is" if totals.unverified == 1 else "are"
        said.append(f"{totals.unverified} of {shards_phrase(totals.shards)} {verb} not verified: {named}{more}")
    if not is_complete:
        failures = totals.unverified + totals.failed
        said.append(
            f"{shards_phrase(failures)} failed, --max-failures is {max_failures}: further shards were not begun"
        )
    return "; ".join(said)


def _text(cid: CID | None) -> str | None:
    return None if cid is None else cid_text(cid)

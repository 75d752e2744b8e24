"""What a flow says as JSON: the keys of docs/flows.md, made of values alone.

Claims no more than the sessions do: a target that was not reached has no output, and the flow's tier is "verified" only
if every task that was needed is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from bacalhau.output_texts import read_texts
from bacalhau.report import CACHED, agreeing, claimed, reason_of, session_report, verdict_word
from bacalhau.shard_report import shard_entry
from network.embedded import SessionResult
from network.embedded_flow import FlowEvent, StepEnded, TaskEnded
from network.flow_schedule import StepState
from network.job_shards import MAX_REASON_CHARACTERS, JobShard
from network.job_store import Job
from runtime.flow_graph import Graph
from runtime.flow_thunk import StepTask
from runtime.flow_types import Step, StepKind
from storage.blocks import BlockStore
from storage.cid import CID, cid_text, parse_cid
from storage.unixfs_graft import finished_entry
from storage.unixfs_import import Importer
from storage.unixfs_read import UnixfsReader
from verifier.model import Rule, Verdict

UNKNOWN: Final = "unknown"
"""In place of a verdict: of a task that was not run, and that would."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowTask:
    """One task of a flow, and what came of it."""

    task: StepTask
    session: SessionResult | None
    """None: it is not known what it gives."""

    @property
    def has_failed(self) -> bool:
        """Tell whether there is no agreed output, or the function itself failed."""
        return self.session is not None and self.session.exit_code != 0


@dataclass(slots=True)
class FlowRun:
    """What has happened to the steps of a graph."""

    graph: Graph
    tasks: dict[str, list[FlowTask]] = field(default_factory=dict)
    """By step; in the order in which they ended."""
    ends: dict[str, StepEnded] = field(default_factory=dict)

    def add(self, event: FlowEvent) -> None:
        """Take note of what happened."""
        if isinstance(event, TaskEnded):
            found = FlowTask(task=event.task, session=event.session)
            self.tasks.setdefault(event.task.step, []).append(found)
        else:
            self.ends[event.step] = event

    @property
    def ended(self) -> int:
        """Steps that will not go on."""
        return len(self.ends)

    def tasks_of(self, step: str) -> list[FlowTask]:
        """Return the tasks of a step, by number."""
        return sorted(self.tasks.get(step, ()), key=lambda one: one.task.index)

    def in_order(self) -> list[FlowTask]:
        """Return all tasks: steps in their order, tasks by number."""
        return [one for step in self.graph.steps for one in self.tasks_of(step.name)]

    def origins(self) -> set[CID]:
        """Return the records that inputs of tasks come from, and those of the tasks themselves."""
        records = {one.session.record for one in self.in_order() if one.session is not None}
        return {cid for one in self.in_order() for cid in one.task.parents} | {
            cid for cid in records if cid is not None
        }

    def all_done(self) -> bool:
        """Tell whether every step gave what it should."""
        return all(self.ends[step.name].state is StepState.DONE for step in self.graph.steps)

    def first_problem(self) -> StepEnded | None:
        """Return the first step, in order, that was begun and gave nothing."""
        ends = (self.ends[step.name] for step in self.graph.steps)
        return next((end for end in ends if end.state is StepState.FAILED), None)


def flow_report(
    *,
    job: str,
    created_at: float,
    labels: Sequence[str],
    run: FlowRun,
    store: BlockStore,
    flow: CID,
    asked: CID,
    rule: Rule,
    origins: Sequence[Mapping[str, Any]],
    timings_s: Mapping[str, float],
    merges: Mapping[str, CID],
) -> dict[str, Any]:
    """Return the report of a flow that has ended, without the list of its tasks, which are in its job's rows.

    created_at: seconds since 1970, UTC; flow, asked: its definition, as `FlowSteps.definition` gives it; merges: the
    statements of what maps gave, by step; timings_s: host seconds.
    """
    last = _only_task(run)
    session = None if last is None else last.session
    output = _output(run, store) if session is None else session.output
    texts = None if session is None or output is None else read_texts(UnixfsReader(store), output)
    problem = run.first_problem()
    return {
        "job": job,
        "created_at": datetime.fromtimestamp(created_at, UTC).isoformat(timespec="seconds"),
        "labels": list(labels),
        "targets": list(run.graph.targets),
        "task": None if last is None else cid_text(last.task.plan.task),
        "function": cid_text(flow),
        "input": cid_text(asked),
        "output": _text(output),
        "record": None if session is None else _text(session.record),
        "merge": _text(merges.get(run.graph.targets[0]) if len(run.graph.targets) == 1 else None),
        **session_report(session, texts),
        **_verdict(run),
        "reason": None if problem is None else f"step {problem.step}: {problem.problem}",
        "rule": rule.to_node(),
        "origins": [dict(origin) for origin in origins],
        "steps": [_step(step, run, merges) for step in run.graph.steps],
        "shards": [],
        "disputes": [],
        "dispute_count": 0,
        "require_verified": None,
        "timings": {f"{name}_s": round(seconds, 4) for name, seconds in timings_s.items()},
    }


def plan_report_of_flow(
    run: FlowRun, *, flow: CID, asked: CID, rule: Rule, origins: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return what would be done: steps in order, which are known already, and the tasks as far as they are known."""
    return {
        "targets": list(run.graph.targets),
        "function": cid_text(flow),
        "input": cid_text(asked),
        "rule": rule.to_node(),
        "origins": [dict(origin) for origin in origins],
        "steps": [_step(step, run, {}) for step in run.graph.steps],
        "shards": [shard_entry(row) for row in task_rows(run, rule)],
    }


def is_of_flow(report: Mapping[str, Any]) -> bool:
    """Tell whether a report is of a flow."""
    return "steps" in report


def task_rows(run: FlowRun, rule: Rule) -> list[JobShard]:
    """Return the tasks of a flow as rows: steps in their order, tasks by number; `first` says `step/number`."""
    return [_row(number, one, rule) for number, one in enumerate(run.in_order())]


def job_of_flow(
    report: Mapping[str, Any], created_at: float, run: FlowRun, rows: Sequence[JobShard], *, flow: CID, asked: CID
) -> Job:
    """Return the row of a finished flow, with one row for each of its tasks (`task_rows`)."""
    last = _only_task(run)
    return Job(
        id=report["job"],
        created_at=created_at,
        labels=tuple(report["labels"]),
        task=None,
        function=flow,
        input=asked,
        output=_cid(report["output"]),
        record=None if last is None or last.session is None else last.session.record,
        verdict=report["verdict"],
        tier=report["tier"],
        exit_code=report["exit_code"],
        report=report,
        shards=tuple(rows),
    )


def _only_task(run: FlowRun) -> FlowTask | None:
    """Return the task whose output is the flow's, if there is one: the flow's record is then its record."""
    if len(run.graph.targets) != 1:
        return None
    (target,) = run.graph.targets
    step = next(step for step in run.graph.steps if step.name == target)
    tasks, value = run.tasks_of(target), run.ends[target].value
    if value is None:
        return tasks[0] if step.kind is StepKind.ONE and tasks else None
    return None if value.is_merged else tasks[-1]


def _output(run: FlowRun, store: BlockStore) -> CID | None:
    """Return what all targets gave: of one target its output directory, of several a directory of these by name."""
    values = {name: run.ends[name].value for name in run.graph.targets}
    outputs = {name: value.output for name, value in values.items() if value is not None}
    if len(outputs) < len(values):
        return None
    if len(outputs) == 1:
        return next(iter(outputs.values()))
    entries = {name: finished_entry(store, output) for name, output in outputs.items()}
    return Importer(store).directory(entries).cid


def _verdict(run: FlowRun) -> dict[str, Any]:
    """Return verdict, tier and exit code of the whole.

    Verified is what was done, if every task that ran is: then a function that failed is a verified failure. One task
    that is not makes the whole unverified, the worst verdict first, whatever else failed before it.
    """
    sessions = [one.session for one in run.in_order() if one.session is not None]
    for verdict in (Verdict.SPLIT, Verdict.TOO_FEW):
        if any(session.verdict is verdict for session in sessions):
            return {"verdict": verdict.value, "tier": "unverified", "exit_code": None}
    is_cached = bool(sessions) and all(session.cached for session in sessions)
    word = CACHED if is_cached else Verdict.AGREED.value
    if run.all_done():
        return {"verdict": word, "tier": "verified", "exit_code": 0}
    failed = next((session for session in sessions if session.exit_code != 0), None)
    if failed is None:
        return {"verdict": Verdict.TOO_FEW.value, "tier": "unverified", "exit_code": None}
    return {"verdict": word, "tier": "verified", "exit_code": failed.exit_code}


def _step(step: Step, run: FlowRun, merges: Mapping[str, CID]) -> dict[str, Any]:
    end, tasks = run.ends[step.name], run.tasks_of(step.name)
    # What a step of several tasks gave is one task's only where a reduce came to its end.
    only = None if step.kind is StepKind.MAP or (len(tasks) > 1 and end.value is None) or not tasks else tasks[-1]
    session = None if only is None else only.session
    output = end.value.output if end.value is not None else None if session is None else session.output
    return {
        "name": step.name,
        "kind": step.kind.value,
        "needs": list(run.graph.needs[step.name]),
        "state": end.state.value,
        "problem": end.problem or None,
        "tasks": len(tasks),
        "cached": sum(one.session is not None and one.session.cached for one in tasks),
        "task": None if only is None else cid_text(only.task.plan.task),
        "output": _text(output),
        "record": None if session is None else _text(session.record),
        "merge": _text(merges.get(step.name)),
        "exit_code": None if session is None else session.exit_code,
    }


def _row(number: int, one: FlowTask, rule: Rule) -> JobShard:
    session, plan = one.session, one.task.plan
    said = claimed([] if session is None else agreeing(session))
    is_agreed = session is None or session.verdict is Verdict.AGREED
    return JobShard(
        number=number,
        task=plan.task,
        output=None if session is None else session.output,
        record=None if session is None else session.record,
        verdict=UNKNOWN if session is None else verdict_word(session),
        exit_code=said["exit_code"],
        first=f"{one.task.step}/{one.task.index}",
        picks=one.task.picks,
        input=plan.input_cid,
        fuel=said["fuel"],
        receipts=0 if session is None else len(session.receipts),
        reason="" if session is None or is_agreed else reason_of(session, rule)[:MAX_REASON_CHARACTERS],
    )


def _text(cid: CID | None) -> str | None:
    return None if cid is None else cid_text(cid)


def _cid(text: str | None) -> CID | None:
    return None if text is None else parse_cid(text)

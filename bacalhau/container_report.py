"""What a run of a container says as JSON: the keys of every run, and never a word that says it was verified."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from bacalhau.container_jobs import CONTAINERS
from bacalhau.output_texts import Excerpt, OutputTexts
from bacalhau.report import origin_list, texts_entry
from bacalhau.taint_report import taint_entry
from network.job_store import Job
from runtime.container_engine import ContainerRun
from runtime.container_outcome import RepeatVerdict
from runtime.container_plan import ContainerPlan
from runtime.contents import Noted
from storage.cid import CID, cid_text
from storage.counting import counted
from verifier.taint import Taint
from verifier.unverified_types import TIER

NOBODY: Final = "no node took it: nodes that run containers were started with --docker; --local runs it in the command"


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedRun:
    """A run that gave no output."""

    number: int
    """From 1."""
    reason: str
    stdout: bytes
    """The beginning of what it wrote; so `stderr`."""
    stderr: bytes
    node: str | None = None
    """Whose; None: it ran in this command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated:
    """All runs of a container."""

    asked: int
    runs: tuple[ContainerRun, ...]
    """Those that gave an output, by number."""
    failed: tuple[FailedRun, ...]
    verdict: RepeatVerdict
    nodes: tuple[str, ...] | None = None
    """Who says so, of each of `runs`; None: they ran in this command."""
    was_cancelled: bool = False

    @property
    def output(self) -> CID | None:
        """What all of them gave; None unless that is one thing, and of all."""
        is_one = self.verdict in (RepeatVerdict.RAN, RepeatVerdict.REPRODUCED)
        return self.runs[0].output if is_one else None

    @property
    def exit_code(self) -> int | None:
        """Their exit code, on the same condition."""
        return None if self.output is None else self.runs[0].exit_code


def container_report(
    *,
    job: str,
    created_at: float,
    labels: Sequence[str],
    image: str,
    plan: ContainerPlan,
    repeated: Repeated,
    record: CID | None,
    texts: OutputTexts | None,
    taint: Taint,
    noted: Sequence[Noted],
    timings_s: Mapping[str, float],
) -> dict[str, Any]:
    """Return the report of a job.

    created_at: seconds since 1970, UTC; image: as it was typed; texts: of the output, None without one; taint: of the
    record and of what its inputs come from; noted: what was fetched; timings_s: host seconds.
    """
    function, failed = plan.function, repeated.failed
    shown = texts or (_texts_of(failed[0]) if failed else None)
    return {
        "job": job,
        "created_at": datetime.fromtimestamp(created_at, UTC).isoformat(timespec="seconds"),
        "labels": list(labels),
        "engine": CONTAINERS,
        "task": cid_text(plan.task),
        "function": cid_text(plan.function_cid),
        "input": cid_text(plan.input_cid),
        "output": None if repeated.output is None else cid_text(repeated.output),
        "record": None if record is None else cid_text(record),
        "verdict": repeated.verdict.value,
        "reproduced": f"{_alike(repeated)}/{repeated.asked}",
        "tier": TIER,
        "reason": reason_of(repeated),
        "exit_code": repeated.exit_code,
        "fuel": None,
        "state_digest": None,
        "same_state": False,
        **texts_entry(shown),
        "receipts": [],
        "undetermined": [{"node": one.node or f"run {one.number}", "reason": one.reason} for one in failed],
        "faults": [],
        "runs": _run_entries(repeated),
        **taint_entry(taint),
        "image": {"reference": image, "id": function.image, "digest": function.repo_digest},
        "network": function.network,
        "user": function.user,
        "rule": {"replication": repeated.asked, "confidence": repeated.asked, "diverse": False},
        "seed": None,
        "epoch": None,
        "lock": [],
        "origins": origin_list(noted),
        "shards": [],
        "timings": {
            **{f"{name}_s": round(seconds, 4) for name, seconds in timings_s.items()},
            "executions": [dict(run.timings_s) for run in repeated.runs],
        },
    }


def container_job(
    report: dict[str, Any], created_at: float, plan: ContainerPlan, record: CID | None, output: CID | None
) -> Job:
    """Return the row of a finished job. created_at: seconds since 1970, UTC."""
    return Job(
        id=report["job"],
        created_at=created_at,
        labels=tuple(report["labels"]),
        task=plan.task,
        function=plan.function_cid,
        input=plan.input_cid,
        output=output,
        record=record,
        verdict=report["verdict"],
        tier=report["tier"],
        exit_code=report["exit_code"],
        report=report,
    )


def reason_of(repeated: Repeated) -> str:
    """Return why it is not verified, in words: of containers there is always a reason."""
    where = "runs on this machine" if repeated.nodes is None else "nodes say that it"
    alike = f"{repeated.asked} {where} gave the same, and nobody else has checked it"
    if repeated.was_cancelled:
        return "it was cancelled"
    if repeated.nodes is not None and not (repeated.runs or repeated.failed):
        return NOBODY
    said = {
        RepeatVerdict.RAN: "it ran once, and nobody has checked it",
        RepeatVerdict.REPRODUCED: alike,
        RepeatVerdict.DIFFERS: f"{counted(len(repeated.runs), 'run')} gave {_outputs(repeated)} different outputs",
        RepeatVerdict.INCOMPLETE: f"{len(repeated.runs)} of {counted(repeated.asked, 'run')} gave an output",
    }[repeated.verdict]
    return "; ".join([said, *dict.fromkeys(one.reason for one in repeated.failed)])


def _outputs(repeated: Repeated) -> int:
    return len({(run.output, run.exit_code) for run in repeated.runs})


def _alike(repeated: Repeated) -> int:
    """Return how many runs gave what most of them gave."""
    claims = [(run.output, run.exit_code) for run in repeated.runs]
    return max(map(claims.count, claims), default=0)


def _run_entries(repeated: Repeated) -> list[dict[str, Any]]:
    nodes = repeated.nodes or (None,) * len(repeated.runs)
    return [_run_entry(run, node) for run, node in zip(repeated.runs, nodes, strict=True)]


def _run_entry(run: ContainerRun, node: str | None) -> dict[str, Any]:
    return {
        "node": node,
        "output": cid_text(run.output),
        "exit_code": run.exit_code,
        "out_of_memory": run.was_out_of_memory,
        "engine": run.engine.name,
        "engine_version": run.engine.version,
        "arch": run.engine.arch,
        "isolation": list(run.engine.isolation),
    }


def _texts_of(failed: FailedRun) -> OutputTexts:
    stdout, stderr = (Excerpt(head=head, size=len(head)) for head in (failed.stdout, failed.stderr))
    return OutputTexts(result=Excerpt(head=b"", size=0), stdout=stdout, stderr=stderr)

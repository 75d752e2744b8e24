"""What a command does for a job, as spans of the job's trace: preparing it, and running it where no node does.

A job that goes to a node is one trace with what its nodes tell, by the job's id alone (`network.node.span`). Off unless
a variable turns tracing on, and then the only thing that happens here is a look at the variables. Reads the clock.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Final

from bacalhau.progress import Display
from bacalhau.trace_client import exporters_of, open_tracing
from network.node.span import EXECUTION, JOB, VERIFICATION, Span, Tell
from runtime.engine import Engine, Execution, Plan, Progress, silent
from runtime.stop_signal import StopSignal
from storage.blocks import BlockStore
from storage.cid import cid_text

PREPARE: Final = "prepare"
RESOLVE: Final = "resolve"
FETCH: Final = "fetch"
_PHASES: Final = {"resolving": RESOLVE, "fetching": FETCH, "importing": FETCH}
"""Phases of preparing by the first word of what is said when a step begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedRun:
    """One job from its beginning here; nothing is told where `tell` is None."""

    job: str
    began_s: float
    """Seconds since 1970."""
    tell: Tell | None
    clock: Callable[[], float] = time.time
    _phases: list[tuple[str, float]] = field(default_factory=list)
    """What began when, while it is prepared."""

    def watched(self, display: Display) -> Display:
        """Return a display that notes the phases of preparing as well."""
        if self.tell is None:
            return display

        def step(phrase: str) -> None:
            self._phases.append((_PHASES.get(phrase.partition(" ")[0], ""), self.clock()))
            display.step(phrase)

        return replace(display, step=step)

    def prepared(self, task: str | None = None) -> None:
        """Tell that the plan is made: `prepare`, and the phases in it. task: its CID, None of a job over shards."""
        if self.tell is None:
            return
        now_s = self.clock()
        detail = {} if task is None else {"task": task}
        self.tell(Span(job=self.job, name=PREPARE, began_s=self.began_s, ended_s=now_s, detail=detail))
        begun = [*self._phases, ("", now_s)]
        phases = [(name, began_s, ended_s) for (name, began_s), (_, ended_s) in pairwise(begun)]
        for name, began_s, ended_s in _joined(phases):
            self.tell(Span(job=self.job, name=name, began_s=began_s, ended_s=ended_s))

    def timed(self, engines: tuple[Engine, ...], below: str = "") -> tuple[Engine, ...]:
        """Return engines that tell a span of each execution. below: key of the span that it is below."""
        tell = self.tell
        if tell is None:
            return engines
        return tuple(
            TimedEngine(engine=engine, job=self.job, tell=tell, clock=self.clock, below=below) for engine in engines
        )

    def ended(self, report: Mapping[str, Any], verifying_s: float) -> None:
        """Tell that the job has its report. verifying_s: how long verifying took, executions included."""
        if self.tell is None:
            return
        now_s, detail = self.clock(), _said(report)
        began_s = max(self.began_s, now_s - verifying_s)
        self.tell(Span(job=self.job, name=VERIFICATION, began_s=began_s, ended_s=now_s, detail=detail))
        self.tell(Span(job=self.job, name=JOB, began_s=self.began_s, ended_s=now_s, detail=detail))

    def flow_ended(self, report: Mapping[str, Any]) -> None:
        """Tell that the flow has its report; what its steps and tasks did, `FlowSpans` has told."""
        if self.tell is not None:
            now_s = self.clock()
            self.tell(Span(job=self.job, name=JOB, began_s=self.began_s, ended_s=now_s, detail=_said(report)))


def _said(report: Mapping[str, Any]) -> dict[str, str | int | float]:
    """Return what the span of a job tells of its report."""
    said: dict[str, str | int | float] = {"verdict": str(report["verdict"])}
    return said | ({"record": report["record"]} if report.get("record") else {})


def _joined(phases: list[tuple[str, float, float]]) -> Iterator[tuple[str, float, float]]:
    """Yield phases that have a name, of one name after another as one."""
    name, began_s, ended_s = "", 0.0, 0.0
    for one, since_s, until_s in [*phases, ("", 0.0, 0.0)]:
        if one != name:
            if name:
                yield name, began_s, ended_s
            name, began_s = one, since_s
        ended_s = until_s


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedEngine:
    """An engine that tells a span of each execution."""

    engine: Engine
    job: str
    tell: Tell
    clock: Callable[[], float]
    below: str = ""
    """Key of the span that executions are below; empty: the job's."""

    def execute(
        self, plan: Plan, store: BlockStore, progress: Progress = silent, stop: StopSignal | None = None
    ) -> Execution:
        """Run the task once, as the engine does."""
        began_s = self.clock()
        detail: dict[str, str | int | float] = {"task": cid_text(plan.task)}
        try:
            execution = self.engine.execute(plan, store, progress, stop)
        except Exception as error:
            self._told(began_s, detail, problem=str(error))
            raise
        detail |= {"output": cid_text(execution.output), "exit_code": execution.exit_code}
        detail |= {f"phase.{name}_s": seconds for name, seconds in execution.timings_s.items()}
        if execution.fuel is not None:
            detail["fuel"] = execution.fuel
        self._told(began_s, detail)
        return execution

    def stop(self) -> None:
        """End what is under way, as the engine does."""
        self.engine.stop()

    def _told(self, began_s: float, detail: Mapping[str, str | int | float], problem: str = "") -> None:
        self.tell(
            Span(
                job=self.job,
                name=EXECUTION,
                below=self.below,
                began_s=began_s,
                ended_s=self.clock(),
                problem=problem,
                detail=detail,
            )
        )


@dataclass(slots=True)
class RunTracing:
    """What takes the spans of a process that runs jobs; opened with the first job that is traced."""

    tell: Tell | None

    def begin(self, clock: Callable[[], float] = time.time) -> TracedRun:
        """Return a new job."""
        return TracedRun(job=uuid.uuid4().hex, began_s=clock(), tell=self.tell, clock=clock)


@contextmanager
def run_tracing(environ: Mapping[str, str]) -> Iterator[RunTracing]:
    """Give what takes the spans of jobs inside; what was taken is sent before it ends.

    Raises:
        UserError: a variable asks for what there is not, or the extra `telemetry` is not installed.
    """
    if not exporters_of(environ):
        yield RunTracing(None)
        return
    with open_tracing(environ, f"run-{uuid.uuid4().hex}") as tell:
        yield RunTracing(tell)

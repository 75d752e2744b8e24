"""What a flow does, as spans of its job's trace: one for each step, its tasks below it, their executions below them.

Nothing is told, and nothing is wrapped, where the flow is not traced. For several threads at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bacalhau.report import verdict_word
from bacalhau.run_spans import TracedRun
from bacalhau.task_verifier import TaskVerifier
from network.embedded import SessionResult
from network.embedded_flow import FlowEvent, TaskEnded
from network.flow_schedule import StepState
from network.node.span import STEP, VERIFICATION, Span
from runtime.flow_thunk import StepTask
from storage.cid import cid_text


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowSpans:
    """The spans of one flow, which are told as its steps and tasks end."""

    traced: TracedRun
    _begun_s: dict[str, float] = field(default_factory=dict)
    """By step: when its first task began."""
    _tasks: dict[str, int] = field(default_factory=dict)
    """By step: its tasks that have ended."""

    def verify(self, task: StepTask, verifier: TaskVerifier) -> SessionResult:
        """Have a task verified, as the verifier does, and tell of it and of its executions.

        Raises:
            UserError, UnavailableError: as `TaskVerifier.verify`; nothing is told of the task then.
        """
        tell = self.traced.tell
        if tell is None:
            return verifier.verify(task.plan, task.parents)
        key, began_s = f"{_step_key(task.step)}/{task.index}", self.traced.clock()
        self._begun_s.setdefault(task.step, began_s)
        session = verifier.verify(task.plan, task.parents, timed=lambda engines: self.traced.timed(engines, key))
        tell(self._span(task, session, key, began_s))
        return session

    def ended(self, event: FlowEvent) -> None:
        """Tell of a step that has ended, if it was begun; one that is not run has no span. For one thread."""
        if isinstance(event, TaskEnded):
            self._tasks[event.task.step] = self._tasks.get(event.task.step, 0) + 1
            return
        if self.traced.tell is None or event.state is StepState.NOT_RUN:
            return
        now_s = self.traced.clock()
        self.traced.tell(
            Span(
                job=self.traced.job,
                name=STEP,
                key=_step_key(event.step),
                began_s=self._begun_s.get(event.step, now_s),
                ended_s=now_s,
                problem=event.problem,
                detail={"step": event.step, "state": event.state.value, "tasks": self._tasks.get(event.step, 0)},
            )
        )

    def _span(self, task: StepTask, session: SessionResult, key: str, began_s: float) -> Span:
        detail: dict[str, str | int | float] = {"step": task.step, "task": cid_text(task.plan.task)}
        detail["verdict"] = verdict_word(session)
        if session.record is not None:
            detail["record"] = cid_text(session.record)
        return Span(
            job=self.traced.job,
            name=VERIFICATION,
            key=key,
            below=_step_key(task.step),
            began_s=began_s,
            ended_s=self.traced.clock(),
            detail=detail,
        )


def _step_key(step: str) -> str:
    return f"step/{step}"

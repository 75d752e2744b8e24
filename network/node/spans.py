"""What a node does for a job, as spans of one trace: over all nodes, without a word in their messages.

Nothing here knows a library or a clock; whoever takes spans does not wait and does not raise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from network.message_codec import decode, version_of
from network.messages import Assign, Close, Offer, SignedAssign
from network.node.span import BIDS, EXECUTION, VERIFICATION, Span, Tell
from network.protocol_events import Action, ContainerEnded, Executed, ExecutionFailed, Report, Run, Send, TaskEnded
from storage.cid import cid_text
from verifier.model import PeerId

MAX_SESSIONS: Final = 10_000
"""Sessions whose beginnings are remembered; of further ones there are no spans."""
_TOLD: Final = frozenset(kind.VERSION for kind in (Offer, Assign, SignedAssign, Close))


def execution_span(
    job: str,
    run: Run,
    event: Executed | ContainerEnded | ExecutionFailed,
    *,
    began_s: float,
    ended_s: float,
    node: PeerId,
) -> Span:
    """Return the span of an execution; its phases are in the detail, host seconds by name."""
    detail: dict[str, str | int | float] = {"task": cid_text(run.task), "session": run.session, "node": node}
    problem = ""
    if isinstance(event, Executed):
        execution = event.execution
        detail |= {"output": cid_text(execution.output), "exit_code": execution.exit_code}
        detail |= {f"phase.{name}_s": seconds for name, seconds in execution.timings_s.items()}
        if execution.fuel is not None:
            detail["fuel"] = execution.fuel
    elif isinstance(event, ContainerEnded):
        said = event.statement
        problem = said.reason or ""
        if said.output is not None and said.exit_code is not None:
            detail |= {"output": cid_text(said.output), "exit_code": said.exit_code}
    else:
        problem = event.reason
    return Span(job=job, name=EXECUTION, began_s=began_s, ended_s=ended_s, problem=problem, detail=detail)


@dataclass(slots=True, kw_only=True)
class SessionSpans:
    """Finds bids and verification of a requester's tasks in what its machine says."""

    tell: Tell
    own: PeerId
    clock: Callable[[], float]
    _offered: dict[str, float] = field(default_factory=dict)
    _closed: dict[str, float] = field(default_factory=dict)

    def saw(self, action: Action) -> None:
        """Look at an action that is done now."""
        if isinstance(action, Report) and isinstance(action.news, TaskEnded):
            self._ended(action.news)
        elif isinstance(action, Send) and version_of(action.message) in _TOLD:
            said = decode(action.message, self.own)
            if isinstance(said, Offer) and len(self._offered) < MAX_SESSIONS:
                self._offered.setdefault(said.session, self.clock())
            elif isinstance(said, Assign):
                self._assigned(said)
            elif isinstance(said, Close) and len(self._closed) < MAX_SESSIONS:
                self._closed.setdefault(said.session, self.clock())

    def _assigned(self, said: Assign) -> None:
        began_s = self._offered.pop(said.session, None)
        if began_s is not None:
            detail = {"task": cid_text(said.task), "session": said.session}
            self.tell(Span(job=said.job, name=BIDS, began_s=began_s, ended_s=self.clock(), detail=detail))

    def _ended(self, news: TaskEnded) -> None:
        self._offered.pop(news.session_id, None)
        began_s, now_s = self._closed.pop(news.session_id, None), self.clock()
        decision = news.decision
        detail: dict[str, str | int | float] = {
            "session": news.session_id,
            "verdict": "withdrawn" if news.session.withdrawn else decision.verdict.value,
            "agreeing": len(decision.agreeing),
            "dissenting": len(decision.dissenting),
        }
        began_s = now_s if began_s is None else began_s
        self.tell(Span(job=news.job, name=VERIFICATION, began_s=began_s, ended_s=now_s, detail=detail))

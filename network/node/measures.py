"""What a node has done since it started, in plain numbers: for `/metrics` (docs/telemetry.md).

Written in the node's loop by the driver, where it passes anyway; read in the same loop. Has no clock and no library:
seconds are handed in. Everything a stranger chooses is bounded: kinds are taken from fixed lists, all else is "other".
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from network.messages import (
    Accepted,
    Ack,
    Assign,
    Bid,
    Cancel,
    Close,
    Commit,
    Decline,
    Failed,
    Offer,
    Refuse,
    Reveal,
    Settled,
    SignedAssign,
)
from network.session_events import FaultKind
from network.statement import Statement
from runtime.engine import Execution
from verifier.compare import Decision
from verifier.model import Verdict

MESSAGES: Final[Mapping[str, str]] = {
    kind.VERSION: kind.VERSION.partition("/")[0]
    for kind in (
        Offer, Bid, Refuse, Decline, Assign, SignedAssign, Accepted, Commit, Failed, Close, Reveal, Ack, Cancel,
        Settled,
    )
}  # fmt: skip
"""Kinds of messages by the version that stands at their start."""
OTHER: Final = "other"
BOUNDS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
"""Upper bounds of the buckets of seconds: from a task without packages in a warm worker to half an hour."""
DONE, FUNCTION_FAILED, UNDETERMINED, GIVEN_UP = "done", "function-failed", "undetermined", "given-up"
EXECUTIONS: Final = (DONE, FUNCTION_FAILED, UNDETERMINED, GIVEN_UP)
"""How executions end: with exit code 0, with another one, with no output as the host failed, with nobody waiting."""
CACHED: Final = "cached"
WITHDRAWN: Final = "withdrawn"
CONVICTIONS: Final = (FaultKind.EQUIVOCATION.value, FaultKind.FORGED.value, FaultKind.MISMATCH.value)
"""What peers are proven to have done (`network.blame`)."""
VERDICTS: Final = (*(verdict.value for verdict in Verdict if verdict is not Verdict.CACHED), CACHED, WITHDRAWN)
"""How tasks end at a requester: with a verdict, with what was verified before, or cancelled."""


@dataclass(slots=True)
class Seconds:
    """A histogram."""

    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    """By bound, not summed up; the last one is of all that is longer."""
    total_s: float = 0.0

    def add(self, seconds: float) -> None:
        """Count something that took so long."""
        self.buckets[bisect_left(BOUNDS_S, seconds)] += 1
        self.total_s += seconds

    def summed(self) -> Iterator[tuple[float, int]]:
        """Yield each bound, infinity last, with the count of all that was not longer."""
        count = 0
        for bound, here in zip((*BOUNDS_S, float("inf")), self.buckets, strict=True):
            count += here
            yield bound, count


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """How much there is at this moment."""

    jobs_open: int
    tasks_open: int
    """Of those jobs, without a verdict."""
    tasks_unassigned: int
    """Of those, the ones that wait for nodes."""
    offers_waiting: int
    """At the compute node: offered or assigned, and without room."""
    executions: int
    peers: int
    is_healthy: bool


@dataclass(slots=True, kw_only=True)
class Measures:
    """All that is counted."""

    sent: Counter[str] = field(default_factory=Counter)
    """Messages of our machines by kind, one that is said again included."""
    received: Counter[str] = field(default_factory=Counter)
    executions: Mapping[str, Seconds] = field(default_factory=lambda: {name: Seconds() for name in EXECUTIONS})
    """By outcome; from the moment that there is room, fetching included."""
    resets: Seconds = field(default_factory=Seconds)
    """Workers' ways back to their images, where another task followed."""
    fuel: int = 0
    fuel_s: float = 0.0
    """What functions took that were metered."""
    jobs: int = 0
    """Accepted, without those that were here before."""
    verdicts: Counter[str] = field(default_factory=Counter)
    disagreements: int = 0
    """Tasks about which nodes said different things."""
    dissents: int = 0
    """Receipts that did not say what was agreed."""
    convictions: Counter[str] = field(default_factory=Counter)
    """Proven breaches by kind."""
    offences: int = 0
    """Of peers, proven by nothing."""

    def say(self, version: str) -> None:
        """Count a message that is sent."""
        if version:  # a parcel of blocks has none
            self.sent[MESSAGES.get(version, OTHER)] += 1

    def hear(self, versions: Iterable[str]) -> None:
        """Count messages that came."""
        for version in versions:
            self.received[MESSAGES.get(version, OTHER)] += 1

    def executed(self, execution: Execution | Statement, took_s: float) -> None:
        """Count an execution that gave an output, or a container that came to its end."""
        if isinstance(execution, Statement):
            self.executions[DONE if execution.exit_code == 0 else FUNCTION_FAILED].add(took_s)
            return
        self.executions[DONE if execution.exit_code == 0 else FUNCTION_FAILED].add(took_s)
        spent = execution.timings_s
        if (reset_s := spent.get("reset")) is not None:
            self.resets.add(reset_s)
        if execution.fuel is not None:
            self.fuel += execution.fuel
            self.fuel_s += max(0.0, spent["collect"] - spent["run"]) if {"collect", "run"} <= spent.keys() else took_s

    def not_executed(self, outcome: str, took_s: float) -> None:
        """Count an execution that gave none. outcome: UNDETERMINED or GIVEN_UP."""
        self.executions[outcome].add(took_s)

    def decided(self, decision: Decision, *, withdrawn: bool) -> None:
        """Count a task that has ended at a requester."""
        self.verdicts[WITHDRAWN if withdrawn else decision.verdict.value] += 1
        if withdrawn:
            return
        said = (*decision.agreeing, *decision.dissenting)
        self.disagreements += len({(one.output, one.exit_code) for one in said}) > 1
        if decision.verdict is Verdict.AGREED:
            self.dissents += len(decision.dissenting)

    def known(self, tasks: int = 1) -> None:
        """Count tasks that were verified before, and asked of nobody."""
        self.verdicts[CACHED] += tasks

"""Where two executions part: by the memory at lines of the function, then by the memory at an amount of fuel.

Both are bisected. Checkpoints need nothing of the host: a watched run ends at the line that it is told to, a plain one
where its fuel ends, and of both the engine gives the digest of all of memory. Entropy stays that of the task: a limit
changes the task's CID, so plans keep the CID that the seed follows from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from runtime.divergence.bisection import first_difference
from runtime.engine import Engine, Execution, Plan
from runtime.watch.wrapping import REPORT_DIR, malformed_report, read_report, watched_plan
from storage.blocks import BlockStore
from storage.errors import UnavailableError

_REPORT: Final = "lines"
MOST_TRACED: Final = 100_000
"""Lines whose variables are compared beside memory."""
_MORE_FUEL: Final = 50
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: a plan and what executes it."""

    plan: Plan
    engine: Engine

    def execute(self, store: BlockStore) -> Execution:
        """Run the task as it is."""
        return self.engine.execute(self.plan, store)

    def at_fuel(self, fuel: int, store: BlockStore) -> tuple[str, int]:
        """Return the state digest and exit code of a run with so much fuel."""
        limits = replace(self.plan.input.limits, fuel=fuel)
        plan = replace(self.plan, input=replace(self.plan.input, limits=limits))
        execution = self.engine.execute(plan, store)
        return execution.state_digest, execution.exit_code

    def at_line(self, store: BlockStore, *, stop: int | None = None, trace: int = 0) -> Checkpoint:
        """Run it under watch, up to an event if one is given."""
        lines = {"path": f"{REPORT_DIR}/{_REPORT}", "stop": stop, "trace": trace}
        watched = watched_plan(self.plan, {"lines": lines}, store, reports=True)
        fuel = watched.input.limits.fuel
        limits = replace(watched.input.limits, fuel=None if fuel is None else min(fuel * _MORE_FUEL, 1 << 53))
        watched = replace(watched, task=self.plan.task, input=replace(watched.input, limits=limits))
        execution = self.engine.execute(watched, store)
        report = read_report(execution.output, store, _REPORT)
        if not report:
            problem = f"the watched run left no report (exit code {execution.exit_code})"
            raise UnavailableError(problem, fix="compare the executions by fuel alone: --no-lines")
        return _checkpoint(execution.state_digest, report)


Place = tuple[str, int, str]
"""File, line, function."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What a watched run left."""

    digest: str
    events: int
    """How many lines were begun."""
    at: Place
    before: Place
    """The line that was executed before; without a file where there was none."""
    variables: dict[str, str]
    trace: tuple[tuple[Any, ...], ...]
    """(file, line, function, digest of the variables) of each event."""


def _checkpoint(digest: str, report: list[Any]) -> Checkpoint:
    """Check what a watched run wrote down; what is of another form the function has written."""
    head, trace = report[0], report[1:]
    match head:
        case {"events": int(events), "at": list(at), "variables": dict(variables)}:
            before = head.get("before", ["", 0, ""])
        case _:
            raise malformed_report()
    if not all(isinstance(text, str) for text in (*variables, *variables.values())):
        raise malformed_report()
    if not all(isinstance(entry, list) for entry in trace):
        raise malformed_report()
    traced = tuple(map(tuple, trace))
    return Checkpoint(
        digest=digest, events=events, at=_place(at), before=_place(before), variables=dict(variables), trace=traced
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Parting:
    """Where two executions part, at a line of the function."""

    event: int
    """Number of the first event, from 1, at which they differ."""
    line: Place | None
    """File, line and function of the line that was being executed; None: before the first line."""
    at: tuple[Place, Place]
    """Where each of them has come to."""
    variables: tuple[tuple[str, str | None, str | None], ...]
    """Name, in A, in B: of those that differ there."""
    by: str
    """`memory`, or `variables` where memory was another from the beginning."""

    def to_json(self) -> dict[str, Any]:
        """Return `parting` of the report."""
        line = None if self.line is None else {"file": self.line[0], "line": self.line[1], "function": self.line[2]}
        at = [{"file": file, "line": number, "function": name} for file, number, name in self.at]
        changed = [{"name": name, "a": one, "b": two} for name, one, two in self.variables]
        return {"event": self.event, "line": line, "at": at, "variables": changed, "by": self.by}


def part_by_line(one: Side, two: Side, store: BlockStore, progress: Progress) -> Parting | None:
    """Return where the executions part, by lines; None if they do not under watch.

    Raises:
        UndeterminedError: a run had no outcome.
    """
    progress("running both under watch")
    ends = one.at_line(store, trace=MOST_TRACED), two.at_line(store, trace=MOST_TRACED)
    visible = first_unlike(ends[0].trace, ends[1].trace)
    if ends[0].digest == ends[1].digest and ends[0].events == ends[1].events and visible is None:
        return None
    last = min(ends[0].events, ends[1].events)

    def same(event: int) -> bool:
        progress(f"comparing memory at line event {event} of {last}")
        return one.at_line(store, stop=event).digest == two.at_line(store, stop=event).digest

    if last == 0:
        return Parting(event=0, line=None, at=(ends[0].at, ends[1].at), variables=(), by="memory")
    if not same(1):
        # Inputs or seeds differ, or the machines before the function began: only what the lines see can be compared.
        return _seen(one, two, visible, store) if visible is not None else _parting(one, two, 1, store, "memory")
    if same(last):
        where = one.at_line(store, stop=last).at  # the last line that both have begun
        return Parting(event=last + 1, line=where, at=(ends[0].at, ends[1].at), variables=(), by="memory")
    return _parting(one, two, first_difference(1, last, same), store, "memory")


def _seen(one: Side, two: Side, visible: int, store: BlockStore) -> Parting:
    return _parting(one, two, visible, store, "variables")


def _parting(one: Side, two: Side, event: int, store: BlockStore, by: str) -> Parting:
    ends = one.at_line(store, stop=event), two.at_line(store, stop=event)
    left, right = ends[0].variables, ends[1].variables
    names = sorted(name for name in {*left, *right} if left.get(name) != right.get(name))
    return Parting(
        event=event,
        line=ends[0].before if ends[0].before[0] else None,
        at=(ends[0].at, ends[1].at),
        variables=tuple((name, left.get(name), right.get(name)) for name in names),
        by=by,
    )


def part_by_fuel(one: Side, two: Side, high: int, store: BlockStore, progress: Progress) -> int | None:
    """Return the least fuel with which the executions differ, in memory or exit code; None if they do not with `high`.

    Raises:
        UndeterminedError: a run had no outcome.
    """

    def same(fuel: int) -> bool:
        progress(f"comparing memory at fuel {fuel}")
        return one.at_fuel(fuel, store) == two.at_fuel(fuel, store)

    if same(high):
        return None
    return first_difference(0, high, same) if same(1) else 1


def first_unlike(one: tuple[tuple[Any, ...], ...], two: tuple[tuple[Any, ...], ...]) -> int | None:
    """Return the number, from 1, of the first event that is not the same in two traces; None if there is none."""
    for number, (left, right) in enumerate(zip(one, two, strict=False), 1):
        if left != right:
            return number
    return min(len(one), len(two)) if len(one) != len(two) and one and two else None


def _place(where: object) -> Place:
    match where:
        case [str(file), int(line), str(name)]:
            return file, line, name
        case _:
            raise malformed_report()

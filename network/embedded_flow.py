"""A flow on the embedded nodes: one verified session a task, several at a time, as soon as its inputs are known.

Engines are the caller's: workers stay warm from one task to the next, and tasks of one step come together. Knows no
clock and keeps no job; what was verified before, `run` knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TypeAlias

from network.embedded import SessionResult
from network.flow_schedule import FlowSchedule, StepState
from runtime.flow_thunk import StepTask, Thunk
from runtime.flow_values import Part, Value
from storage.errors import UserError


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEnded:
    """A task has a verdict."""

    task: StepTask
    session: SessionResult | None
    """None: it is not known what it gives, and it was not run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEnded:
    """A step will not go on."""

    step: str
    state: StepState
    value: Value | None
    """None unless DONE."""
    problem: str
    """Why not, in words; empty if DONE."""


FlowEvent: TypeAlias = TaskEnded | StepEnded

MakeThunk: TypeAlias = Callable[[str, Mapping[str, Value]], Thunk]
"""Returns the thunk of a step whose needs are met; what the steps before gave, by name."""


def run_flow(
    needs: Mapping[str, Sequence[str]],
    make_thunk: MakeThunk,
    run: Callable[[StepTask], SessionResult | None],
    *,
    at_once: int,
    stop: Callable[[], None],
) -> Iterator[FlowEvent]:
    """Yield what happens until every step has ended; what ended at the same time comes in order.

    needs: the steps in order, each with those that it needs (`flow_graph.Graph`).
    run: verifies one task, or says that what it gives is not known; called by several threads.
    at_once: sessions at the same time, at least 1.
    stop: called once if there is an error or the caller gives up: ends what is under way, like `Engine.stop`.

    A task without agreement, or whose function did not end with 0, fails its step: no further task of it begins, and
    no step that needs it. Others go on.

    Raises:
        UserError: a step that needs no other cannot begin; nothing has run then.
        whatever else `make_thunk` and `run` raise; nothing is under way any more then.
    """
    driver = _Driver(needs, make_thunk)
    pool = ThreadPoolExecutor(max_workers=at_once, thread_name_prefix="step")
    running: dict[Future[SessionResult | None], StepTask] = {}
    try:
        driver.open_first()
        while True:
            while len(running) < at_once and (task := driver.take()) is not None:
                running[pool.submit(run, task)] = task
            yield from driver.told()
            if not running:
                return
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in sorted(ended, key=lambda future: driver.place(running[future])):
                task = running.pop(future)
                session = future.result()
                yield TaskEnded(task=task, session=session)
                driver.put(task, session)
    except BaseException:  # an interrupt as well, and a caller that closes this: nobody takes the other results
        stop()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class _Driver:
    """The steps that are under way."""

    def __init__(self, needs: Mapping[str, Sequence[str]], make_thunk: MakeThunk) -> None:
        self._places = {name: place for place, name in enumerate(needs)}
        self._schedule = FlowSchedule(needs)
        self._make_thunk = make_thunk
        self._open: dict[str, Thunk] = {}
        """Begun and not over, in order."""
        self._values: dict[str, Value] = {}
        self._told: list[StepEnded] = []

    def open_first(self) -> None:
        """Begin the steps that need no other, so that what is wrong with them is said before anything runs."""
        while (name := self._schedule.begin()) is not None:
            self._open[name] = self._make_thunk(name, self._values)

    def place(self, task: StepTask) -> tuple[int, int]:
        """Return where a task comes in order."""
        return self._places[task.step], task.index

    def take(self) -> StepTask | None:
        """Return a task that may begin now: of a step that was begun, or of the next one that can be."""
        over = []
        for name, thunk in self._open.items():
            if (task := thunk.take()) is not None:
                return task
            if thunk.is_over:
                over.append(name)
        for name in over:
            self._settle(name)
        while (ready := self._schedule.begin()) is not None:
            try:
                self._open[ready] = self._make_thunk(ready, self._values)
            except UserError as error:
                self._end(ready, StepState.FAILED, None, str(error))
                continue
            if (task := self._open[ready].take()) is not None:
                return task
            self._settle(ready)
        return None

    def put(self, task: StepTask, session: SessionResult | None) -> None:
        """Note how a task ended."""
        thunk = self._open[task.step]
        if session is None:
            thunk.put(task, None)
        elif session.output is None or session.record is None:
            thunk.fail(task, _said(task, thunk, f"it was not verified ({session.verdict.value})"))
        elif session.exit_code != 0:
            thunk.fail(task, _said(task, thunk, f"the function failed with exit code {session.exit_code}"))
        else:
            thunk.put(task, Part(output=session.output, record=session.record))
        self._settle(task.step)

    def told(self) -> list[StepEnded]:
        """Return the steps that have ended since this was last asked."""
        told, self._told = self._told, []
        return told

    def _settle(self, name: str) -> None:
        """Note that a step is over, if it is."""
        thunk = self._open[name]
        if not thunk.is_over:
            return
        del self._open[name]
        if thunk.problem:
            self._end(name, StepState.FAILED, None, thunk.problem)
        elif thunk.value is None:
            self._end(name, StepState.UNKNOWN, None, "it has to run")
        else:
            self._end(name, StepState.DONE, thunk.value, "")

    def _end(self, name: str, state: StepState, value: Value | None, problem: str) -> None:
        if value is not None:
            self._values[name] = value
        self._told.append(StepEnded(step=name, state=state, value=value, problem=problem))
        for other, why in self._schedule.end(name, state):
            said = f"it needs {why}"
            self._told.append(StepEnded(step=other, state=StepState.NOT_RUN, value=None, problem=said))


def _said(task: StepTask, thunk: Thunk, problem: str) -> str:
    return f"task {task.index}: {problem}" if thunk.step.split is not None else problem

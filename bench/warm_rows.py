"""Warm executions for each second, on all cores: the same function again and again, every time with another input."""

from __future__ import annotations

import itertools
import json
import queue
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.comparison import Contestant, Row, Unit, take_turns
from bench.goals import REBOOT, UNSAFE
from bench.native import native_pool
from bench.plain_pyodide import PlainPyodide, WarmPyodide
from bench.programs import Program
from bench.workplace import CORES, Workplace, on_all_cores
from storage.unixfs_read import UnixfsReader


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A way to call one function many times."""

    name: str
    prepare: Callable[[Sequence[int]], Sequence[Any]]
    """Make the calls for some numbers; not timed."""
    run: Callable[[Sequence[Any]], object]
    """Run the calls on all cores; timed."""
    answer: Callable[[int], object]
    """What the function gives for a number, to see that all ways do the same work."""


def warm(workplace: Workplace, row: str, program: Program) -> Row:
    """Our engine against plain Pyodide in two ways and a native process pool."""
    with _ways(workplace, program) as ways:
        answers = {way.name: way.answer(0) for way in ways}
        if any(answer != answers["ours"] for answer in answers.values()):
            raise RuntimeError(f"{program.name}: different answers: {answers}")
        numbers = itertools.count(1)  # no two calls with one input
        contestants = [Contestant(name=way.name, measure=rate(workplace, way, numbers)) for way in ways]
        sides = take_turns(workplace.scale.rounds, contestants)
    return Row(name=row, unit=Unit.PER_SECOND, sides=sides)


def rate(workplace: Workplace, way: Way, numbers: Iterator[int]) -> Callable[[], float]:
    """Return what gives calls per second, over as many calls as fill the window."""
    pace = 0.0  # of the last batch, from which the size of the next is guessed

    def measure() -> float:
        nonlocal pace
        done, spent = 0, 0.0
        while spent < workplace.scale.rate_window_s:
            count = max(CORES, round(pace * (workplace.scale.rate_window_s - spent)))
            calls = way.prepare(list(itertools.islice(numbers, count)))
            begin = time.perf_counter()
            way.run(calls)
            took = time.perf_counter() - begin
            pace, done, spent = count / took, done + count, spent + took
        return done / spent

    return measure


@contextmanager
def _ways(workplace: Workplace, program: Program) -> Iterator[list[Way]]:
    with ExitStack() as stack:
        plain = _plain(workplace, program)
        yield [
            stack.enter_context(_ours(workplace, program)),
            _rebooting(workplace, program, plain),
            stack.enter_context(_unsafe(program, plain)),
            stack.enter_context(_native(workplace, program, plain.code)),
        ]


@contextmanager
def _ours(workplace: Workplace, program: Program) -> Iterator[Way]:
    plan = workplace.function(program)
    with workplace.engine() as engine:

        def answer(number: int) -> object:
            execution = workplace.execute(engine, workplace.with_input(plan, program, number))
            reader = UnixfsReader(workplace.store)
            return json.loads(reader.read_bytes(reader.resolve(execution.output, "result"), 1 << 20))

        yield Way(
            name="ours",
            prepare=lambda numbers: [workplace.with_input(plan, program, number) for number in numbers],
            run=lambda plans: on_all_cores(lambda plan: workplace.execute(engine, plan), plans),
            answer=answer,
        )


def _plain(workplace: Workplace, program: Program) -> PlainPyodide:
    code = workplace.home / f"function-{program.name.split(',')[0]}.py"
    code.write_text(program.source)
    wheels = workplace.wheel_folder(workplace.function(program))
    return PlainPyodide(package=workplace.package, wheels=wheels, packages=program.packages, code=code)


def _rebooting(workplace: Workplace, program: Program, plain: PlainPyodide) -> Way:
    return Way(
        name=REBOOT,
        prepare=lambda numbers: [_call_by_path(workplace, program, number) for number in numbers],
        run=lambda calls: on_all_cores(lambda call: plain.call_booting(*call), calls),
        answer=lambda number: plain.call_booting(*_call_by_path(workplace, program, number)),
    )


@contextmanager
def _unsafe(program: Program, plain: PlainPyodide) -> Iterator[Way]:
    """One kept process for each core."""
    free: queue.Queue[WarmPyodide] = queue.Queue()

    def call(arguments_and_data: tuple[dict[str, object], bytes]) -> object:
        pyodide = free.get()
        try:
            return pyodide.call(*arguments_and_data)
        finally:
            free.put(pyodide)

    with ExitStack() as stack:
        for _ in range(CORES):
            free.put(stack.enter_context(plain.warm()))
        yield Way(
            name=UNSAFE,
            prepare=lambda numbers: [(program.args(number), program.data(number)) for number in numbers],
            run=lambda calls: on_all_cores(call, calls),
            answer=lambda number: call((program.args(number), program.data(number))),
        )


@contextmanager
def _native(workplace: Workplace, program: Program, code: Path) -> Iterator[Way]:
    with native_pool(workplace.native, code, CORES) as pool:
        yield Way(
            name="native CPython, a process for each call",
            prepare=lambda numbers: [_call_by_path(workplace, program, number) for number in numbers],
            run=pool.call_all,
            answer=lambda number: pool.call_all([_call_by_path(workplace, program, number)])[0],
        )


def _call_by_path(workplace: Workplace, program: Program, number: int) -> tuple[dict[str, object], str | None]:
    """Return the arguments and a file with the data."""
    data = program.data(number)
    if not data:
        return program.args(number), None
    file = workplace.home / "inputs" / f"{program.name.split(',')[0]}-{number}"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(data)
    return program.args(number), str(file)

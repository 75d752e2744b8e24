"""Cold runs: everything from nothing running to the result, the caches on the disk filled or (first runs) empty."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from pathlib import Path

from bench.comparison import Contestant, Row, Unit, take_turns
from bench.docker_image import NoDockerError
from bench.goals import PLAIN
from bench.plain_pyodide import PlainPyodide
from bench.processes import run_program
from bench.programs import HELLO_SCRIPT, PANDAS_REQUIREMENT, PANDAS_SCRIPT
from bench.workplace import Workplace
from runtime.engine import Plan

_SCRIPTS = {"hello": (HELLO_SCRIPT, "", ()), "pandas": (PANDAS_SCRIPT, PANDAS_REQUIREMENT, ("pandas",))}


def cold(workplace: Workplace, name: str) -> Row:
    """One run by a fresh engine, against plain Pyodide, Docker and CPython."""
    code = _SCRIPTS[name][0]
    plan, plain = _prepared(workplace, name)
    native = [str(workplace.native.binary), "-c", code]
    contestants = [
        Contestant(name="ours", measure=seconds(lambda: _execute(workplace, plan))),
        Contestant(name=PLAIN, measure=seconds(plain.run_script)),
        Contestant(name="native CPython", measure=seconds(lambda: run_program(native))),
    ]
    absent: tuple[tuple[str, str], ...] = ()
    try:
        image = workplace.docker()
        contestants.append(Contestant(name="docker run", measure=seconds(lambda: image.run(code))))
    except NoDockerError as error:
        absent = (("docker run", str(error)),)
    sides = take_turns(workplace.scale.rounds, contestants)
    return Row(name=f"cold {name}", unit=Unit.SECONDS, sides=sides, absent=absent)


def first(workplace: Workplace, name: str) -> Row:
    """One run with empty caches, where runtime, modules and image are made, against plain Pyodide."""
    plan, plain = _prepared(workplace, name)
    folders = (workplace.home / f"first-{name}-{number}" for number in itertools.count())
    sides = take_turns(
        workplace.scale.rounds,
        [
            Contestant(name="ours", measure=seconds(lambda: _execute(workplace, plan, next(folders)))),
            Contestant(name=PLAIN, measure=seconds(plain.run_script)),
        ],
        warm_up=False,
    )
    return Row(name=f"first run of {name}", unit=Unit.SECONDS, sides=sides)


def seconds(work: Callable[[], object]) -> Callable[[], float]:
    """Return what does the work once and gives the seconds that it took."""

    def measure() -> float:
        begin = time.perf_counter()
        work()
        return time.perf_counter() - begin

    return measure


def _execute(workplace: Workplace, plan: Plan, caches: Path | None = None) -> None:
    with workplace.engine(caches) as engine:
        workplace.execute(engine, plan)


def _prepared(workplace: Workplace, name: str) -> tuple[Plan, PlainPyodide]:
    code, requirements, packages = _SCRIPTS[name]
    plan = workplace.script(code, requirements)
    file = workplace.home / f"{name}.py"
    file.write_text(code)
    wheels = workplace.wheel_folder(plan)
    return plan, PlainPyodide(package=workplace.package, wheels=wheels, packages=packages, code=file)

"""What verification costs: commit, reveal and record of three executions, over the three executions alone."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator

from bench.comparison import Contestant, Row, Unit, take_turns
from bench.goals import BARE
from bench.programs import Program
from bench.workplace import CORES, Workplace, on_all_cores
from network.embedded import run_embedded
from runtime.engine import Plan
from runtime.pyodide_engine import PyodideEngine
from verifier.compare import make_rule
from verifier.model import Verdict

_NODES = 3


def verified(workplace: Workplace, row: str, program: Program) -> Row:
    """Both run three executions of one task on all cores; every turn takes another input."""
    function = workplace.function(program)
    numbers = itertools.count()
    plans = (workplace.with_input(function, program, number) for number in numbers)
    with workplace.engine() as engine:
        sides = take_turns(
            workplace.scale.rounds,
            [
                Contestant(name="ours", measure=_per_task(workplace, plans, lambda p: _verified(workplace, engine, p))),
                Contestant(name=BARE, measure=_per_task(workplace, plans, lambda p: _bare(workplace, engine, p))),
            ],
        )
    return Row(name=row, unit=Unit.SECONDS, sides=sides)


def _per_task(workplace: Workplace, plans: Iterator[Plan], run: Callable[[Plan], object]) -> Callable[[], float]:
    """Return what gives the seconds of one task, over as many as fill the window."""

    def measure() -> float:
        spent, count = 0.0, 0
        while spent < workplace.scale.rate_window_s:
            plan = next(plans)
            begin = time.perf_counter()
            run(plan)
            spent += time.perf_counter() - begin
            count += 1
        return spent / count

    return measure


def _verified(workplace: Workplace, engine: PyodideEngine, plan: Plan) -> None:
    result = run_embedded(
        plan,
        engine=engine,
        store=workplace.store,
        keys_dir=workplace.home / "keys",
        rule=make_rule(replication=_NODES, confidence=2),
        parallel=CORES,
    )
    if result.verdict is not Verdict.AGREED or len(result.receipts) != _NODES:
        raise RuntimeError(f"the measured run ended with {result.verdict}")


def _bare(workplace: Workplace, engine: PyodideEngine, plan: Plan) -> None:
    on_all_cores(lambda _: workplace.execute(engine, plan), range(_NODES))

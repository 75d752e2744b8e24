"""The reset of a warm worker, with its proof, against a memcpy of the same bytes."""

from __future__ import annotations

import statistics
import subprocess
from pathlib import Path

from bench.comparison import Contestant, Row, Unit, take_turns
from bench.goals import MEMCPY
from bench.programs import PANDAS_REQUIREMENT, PANDAS_SCRIPT
from bench.workplace import Workplace
from runtime.node_client import find_node

_TIMES = 9
"""Resets, and copies, of which each round takes the median."""


def reset(workplace: Workplace) -> Row:
    """Time what a worker that holds pandas does between two tasks: compare all memory, put back, compare again."""
    plan = workplace.script(PANDAS_SCRIPT, PANDAS_REQUIREMENT)
    with workplace.engine() as engine:

        def ours() -> float:
            return statistics.median(workplace.execute(engine, plan).timings_s["reset"] for _ in range(_TIMES))

        workplace.execute(engine, plan)
        # What the worker holds is the largest image that there is: that of pandas.
        images = (workplace.home / "images").glob("*/*/memory")
        size = max(path.stat().st_size for path in images)
        command = [str(find_node().binary), str(Path(__file__).parent / "memcpy.mjs"), str(size), str(_TIMES)]

        def memcpy() -> float:
            return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

        sides = take_turns(
            workplace.scale.rounds, [Contestant(name="ours", measure=ours), Contestant(name=MEMCPY, measure=memcpy)]
        )
    return Row(name="reset", unit=Unit.SECONDS, sides=sides, note=f"pandas groupby, {size / 1e6:.0f} MB of memory")

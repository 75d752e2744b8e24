"""`make bench`: ratios measured side by side in one run, written to bench/RESULTS.md, and judged by the goals.

Exit code 1 says that a goal was missed or not measured, or that a measurement broke off. Linux only: peaks of memory
are read from /proc.
"""

from __future__ import annotations

import argparse
import platform
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from bench.comparison import Row
from bench.goals import GOALS, judge_all
from bench.registry import MEASUREMENTS, Measurement, choose
from bench.report import Setting, results_text, row_lines, summary
from bench.scale import full, quick
from bench.workplace import CORES, Workplace
from runtime.node_client import find_node
from runtime.release import PYODIDE_VERSION
from storage.errors import BacalhauError

RESULTS = Path(__file__).parent / "RESULTS.md"


def main() -> int:
    """Measure what was asked for, write it down, judge it."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, _stop)  # so that what was started is ended
    chosen = choose(arguments.only)
    scale = quick() if arguments.quick else full(arguments.rounds)
    with (
        tempfile.TemporaryDirectory(prefix="bacalhau-bench-") as name,
        closing(Workplace(Path(name), scale)) as workplace,
    ):
        measured = _measure(workplace, chosen)
        versions = _versions(workplace)
    names = {row for measurement in chosen for row in measurement.rows}
    outcomes = judge_all([goal for goal in GOALS if goal.row in names], measured.rows, CORES)
    setting = Setting(machine=_machine(), versions=versions, rounds=scale.rounds, is_reduced=scale.is_reduced)
    text = results_text(setting, measured.rows, outcomes, measured.sections, measured.failures)
    print(text)
    if chosen == MEASUREMENTS:
        RESULTS.write_text(text)
    print(summary(outcomes))
    return 1 if measured.failures or any(outcome.fails for outcome in outcomes) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one round, small sizes")
    parser.add_argument("--rounds", type=int, default=5, help="of a full run (default: 5)")
    names = ", ".join(measurement.name for measurement in MEASUREMENTS)
    parser.add_argument(
        "--only",
        nargs="+",
        default=[],
        metavar="ROW",
        help=f"rows whose names begin so; RESULTS.md stays as it is. There are {names}",
    )
    arguments = parser.parse_args()
    try:
        choose(arguments.only)
    except ValueError as error:
        parser.error(str(error))
    if arguments.rounds < 1:
        parser.error("--rounds must be at least 1")
    return arguments


@dataclass(slots=True)
class _Measured:
    """What has been measured so far."""

    rows: list[Row] = field(default_factory=list)
    sections: list[str] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)
    """Measurements that broke off, each with the reason."""


def _measure(workplace: Workplace, chosen: Sequence[Measurement]) -> _Measured:
    """Measure one thing after the other; what breaks off is told, and the others go on."""
    measured = _Measured()
    for measurement in chosen:
        begin = time.perf_counter()
        try:
            result = measurement.measure(workplace)
        except (RuntimeError, OSError, ValueError, subprocess.SubprocessError, BacalhauError) as error:
            traceback.print_exc()
            measured.failures.append((measurement.name, " ".join(str(error).split())))
            continue
        if isinstance(result, str):
            measured.sections.append(result)
        new = result if isinstance(result, tuple) else [result] if isinstance(result, Row) else []
        measured.rows += new
        _say(f"{measurement.name} ({time.perf_counter() - begin:.0f} s)")
        for row in new:
            _say("\n".join(row_lines(row)))
    return measured


def _machine() -> str:
    model = ""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = f", {line.partition(':')[2].strip()}"
            break
    return f"{platform.machine()}{model}, {CORES} cores, Linux {platform.release()}"


def _versions(workplace: Workplace) -> str:
    own = f"Python {platform.python_version()}, Node {find_node().version}, Pyodide {PYODIDE_VERSION}"
    return ", ".join([own, *workplace.others()])


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _stop(_signal: int, _frame: object) -> NoReturn:
    sys.exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())

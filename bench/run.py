"""`make bench`: ratios measured side by side in one run, written to bench/RESULTS.md, and judged by the goals.

Exit code 1 says that a goal was missed or not measured. Linux only: peaks of memory are read from /proc.
"""

from __future__ import annotations

import argparse
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
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
        rows, sections = _measure(workplace, chosen)
        versions = _versions(workplace)
    names = {row for measurement in chosen for row in measurement.rows}
    outcomes = judge_all([goal for goal in GOALS if goal.row in names], rows, CORES)
    setting = Setting(machine=_machine(), versions=versions, rounds=scale.rounds, is_reduced=scale.is_reduced)
    text = results_text(setting, rows, outcomes, sections)
    print(text)
    if chosen == MEASUREMENTS:
        RESULTS.write_text(text)
    print(summary(outcomes))
    return 1 if any(outcome.fails for outcome in outcomes) else 0


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


def _measure(workplace: Workplace, chosen: Sequence[Measurement]) -> tuple[list[Row], list[str]]:
    rows: list[Row] = []
    sections: list[str] = []
    for measurement in chosen:
        begin = time.perf_counter()
        result = measurement.measure(workplace)
        if isinstance(result, str):
            sections.append(result)
        new = result if isinstance(result, tuple) else [result] if isinstance(result, Row) else []
        rows += new
        _say(f"{measurement.name} ({time.perf_counter() - begin:.0f} s)")
        for row in new:
            _say("\n".join(row_lines(row)))
    return rows, sections


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

"""Every counted limit is an outcome, and the same one on every engine: output, exit code, fuel and memory."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.engine import Plan
from runtime.engine_host import EngineHost, find_host
from runtime.plan import make_plan
from tests.integration.conftest import House, Outcome, assert_same_machine
from tests.integration.limit_rows import OUT_OF_FUEL, OUTPUT_EXCEEDED, ROWS, Row
from tests.integration.test_engines import BINARIES, aarch64, other_engine

# Runs of one row share a test process, so that what they are compared with runs once.
NAMES = [pytest.param(name, marks=pytest.mark.xdist_group(f"limit {name}")) for name in ROWS]
ENGINES = ["node-24", *sorted(BINARIES)]
pytestmark = pytest.mark.integration


class Bench:
    """Runs rows; remembers what each left on Node 24, so that other runs can be compared with it."""

    def __init__(self, house: House) -> None:
        self.house = house
        self._first: dict[str, Outcome] = {}

    def first(self, name: str) -> Outcome:
        if name not in self._first:
            self._first[name] = self.house.execute(self._plan(ROWS[name]))
        return self._first[name]

    def again(self, name: str, host: EngineHost) -> Outcome:
        engine = dataclasses.replace(self.house.engine, host=host)
        return self.house.replaced(engine=engine).execute(self.first(name).plan)

    def _plan(self, row: Row) -> Plan:
        files: dict[str, str | bytes] = {"function.py": row.source}
        if row.requirements:
            files["requirements.txt"] = row.requirements
        plan = self.house.plan(files, fuel=row.fuel, memory=row.memory, timeout_s=600.0)
        return plan if row.output is None else self._with_output_limit(plan, row.output)

    def _with_output_limit(self, plan: Plan, output: int) -> Plan:
        limits = dataclasses.replace(plan.input.limits, output=output)
        input_ = dataclasses.replace(plan.input, limits=limits)
        store, wall_clock_s = self.house.store, plan.wall_clock_s
        return make_plan(plan.function, input_, plan.lock, store=store, wall_clock_s=wall_clock_s)


@pytest.fixture(scope="module")
def bench(
    session_home: Any, session_store: Any, tmp_path_factory: pytest.TempPathFactory, caches: Any
) -> Iterator[Bench]:
    with House(session_store, session_home, tmp_path_factory.mktemp("limits"), caches) as house:
        yield Bench(house)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_an_outcome(bench: Bench, name: str) -> None:
    row, outcome = ROWS[name], bench.first(name)
    assert outcome.exit_code == row.exit_code, outcome.stderr
    assert outcome.stdout.startswith("begun\n")
    assert outcome.stderr.endswith(row.says)
    assert outcome.bytes("result") == b""
    if row.exit_code == OUT_OF_FUEL:
        assert outcome.execution.fuel == row.fuel
    if row.exit_code == OUTPUT_EXCEEDED:
        assert outcome.names("outputs/outputs") == []


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", NAMES)
def test_it_is_the_same_outcome(bench: Bench, name: str, engine: str) -> None:
    host = find_host("node") if engine == "node-24" else other_engine(engine)
    assert_same_machine(bench.again(name, host), bench.first(name))


@pytest.mark.parametrize("name", [parameter for parameter in NAMES if parameter.values[0] == "loop"])
def test_it_is_the_same_outcome_on_aarch64(bench: Bench, name: str) -> None:
    assert_same_machine(bench.again(name, aarch64()), bench.first(name))


def test_fuel_is_an_option_and_running_out_is_agreed(tmp_path: Path) -> None:
    code = "print('begun', flush=True)\nwhile True: pass"
    command = ["run", "python", "--deterministic", "-c", code, "--fuel", "100000000", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "bacalhau", *command],
        env={**os.environ, "BACALHAU_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    report = json.loads(done.stdout)
    assert (done.returncode, report["exit_code"], report["verdict"]) == (3, OUT_OF_FUEL, "agreed")
    assert report["fuel"] == 100_000_000
    assert report["stdout"] == "begun\n"
    assert len(report["receipts"]) == 3
    assert {receipt["state_digest"] for receipt in report["receipts"]} == {report["state_digest"]}
    assert {receipt["output"] for receipt in report["receipts"]} == {report["output"]}

"""Two executions of one task, one of them on a machine that fails once at a random moment: the line named is right."""

import json
import os
import random

import pytest

from runtime.divergence.executions import Side, part_by_fuel, part_by_line
from storage.blocks import OverlayBlockStore
from storage.unixfs_read import UnixfsReader
from tests.integration.faulty_engine import EPOCH, faulty_engine

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("divergence")]

CLOCKED = """
import time

def stamp(log):
    now = time.time_ns()
    log.append((5, now))

def measure(log, values):
    began = time.monotonic_ns()
    total = sum(values)
    ended = time.perf_counter_ns()
    log.append((9, began))
    log.append((11, ended))
    return total

def main(data):
    log, rows = [], []
    for number in range(4):
        if number % 2:
            stamp(log)
        rows.append(measure(log, range(number)))
    return {"log": log, "rows": rows}
"""


def log_of(side, store):
    execution = side.execute(store)
    reader = UnixfsReader(store)
    return json.loads(reader.read_bytes(reader.resolve(execution.output, "result"), 1 << 20))["log"]


@pytest.fixture
def sides(house, tmp_path, monkeypatch):
    """Return both sides for a clock that is wrong at a reading."""
    made = []

    def make(reading):
        faulty = faulty_engine(house.engine, tmp_path / f"faulty-{reading}", reading, monkeypatch)
        made.append(faulty)
        plan = house.plan(CLOCKED, epoch=EPOCH)
        return Side(plan, house.engine), Side(plan, faulty)

    yield make
    for engine in made:
        engine.stop()


def silent(_phrase):
    return None


def test_the_line_is_the_one_whose_reading_was_wrong(sides, house):
    store = OverlayBlockStore(house.store)
    first = sides(0)[0]
    readings = [(line, moment) for line, moment in log_of(first, store)]
    line, moment = random.Random(9).choice(readings[1:])
    reading = (moment % 1_000_000_000) // 1000
    one, two = sides(reading)
    wrong = [a[0] for a, b in zip(readings, log_of(two, store), strict=True) if tuple(a) != tuple(b)]
    assert wrong[0] == line  # the fault is where it was put
    parting = part_by_line(one, two, store, silent)
    assert parting is not None
    assert parting.line[:2] == ("function.py", line)
    assert parting.by == "memory"
    name = {5: "now", 9: "began", 11: "ended"}[line]
    assert [what for what, _, _ in parting.variables] == [name]
    (_, a, b) = parting.variables[0]
    assert int(b) - int(a) == 7


@pytest.mark.skipif(
    os.environ.get("BACALHAU_SLOW_TESTS") != "1",
    reason="starts some sixty workers; set BACALHAU_SLOW_TESTS=1 to run it",
)
def test_the_fuel_at_which_they_part(sides, house):
    store = OverlayBlockStore(house.store)
    one, two = sides(9)
    spent = one.execute(store).fuel
    fuel = part_by_fuel(one, two, spent + 1, store, silent)
    assert 0 < fuel <= spent
    assert one.at_fuel(fuel - 1, store) == two.at_fuel(fuel - 1, store)
    assert one.at_fuel(fuel, store) != two.at_fuel(fuel, store)


def test_executions_that_agree_do_not_part(house):
    plan = house.plan("def main(data):\n    return sum(range(9))\n")
    side = Side(plan, house.engine)
    assert part_by_line(side, side, OverlayBlockStore(house.store), silent) is None


def test_other_arguments_part_where_a_variable_is_first_another(house):
    source = """
def main(data, scale):
    values = [1, 2, 3]
    total = 0
    for value in values:
        total += value if value < 3 else value * scale
    return total
"""
    sides = [Side(house.plan(source, args=(f"scale={scale}",)), house.engine) for scale in (1, 2)]
    parting = part_by_line(*sides, OverlayBlockStore(house.store), silent)
    assert parting.by == "variables"
    assert parting.variables == (("scale", "1", "2"),)

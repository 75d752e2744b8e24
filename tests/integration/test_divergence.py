"""Two executions of one task, one of them on a machine that fails once at a drawn moment: the line named is right."""

import json
import random

import pytest

from runtime.divergence.executions import Side, part_by_fuel, part_by_line
from storage.blocks import OverlayBlockStore
from storage.unixfs_read import UnixfsReader
from tests.integration.faulty_engine import EPOCH, faulty_engine

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("divergence")]

SLOW = pytest.mark.slow("starts tens of workers")

# Every reading of the clock is noted with a name, and its line ends in that name.
READINGS = {
    "function.py": """
import functools
import time
at_first = time.time_ns()  # before imports
import rows
after_import = time.monotonic_ns()  # after an import
LOG = rows.LOG
LOG.append(("before imports", at_first))
LOG.append(("after an import", after_import))

class Gauge:
    made = time.time_ns()  # class body
    LOG.append(("class body", made))

    def __init__(self, name):
        self.name, self.marks = name, []

    def mark(self):
        now = time.perf_counter_ns()  # method
        self.marks.append(now)
        LOG.append(("method", now))

    @property
    def age(self):
        return note("property", time.time_ns())  # property

    def __enter__(self):
        LOG.append(("enter", time.time_ns()))  # enter
        return self

    def __exit__(self, *_):
        LOG.append(("exit", time.time_ns()))  # exit

def note(name, moment):
    LOG.append((name, moment))
    return moment

def doubled(function):
    @functools.wraps(function)
    def both(*values):
        note("decorator", time.time_ns())  # decorator
        return function(*values), function(*values)
    return both

@doubled
def stamp(number):
    return number, note("decorated", time.monotonic_ns())  # decorated

def steps(count):
    for number in range(count):
        moment = time.time_ns()  # generator
        yield note("generator", moment) * number

def risky(number):
    try:
        note("try", time.time_ns())  # try
        return 10 // number
    except ZeroDivisionError:
        return note("except", time.time_ns())  # except
    finally:
        note("finally", time.time_ns())  # finally

def main(data):
    total = 0
    for number in range(5):
        if number % 2:
            moment = time.time_ns()  # loop
            note("loop", moment)
        total += sum(step % 7 for step in steps(number))
    marks = [note("comprehension", time.time_ns()) % 5 for _ in range(4)]  # comprehension
    spread = {
        str(number):
            note("spread out", time.monotonic_ns())  # spread out
        for number in range(3)
        if number != 1
    }
    with Gauge("g") as gauge:
        gauge.mark()
        total += gauge.age % 3
        gauge.mark()
    ordered = sorted("cab", key=lambda letter: (note("key", time.time_ns()) and letter))  # key
    stamp(3)
    import late
    total += late.weigh(range(3))
    note(
        "argument",
        time.time_ns(),  # argument
    )
    while total > 40:
        total -= note("while", time.perf_counter_ns()) % 3 + 9  # while
    return {"log": LOG, "rest": [risky(number) and 1 for number in (2, 0)], "marks": marks, "spread": spread,
            "ordered": ordered, "total": total}
""",
    "rows.py": """
import time
LOG = []
LOG.append(("helper import", time.time_ns()))  # helper import
""",
    "late.py": """
from time import time_ns
from rows import LOG

LOADED = time_ns()  # late import
LOG.append(("late import", LOADED))

def weigh(values):
    found = 0
    for value in values:
        moment = time_ns()  # helper loop
        LOG.append(("helper loop", moment))
        found += value * (moment % 10)
    return found
""",
}
DRAWN = random.Random(61)
FAULTS = [DRAWN.random() for _ in range(24)]
"""Which readings are wrong, as parts of all of them. The first is tried always."""
FEW = 1


def place_of(name):
    """Return the file and line of a reading."""
    lines = [(file, text) for file, source in READINGS.items() for text in enumerate(source.splitlines(), 1)]
    (found,) = [(file, number) for file, (number, text) in lines if text.endswith(f"  # {name}")]
    return found


def log_of(side, store):
    execution = side.execute(store)
    reader = UnixfsReader(store)
    assert reader.read_bytes(reader.resolve(execution.output, "stderr"), 1 << 20) == b""
    return json.loads(reader.read_bytes(reader.resolve(execution.output, "result"), 1 << 20))["log"]


@pytest.fixture
def sides(house, tmp_path, monkeypatch):
    """Return both sides for a clock that is wrong at a reading."""
    made = []

    def make(reading):
        faulty = faulty_engine(house.engine, tmp_path / f"faulty-{reading}", reading, monkeypatch)
        made.append(faulty)
        plan = house.plan(READINGS, epoch=EPOCH)
        return Side(plan, house.engine), Side(plan, faulty)

    yield make
    for engine in made:
        engine.stop()


def silent(_phrase):
    return None


@pytest.fixture(scope="module")
def readings():
    """What a sound machine reads, by name; filled by the first test that looks."""
    return []


@pytest.mark.parametrize(
    "fault", [fault if n < FEW else pytest.param(fault, marks=SLOW) for n, fault in enumerate(FAULTS)]
)
def test_the_line_is_the_one_whose_reading_was_wrong(sides, house, readings, fault):
    store = OverlayBlockStore(house.store)
    readings = readings or log_of(sides(0)[0], store)
    name, moment = readings[int(fault * len(readings))]
    one, two = sides((moment % 1_000_000_000) // 1000)
    wrong = next((a, b) for a, b in zip(readings, log_of(two, store), strict=True) if a != b)
    assert wrong == ([name, moment], [name, moment + 7])  # the fault is where it was put
    parting = part_by_line(one, two, store, silent)
    assert parting is not None
    assert (name, *parting.line[:2]) == (name, *place_of(name))
    assert parting.by == "memory"
    if name in ("loop", "method", "generator", "helper loop", "late import"):  # it is bound to a name at once
        ((_, a, b),) = parting.variables
        assert int(b) - int(a) == 7


@SLOW
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

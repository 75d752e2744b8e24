"""Where executions part, over programs that are made up: an engine that plays lines, memory and fuel."""

import json
import random
import zlib
from dataclasses import dataclass

import pytest

from runtime.divergence.executions import Side, part_by_fuel, part_by_line
from runtime.request import Request
from storage.blocks import MemoryBlockStore, OverlayBlockStore
from storage.errors import UnavailableError
from tests.unit.bacalhau.fakes import FakeEngine, Gave, fake_prepare

LINES = 40


@dataclass
class Program:
    """Executes a line for each event; from `fault` on its memory is another, from `shows` on a variable is."""

    fault: int = 1 << 30
    shows: int = 1 << 30
    lines: int = LINES
    report: object = None

    def engine(self):
        return FakeEngine(self.run)

    def run(self, _number, plan, _store):
        settings = plan.input.args.get("settings")
        if settings is None:
            fuel = min(plan.input.limits.fuel or 1 << 30, self.lines)
            return Gave(state_digest=f"{(fuel >= self.fault and 'f' * 8) or ''}{fuel:032x}".rjust(64, "0"))
        lines = settings["lines"]
        event = min(lines["stop"] or self.lines, self.lines)
        texts = [json.dumps([*self.at(n), zlib.crc32(repr(self.seen(n)).encode())]) for n in range(1, self.lines + 1)]
        head = {"events": event, "at": self.at(event), "before": self.at(event - 1) if event > 1 else ["", 0, ""]}
        head["variables"] = self.seen(event) if lines["stop"] else {}
        text = "\n".join([json.dumps(head), *texts[: lines["trace"]]]) if self.report is None else self.report
        digest = f"{(event >= self.fault and 1) or 0}{event:032x}".rjust(64, "0")
        return Gave(state_digest=digest, outputs={"../bacalhau-watch/lines": text.encode()})

    def at(self, event):
        return ["function.py", 100 + event, "main"]

    def seen(self, event):
        return {"n": str(event), "total": "wrong" if event >= self.shows else "right"}


@pytest.fixture
def part(monkeypatch):
    import tests.unit.bacalhau.fakes as fakes

    def output_of(store, gave):
        # The fake's outputs lie below outputs/outputs; the watch's report does not.
        plain = fakes.TreeBuilder(fakes.Importer(store))
        for name, data in {"result": gave.result, "stdout": b"", "stderr": b"", "exit_code": b"0"}.items():
            plain.add_file(name, data)
        for name, data in gave.outputs.items():
            plain.add_file(f"outputs/{name.removeprefix('../')}", data)
        return plain.finish().cid

    monkeypatch.setattr(fakes, "output_of", output_of)
    kept = MemoryBlockStore()
    nothing = {"engine": None, "progress": None, "report": None, "note": None}
    plan = fake_prepare(Request(code="print(1)"), store=kept, **nothing)

    def sides(one, two):
        return Side(plan, one.engine()), Side(plan, two.engine()), OverlayBlockStore(kept)

    return sides


def silent(_phrase):
    return None


@pytest.mark.parametrize("fault", [2, 3, LINES, *random.Random(1).sample(range(4, LINES), 6)])
def test_the_line_before_the_first_other_memory_is_named(part, fault):
    one, two, store = part(Program(), Program(fault=fault, shows=fault))
    parting = part_by_line(one, two, store, silent)
    assert (parting.event, parting.line, parting.by) == (fault, ("function.py", 99 + fault, "main"), "memory")
    assert parting.variables == (("total", "right", "wrong"),)


def test_a_fault_that_no_variable_shows_is_found(part):
    one, two, store = part(Program(), Program(fault=17))
    parting = part_by_line(one, two, store, silent)
    assert (parting.event, parting.variables) == (17, ())


def test_where_memory_is_another_from_the_beginning_variables_are_compared(part):
    one, two, store = part(Program(), Program(fault=0, shows=23))
    parting = part_by_line(one, two, store, silent)
    assert (parting.event, parting.by) == (23, "variables")


def test_nothing_is_seen_where_nothing_is(part):
    one, two, store = part(Program(), Program())
    assert part_by_line(one, two, store, silent) is None


def test_one_that_ends_before_parts_where_it_ends(part):
    one, two, store = part(Program(), Program(lines=12))
    parting = part_by_line(one, two, store, silent)
    assert (parting.event, parting.line) == (13, ("function.py", 112, "main"))


@pytest.mark.parametrize("fault", [1, 2, 19, LINES])
def test_the_least_fuel_is_found(part, fault):
    one, two, store = part(Program(), Program(fault=fault))
    assert part_by_fuel(one, two, LINES, store, silent) == fault


def test_no_fuel_is_named_where_all_is_the_same(part):
    one, two, store = part(Program(), Program())
    assert part_by_fuel(one, two, LINES, store, silent) is None


@pytest.mark.parametrize(
    "report", ["no json", "[]", '{"events": "x"}', '{"events": 1, "at": ["a"], "variables": {}}', "\n3"]
)
def test_a_report_that_the_function_wrote_itself_is_refused(part, report):
    one, two, store = part(Program(), Program(report=report))
    with pytest.raises(UnavailableError, match="changed by the function"):
        part_by_line(one, two, store, silent)


def test_no_report_is_no_result(part):
    one, two, store = part(Program(), Program(report=""))
    with pytest.raises(UnavailableError, match="left no report"):
        part_by_line(one, two, store, silent)

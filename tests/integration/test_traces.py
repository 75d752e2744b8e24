"""Tasks that try to leave a trace, one after the other in one worker, and what the next task finds.

Beside `test_reuse.py`, the function has a package, so that its image holds what it imports; its worker goes through all
traces without rest, and backward again; and a weakened host shows that a trace which is left is noticed.
"""

import dataclasses
import shutil
from pathlib import Path

import pytest

import js_host
from runtime.pool_capacity import PoolCapacity
from runtime.worker_pool import WorkerPool
from tests.integration.conftest import House, Outcome, assert_same_machine

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("traces")]

FOLDER = Path(__file__).parent / "traces"
FUNCTION = {
    **{path.name: path.read_bytes() for path in sorted(FOLDER.glob("*.py"))},
    "requirements.txt": b"regex\n",
}

REPLACED = {
    *("callbacks_many", "symbols_of_the_host", "extension_loaded", "output_too_large", "memory_grown"),
    *("memory_grown_and_freed", "ended_at_once", "aborted", "trapped", "endless"),
}
"""Traces after which the worker is ended; after all others it is put back."""

TRACES = [text.partition("(")[0] for text in FUNCTION["leaving.py"].decode().split("\n@trace\ndef ")[1:]]

FAILS = {
    "exception_raised": 1, "exception_that_holds": 1, "recursion_without_end": 1, "ended_by_number": 7,
    "ended_by_text": 1, "out_of_memory": 137, "output_too_large": 153, "ended_at_once": 9, "aborted": 134,
    "trapped": 139, "endless": 152,
}  # fmt: skip
"""How traces end that do not end well; one that failed in another way would leave nothing."""

OUTPUT_BYTES = 1 << 17
FUEL = 1_000_000_000


class Used:
    """An engine with room for one worker, and tasks of one function in it."""

    def __init__(self, house: House, *, keeps_workers: bool = True) -> None:
        pool = WorkerPool(capacity=PoolCapacity(workers=1, memory_bytes=4 << 30), idle_timeout_s=600.0)
        engine = dataclasses.replace(house.engine, keeps_workers=keeps_workers, pool=pool)
        self.house = house.replaced(engine=engine)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.house.engine.stop()

    def run(self, trace: str = "", *, skip: str = "", function=FUNCTION, **request) -> Outcome:
        """Run a task. The seed is given, so that all tasks draw the same."""
        args = tuple(f"{name}={value}" for name, value in (("trace", trace), ("skip", skip)) if value)
        fuel = FUEL if trace == "endless" else None
        plan = self.house.plan(function, **{"args": args, "seed": "07", "fuel": fuel, **request})
        limits = dataclasses.replace(plan.input.limits, output=OUTPUT_BYTES)
        return self.house.execute(dataclasses.replace(plan, input=dataclasses.replace(plan.input, limits=limits)))

    @property
    def started(self) -> int:
        return self.house.engine.pool.stats().started


@pytest.fixture(scope="module")
def home(session_home, session_store, tmp_path_factory, caches):
    with House(session_store, session_home, tmp_path_factory.mktemp("scratch"), caches) as house:
        yield house


@pytest.fixture(scope="module")
def fresh(home):
    """What is found by a task that has its process to itself."""
    with Used(home, keeps_workers=False) as alone:
        found = alone.run()
    assert found.exit_code == 0, found.stderr
    return found


def test_no_trace_is_left(home, fresh):
    with Used(home) as used:
        assert_same_machine(used.run(), fresh)
        left = {}
        for trace in TRACES:
            before = used.started
            left[trace] = used.run(trace)
            assert left[trace].exit_code == FAILS.get(trace, 0), f"{trace}: {left[trace].stderr}"
            assert_same_machine(used.run(), fresh)
            assert used.started - before == (trace in REPLACED), trace
        kept = used.started
        for trace in reversed([trace for trace in TRACES if trace not in REPLACED]):
            assert_same_machine(used.run(trace), left[trace])
        assert_same_machine(used.run(), fresh)
        assert used.started == kept


def test_exactly_as_much_fuel_is_enough_in_a_used_worker(home, fresh):
    fuel = fresh.execution.fuel
    with Used(home) as used:
        used.run("module_globals")
        assert used.run(fuel=fuel).execution.output == fresh.execution.output
        assert used.run(fuel=fuel - 1000).exit_code == 152
        assert used.run(fuel=fuel).state_digest == fresh.state_digest


def test_modules_of_an_image_serve_again(home):
    """A compiled module that is loaded with the image is there for every task, as it was."""
    source = r"""
import regex

def main(data, words="some words"):
    found = [match.span() for match in regex.finditer(r"(?i)[^ ]+", words)]
    return [found, id(object()), regex.cache_all()]
"""
    function = {"function.py": source, "requirements.txt": "regex\n"}
    with Used(home, keeps_workers=False) as alone:
        first = alone.run(function=function)
    assert first.exit_code == 0, first.stderr
    with Used(home) as used:
        used.run(function=function, args=("words=one two three",))
        for _ in range(2):
            assert_same_machine(used.run(function=function), first)
        assert used.started == 1


WEAKENED = {
    "memory": ("pristine.mjs", "  reset(memory, changed) {\n", 'if (globalThis.skip === "memory") return true;\n'),
    "slots": ("pristine.mjs", "  for (const slot of table.changed) Module", 'if (globalThis.skip !== "slots")'),
    "free slots": ("pristine.mjs", "  free.splice(0, free.length", 'if (globalThis.skip !== "free slots")'),
    "protocols": ("file_system.mjs", "  Object.assign(Protocols", 'if (globalThis.skip !== "protocols")'),
    "names": ("file_system.mjs", "  DNS.address_map =", 'if (globalThis.skip !== "names")'),
    "inodes": ("file_system.mjs", "  FS.staticInit();", 'if (globalThis.skip === "inodes") FS.nextInode = 7;\n'),
    "clock": ("world.mjs", "    this.clock.reset", 'if (globalThis.skip !== "clock")'),
    "entropy": ("world.mjs", "    this.entropy.reset", 'if (globalThis.skip !== "entropy")'),
    "links": ("pristine.mjs", "  if (world.hasLinked) return", 'if (globalThis.skip !== "links")'),
}
"""Steps of the way back that a host forgets if the task before says so: file, and what it does before which text."""

LEAVES = [
    ("module_globals", ""), ("module_globals", "memory"), ("callbacks_kept", "free slots"),
    ("protocols_asked", "protocols"), ("names_resolved", "names"), ("files_written", "inodes"),
    ("time_passed", "clock"), ("randomness_seeded", "entropy"),
]  # fmt: skip
"""Tasks, and what is forgotten after them; nothing is the control."""


@pytest.fixture
def weakened(home, monkeypatch, tmp_path):
    """A house whose runtime forgets what it is told to forget."""
    folder = tmp_path / "js_host"
    shutil.copytree(js_host.HOST_DIR, folder)
    steps = [
        *WEAKENED.values(),
        ("worker.mjs", "  parent.release();\n", "globalThis.skip = JSON.parse(task.guest).args.skip;\n"),
    ]
    for name, text, before in steps:
        path = folder / name
        source = path.read_text("utf-8")
        assert source.count(text) == 1, f"{name} has changed: {text}"
        changed = source.replace(text, text + before) if text.endswith("{\n") else source.replace(text, before + text)
        path.write_text(changed, "utf-8")
    manifest = js_host.npm_manifest_dir()
    monkeypatch.setattr(js_host, "npm_manifest_dir", lambda: manifest)
    monkeypatch.setattr(js_host, "HOST_DIR", folder)
    return home


def test_a_trace_that_is_left_is_noticed(weakened):
    with Used(weakened) as used:
        found = used.run()
    for trace, skip in LEAVES:
        with Used(weakened) as used:
            used.run(trace, skip=skip)
            after = used.run()
            assert used.started == 1, skip
        is_same = (after.execution.output, after.state_digest) == (found.execution.output, found.state_digest)
        assert is_same == (skip == ""), (skip, after.result)
    with Used(weakened) as used:
        first, again = (used.run("symbols_of_the_host", skip="links") for _ in range(2))
        assert used.started == 1
        assert first.state_digest != again.state_digest
    with Used(weakened) as used:
        used.run("callbacks_kept", skip="slots")
        used.run()
        assert used.started == 2  # the worker has looked, and has seen it itself

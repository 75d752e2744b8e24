"""Deep recursion ends where the guest's own stack does, on every engine: result, RecursionError, or exit code 139."""

from __future__ import annotations

import dataclasses
import json
import textwrap
from typing import Any

import pytest

from tests.integration.conftest import House, assert_same_machine
from tests.integration.test_engines import BINARIES, other_engine

pytestmark = pytest.mark.integration

TRAPPED = 139

SOURCE = textwrap.dedent("""
    import copy, functools, itertools, json, pickle, re, sys
    import xml.etree.ElementTree as xml

    def nest(start, wrap, n):
        for _ in range(n): start = wrap(start)
        return start

    def lists(n): return nest([], lambda x: [x], n)

    class Deleted:
        def __init__(self, inner): self.inner = inner
        def __del__(self): pass

    class Attributes:
        def __getattr__(self, name): return getattr(self, name)

    def caused(error):
        outer = ValueError()
        outer.__cause__ = error
        return outer

    def key(x): return sorted([1, 2], key=key)

    def call_partial(): return partial()
    partial = functools.partial(call_partial)

    def kept_partial(inner):
        outer = functools.partial(inner)
        outer.kept = True  # or partials of partials become one
        return outer

    def generator(n): yield from generator(n - 1) if n else [7]

    def compared(n): return lists(n) == lists(n)

    def freed(start, wrap, n):
        nest(start, wrap, n)
        return "freed"

    ROWS = {
        "json": lambda: len(json.dumps(json.loads("[" * 100_000 + "]" * 100_000))),
        "json, too deep": lambda: json.loads("[" * 1_000_000 + "]" * 1_000_000),
        "repr": lambda: len(repr(lists(20_000))),
        "equality": lambda: compared(100_000),
        "regular expression": lambda: re.match("(" * 1000 + "a" + ")" * 1000, "a").group(),
        "xml": lambda: len(xml.tostring(xml.fromstring("<a>" * 20_000 + "</a>" * 20_000))),
        "generators": lambda: list(generator(50_000)),
        "deepcopy": lambda: len(copy.deepcopy(lists(10_000))),
        "pickle": lambda: pickle.dumps(lists(100_000)),
        "partial": partial,
        "sorted": lambda: key(1),
        "getattr": lambda: Attributes().x,
        "compile": lambda: compile("-" * 100_000 + "1", "x", "eval"),
        "freeing lists": lambda: freed([], lambda x: [x], 3_000_000),
        "freeing tuples": lambda: freed((), lambda x: (x,), 1_000_000),
        "freeing maps": lambda: freed(iter([1]), lambda x: map(abs, x), 1_000_000),
        "freeing partials": lambda: freed(abs, kept_partial, 100_000),
        "freeing objects with __del__": lambda: freed(None, Deleted, 300_000),
        "freeing exceptions": lambda: freed(None, caused, 300_000),
        "next of map": lambda: next(nest(iter([-1]), lambda x: map(abs, x), 100_000)),
        "next of chain": lambda: next(nest(iter([1]), itertools.chain, 50_000)),
        "trap: next of map": lambda: next(nest(iter([1]), lambda x: map(abs, x), 1_000_000)),
        "trap: next of zip": lambda: next(nest(iter([1]), zip, 1_000_000)),
        "trap: next of chain": lambda: next(nest(iter([1]), itertools.chain, 1_000_000)),
    }

    def main(data, only=None):
        sys.setrecursionlimit(10**9)
        said = {}
        for name, row in ROWS.items():
            if name != only and (only or name.startswith("trap")): continue
            print(name)
            try: said[name] = row()
            except (RecursionError, MemoryError) as error: said[name] = type(error).__name__
        return said
    """)

ENDS = {
    "json": 200_000,
    "json, too deep": "RecursionError",
    "repr": 40_002,
    "equality": True,
    "regular expression": "a",
    "xml": 139_998,
    "generators": [7],
    "deepcopy": 1,
    "pickle": "RecursionError",
    "partial": "RecursionError",
    "sorted": "RecursionError",
    "getattr": "RecursionError",
    "compile": "MemoryError",
    "freeing lists": "freed",
    "freeing tuples": "freed",
    "freeing maps": "freed",
    "freeing partials": "freed",
    "freeing objects with __del__": "freed",
    "freeing exceptions": "freed",
    "next of map": 1,
    "next of chain": 1,
}
TRAPS = ("trap: next of map", "trap: next of zip", "trap: next of chain")
MEMORY = "1Gb"


@pytest.fixture(scope="module")
def here(session_store: Any, session_home: Any, tmp_path_factory: Any, caches: Any) -> Any:
    with House(session_store, session_home, tmp_path_factory.mktemp("scratch"), caches) as house:
        return house.run(SOURCE, memory=MEMORY, timeout_s=300.0)


def test_recursion_through_c_ends_in_pythons_own_terms(here: Any) -> None:
    assert (here.exit_code, here.stderr) == (0, "")
    assert json.loads(here.result) == ENDS


@pytest.mark.parametrize("trap", TRAPS)
def test_what_python_does_not_check_is_a_trap_and_an_outcome(house: Any, trap: str) -> None:
    outcome = house.run(SOURCE, args=(f"only={trap}",), memory=MEMORY)
    assert (outcome.exit_code, outcome.stdout, outcome.result) == (TRAPPED, f"{trap}\n", "")


@pytest.mark.parametrize("engine", sorted(BINARIES))
def test_every_engine_ends_recursion_at_the_same_place(house: Any, here: Any, engine: str) -> None:
    host = other_engine(engine)
    trap = house.plan(SOURCE, args=(f"only={TRAPS[0]}",), memory=MEMORY, timeout_s=300.0)
    trapped_here = house.execute(trap)
    house.engine = dataclasses.replace(house.engine, host=host)
    assert_same_machine(house.execute(here.plan), here)
    assert_same_machine(house.execute(trap), trapped_here)

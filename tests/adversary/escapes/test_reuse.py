"""What a task leaves for the next one of its worker: nothing that is found, or no worker."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from tests.adversary.escapes.attempt import same_worker
from tests.adversary.escapes.side_module import TO_INT, side_module, wheel, with_wheel
from tests.integration.conftest import House, Outcome

pytestmark = pytest.mark.integration

LEAVE: Final = """
import builtins, gc, json, os, random, signal, socket, sys

def main(data):
    met = {
        "python": [hasattr(builtins, "left"), "left" in sys.modules, sys.getrecursionlimit(), "LEFT" in os.environ],
        "files": [os.path.exists(path) for path in ("/tmp/left", "/work/left", "/outputs/left")],
        "place": [os.getcwd(), os.dup(1), os.stat("/tmp").st_ino],
        "name": socket.gethostbyname("a.example"),
        "handler": str(signal.getsignal(signal.SIGUSR1)),
        "collected": len(gc.callbacks),
        "random": random.random(),
    }
    builtins.left = sys.modules["left"] = 1
    os.environ["LEFT"] = "1"
    sys.setrecursionlimit(777)
    for path in ("/tmp/left", "/work/left", "/outputs/left"): open(path, "w").close()
    os.mkdir("/tmp/elsewhere")
    os.chdir("/tmp/elsewhere")
    socket.gethostbyname("b.example")
    signal.signal(signal.SIGUSR1, print)
    gc.callbacks.append(lambda *_: None)
    return met
"""
"""Looks first, and then leaves something in every place that outlives a call."""


def twice(house: House, source: str) -> tuple[Outcome, Outcome]:
    """Execute a plan two times."""
    plan = house.plan(source)
    return house.execute(plan), house.execute(plan)


def test_the_next_task_of_a_worker_finds_nothing(house: Any) -> None:
    first, second = twice(house, LEAVE)
    assert same_worker(first, second)
    assert json.loads(first.result) == json.loads(second.result)
    assert first.state_digest == second.state_digest
    assert first.execution.fuel == second.execution.fuel


def test_without_the_way_back_it_would(without: Any) -> None:
    """The control: memory is what keeps most of it; the guest's files are another tree all the same."""
    first, second = twice(without("reset"), LEAVE)
    met, found = json.loads(first.result), json.loads(second.result)
    assert (met["python"], found["python"]) == ([False, False, 1000, False], [True, True, 777, True])
    assert met["files"] == found["files"]


ENDS: Final = {
    "ends itself": "os._exit(3)",
    "exceeds its output": "print('x' * (300 << 20))",
    "traps": r"f = lambda: 1; f.__code__ = f.__code__.replace(co_consts=(), co_code=b'\x53\xff' * 40); f()",
    "lets memory grow": "return len(bytes(1 << 28))",
    "takes many slots of the table": "import ctypes; k = [ctypes.CFUNCTYPE(None)(print) for _ in range(200)]",
}


@pytest.mark.parametrize("code", ENDS.values(), ids=ENDS)
def test_a_worker_that_cannot_go_back_ends(house: Any, code: str) -> None:
    first, second = twice(house, f"import os\ndef main(data): {code}")
    assert not same_worker(first, second)
    assert (first.exit_code, first.state_digest) == (second.exit_code, second.state_digest)


MUTABLE: Final = b"\3\x7f\1"
COUNT: Final = b"\x23\1\x41\1\x6a\x24\1\x23\1"
"""Adds one to the first global behind the memory's base, and returns it."""
HOLDERS: Final = {
    "the loader's global": ("GOT.mem", "kept", MUTABLE),
    "the loader's global of the stack pointer's name": ("GOT.mem", "__stack_pointer", MUTABLE),
}


def counts(house: House, holder: tuple[str, str, bytes]) -> list[int]:
    """Return what a module counts in three executions; it is imported by a statement, and so in the image if it may."""
    module = side_module(COUNT, kind=TO_INT, imports=[holder], data=b"x", data_export=holder[1])
    package = b"import ctypes\nrun = ctypes.CDLL('/lib/python3.14/site-packages/evil/x.so').run\n"
    plan = house.plan("import evil\ndef main(data): return evil.run()")
    plan = with_wheel(plan, wheel({"evil/__init__.py": package, "evil/x.so": module}), house.store)
    return [int(house.execute(plan).result) for _ in range(3)]


@pytest.mark.parametrize("holder", HOLDERS.values(), ids=HOLDERS)
def test_a_module_that_counts_outside_of_memory_begins_anew(house: Any, holder: tuple[str, str, bytes]) -> None:
    assert len(set(counts(house, holder))) == 1


@pytest.mark.parametrize("holder", HOLDERS.values(), ids=HOLDERS)
def test_if_it_were_in_an_image_it_would_count_on(without: Any, holder: tuple[str, str, bytes]) -> None:
    """The control of the one before."""
    first, second, third = counts(without("keepers"), holder)
    assert (second, third) == (first + 1, first + 2)

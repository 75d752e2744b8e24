"""What runs into each limit: source, how it ends, and the limits it runs under."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

OUT_OF_MEMORY: Final = 137
TRAPPED: Final = 139
OUT_OF_FUEL: Final = 152
OUTPUT_EXCEEDED: Final = 153

FUEL: Final = 200_000_000
NUMPY: Final = "numpy==2.4.3\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One function that cannot end well."""

    source: str
    exit_code: int
    fuel: int | None = None
    memory: str = "128Mb"
    output: int | None = None
    """Bytes; None leaves the default of the command line."""
    requirements: str = ""
    says: str = ""
    """End of stderr."""


def _main(*lines: str) -> str:
    """Return a function that says that it has begun and then does what the lines say."""
    return "\n    ".join(("def main(data):", "print('begun', flush=True)", *lines, ""))


def _endless(*lines: str) -> Row:
    return Row(source=_main(*lines), exit_code=OUT_OF_FUEL, fuel=FUEL)


def _bomb(*lines: str, says: str = "MemoryError\n") -> Row:
    return Row(source=_main(*lines), exit_code=OUT_OF_MEMORY, says=says)


def _flood(*lines: str, output: int | None = 1 << 18, memory: str = "128Mb") -> Row:
    return Row(source=_main(*lines), exit_code=OUTPUT_EXCEEDED, output=output, memory=memory)


_UNDEAD = """
class Undead:
    def __del__(self):
        global risen
        risen = Undead()

def main(data):
    global risen
    print('begun', flush=True)
    Undead()
    while True: risen = None
"""

_ENDLESS = {
    "loop": _endless("while True: pass"),
    "loop in except": _endless("while True:", "    try:", "        while True: pass", "    except BaseException: pass"),
    "regex": _endless("import re", "re.match(r'(a+)+$', 'a' * 60 + 'b')"),
    "power": _endless("10 ** 10 ** 8 % 7"),
    "sum": _endless("sum(range(10**12))"),
    "sort": _endless("sorted(range(10**6), key=lambda n: -n)"),
    "count and replace": _endless(
        "text = 'ab' * 2**18", "while True:", "    text.count('aba')", "    text.replace('a', 'cd')"
    ),
    "copies": _endless("block = bytearray(2**24)", "while True: block[: 2**23] = block[2**23 :]"),
    "itertools": _endless("import collections, itertools", "collections.deque(itertools.repeat(1), maxlen=0)"),
    "infinite generator": _endless("def ones():", "    while True: yield 1", "return sum(ones())"),
    "clock": _endless("import time", "while time.time() < 1e12: pass"),
    "lock twice": _endless("import threading", "lock = threading.Lock()", "lock.acquire()", "lock.acquire()"),
    "sleep(0)": _endless(
        "import asyncio", "async def spin():", "    while True: await asyncio.sleep(0)", "return spin()"
    ),
    "timers": _endless(
        "import asyncio",
        "async def wait():",
        "    loop = asyncio.get_running_loop()",
        "    def again(): loop.call_later(1, again)",
        "    again()",
        "    await asyncio.Event().wait()",
        "return wait()",
    ),
    "resurrection": Row(source=_UNDEAD, exit_code=OUT_OF_FUEL, fuel=FUEL),
    "numpy": Row(
        source=_main("import numpy", "m = numpy.ones((128, 128))", "while True: m = m @ m % 7"),
        exit_code=OUT_OF_FUEL,
        fuel=1_000_000_000,
        requirements=NUMPY,
    ),
}

_BOMBS = {
    "list": _bomb("kept = []", "while True: kept.append(bytearray(10**6))"),
    "str": _bomb("text = 'x'", "while True: text = text * 2"),
    # CPython itself traps where a string that is doubled in place finds no room.
    "str in place": Row(source=_main("text = 'x'", "while True: text += text"), exit_code=TRAPPED),
    "dict": _bomb("d = {}", "while True: d.update(dict.fromkeys(range(len(d), 2 * len(d) + 1000)))"),
    "huge": _bomb(
        "for huge in (lambda: 1 << 2**33, lambda: 'x' * 2**30, lambda: [0] * 2**28, lambda: bytearray(2**30)):",
        "    try: raise AssertionError(len(huge()))",
        "    except MemoryError: pass",
        "b'x' * 2**30",
    ),
    "numpy bomb": Row(
        source=_main(
            "import numpy",
            "try: numpy.zeros(2**27)",
            "except MemoryError: kept = []",
            "while True: kept.append(numpy.ones(2**17))",
        ),
        exit_code=OUT_OF_MEMORY,
        memory="192Mb",
        requirements=NUMPY,
        says="Unable to allocate 1.00 MiB for an array with shape (131072,) and data type float64\n",
    ),
}

_FLOODS = {
    "stdout": _flood("while True: print('x' * 1000)"),
    "stderr": _flood("import sys", "while True: print('x' * 1000, file=sys.stderr)"),
    "file": _flood("open('/outputs/file', 'wb').write(bytes(2**19))"),
    "result bytes": _flood("return bytes(2**19)"),
    "result str": _flood("return 'ä' * 2**18"),
    "result json": _flood("deep = [0]", "for _ in range(200): deep = [deep, 'x' * 2000]", "return deep"),
    "files": _flood("import os", "for n in range(100_001): os.mkdir(f'/outputs/{n}')", output=None, memory="192Mb"),
    "levels": _flood("import os", "os.makedirs('/outputs/' + 'd/' * 100)"),
    "name": _flood("open('/outputs/' + 'ä' * 128, 'w').close()"),
    "links": _flood("import os", "for n in range(100): os.symlink('x' * 4000, f'/outputs/{n}')"),
}

ROWS: Final[dict[str, Row]] = {
    **_ENDLESS,
    **_BOMBS,
    **_FLOODS,
    "recursion": Row(
        source=_main("def down(n): return down(n + 1)", "down(0)"),
        exit_code=1,
        says="RecursionError: maximum recursion depth exceeded\n",
    ),
}

"""The Python programs that are measured, and their inputs: each the same text for everyone who runs it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

PANDAS_REQUIREMENT = "pandas==3.0.2"

HELLO_SCRIPT = "print('hello')"
PANDAS_SCRIPT = (
    "import pandas as pd, io\n"
    "frame = pd.read_csv(io.StringIO('k,v\\n' + '\\n'.join(f'{i % 7},{i}' for i in range(20000))))\n"
    "print(frame.groupby('k').v.mean().to_csv())\n"
)

CSV_BYTES = 1_000_000
CSV_VARIANTS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A function `main(data, …)` with an input for every number."""

    name: str
    source: str
    requirements: str = ""
    packages: tuple[str, ...] = ()
    """The same for Pyodide's `loadPackage`."""
    args: Callable[[int], dict[str, Any]] = lambda _number: {}
    data: Callable[[int], bytes] = lambda _number: b""
    """Empty: without input."""


def _json_input(number: int) -> bytes:
    """Return about 10 kB of JSON."""
    rows = [
        {"id": number * 1000 + i, "kind": "abcdefg"[i % 7], "price": i * 0.25, "tags": ["x", "y"]} for i in range(160)
    ]
    return json.dumps(rows).encode()


class _CsvInputs:
    """About 1 MB of CSV; all but the first line is made once.

    There are a few only, so that a long run does not fill the disk; calls differ by an argument as well.
    """

    def __init__(self) -> None:
        self._rest = ""

    def __call__(self, number: int) -> bytes:
        if not self._rest:
            lines: list[str] = []
            size = 0
            while size < CSV_BYTES - 100:
                lines.append(f"{'abcdefg'[len(lines) % 7]},{len(lines) * 7919 % 100003},{len(lines)}\n")
                size += len(lines[-1])
            self._rest = "".join(lines)
        return f"k,v,w\na,{number % CSV_VARIANTS},0\n{self._rest}".encode()


HELLO = Program(
    name="hello",
    source='def main(data, n=0):\n    return {"hello": n}\n',
    args=lambda number: {"n": number},
)

JSON = Program(
    name="json, 10 kB",
    source="""\
import json

def main(data):
    totals = {}
    for row in json.load(data):
        totals[row["kind"]] = totals.get(row["kind"], 0) + row["price"] * len(row["tags"]) + row["id"]
    return json.loads(json.dumps(totals))
""",
    data=_json_input,
)

PANDAS = Program(
    name="pandas, 1 MB",
    source="""\
import pandas as pd

def main(data, n=0):
    return pd.read_csv(data).groupby("k").v.mean().to_dict() | {"n": n}
""",
    requirements=PANDAS_REQUIREMENT,
    packages=("pandas",),
    args=lambda number: {"n": number},
    data=_CsvInputs(),
)

SHARD = Program(
    name="shard",
    source="def main(data, n=0):\n    return n * n\n",
    args=lambda number: {"n": number},
)

TINY_SHARD = Program(
    name="tiny shard",
    source="def main(data):\n    return data.read().decode().upper()\n",
    data=lambda number: f"line {number}\n".encode(),
)

READ_STREAM = Program(
    name="stream",
    source="""\
def main(data):
    n = 0
    for chunk in iter(lambda: data.read(1 << 20), b""):
        n += len(chunk)
    return n
""",
)

"""A lineage of a million records, and how long its questions take: `python -m bench.lineage_rows [RECORDS]`.

The graph is drawn at random from a fixed seed: layers of records, each with one to three parents in the layers just
before it, one of a thousand functions, inputs and outputs of their own; one record in ten thousand is unverified, one
task in ten thousand has two outputs. No blocks are made: the index is what is measured.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bacalhau.graph_view import ancestry, dependents_of, standing_of
from network.lineage_store import Filed, LineageRow, LineageStore, Part
from storage.cid import CID, DAG_CBOR, RAW, make_cid

RECORDS: Final = 1_000_000
_FUNCTIONS: Final = 1000
_REACH: Final = 5000
"""How far back parents are, in records."""
_BATCH: Final = 20_000
_QUESTIONS: Final = 200


def cid_of(kind: str, number: int) -> CID:
    """Return the CID of the thing of that kind and number."""
    return make_cid(RAW if kind in ("data", "output") else DAG_CBOR, f"{kind} {number}".encode())


def filed_records(count: int, seed: int = 0) -> Iterator[Filed]:
    """Yield the records of the graph, parents first."""
    drawn = random.Random(seed)  # noqa: S311  a graph, no secret
    for number in range(count):
        parents = {drawn.randrange(max(0, number - _REACH), number) for _ in range(drawn.randint(1, 3)) if number}
        function = cid_of("function", drawn.randrange(_FUNCTIONS))
        given = cid_of("input", number)
        data = cid_of("output", min(parents)) if parents else cid_of("data", 0)
        # A task of which two records say different things.
        task = number - 1 if number % 10_000 == 1 else number
        row = LineageRow(
            record=cid_of("record", number),
            tier="unverified" if number % 10_000 == 5000 else "verified",
            task=cid_of("task", task),
            function=function,
            input=given,
            output=cid_of("output", number),
            receipts=3,
            dissent=0,
        )
        parts = (
            Part(owner=given, role="data", path="", cid=data),
            Part(owner=function, role="runtime", path="", cid=cid_of("runtime", 0)),
            Part(owner=function, role="wheel", path="w.whl", cid=cid_of("wheel", number % 7)),
            Part(owner=row.output, role="entry", path="result", cid=cid_of("result", number)),
        )
        yield Filed(row=row, parents=tuple(cid_of("record", parent) for parent in parents), parts=parts)


def fill(lineage: LineageStore, count: int) -> None:
    """File the graph."""
    records = filed_records(count)
    while batch := list(islice(records, _BATCH)):
        lineage.file(batch)


def main(count: int) -> None:
    """Make the graph and print the times of its questions in milliseconds."""
    with TemporaryDirectory(prefix="bacalhau-lineage-") as folder:
        path = Path(folder) / "d.sqlite"
        started = time.perf_counter()
        with LineageStore(path) as lineage:
            # Random keys: without room for the upper pages of seven indices, filling takes hours and measures the disk.
            lineage._connection.execute("PRAGMA cache_size = -400000")
            fill(lineage, count)
        size = sum(file.stat().st_size for file in Path(folder).iterdir())
        print(f"{count} records filed in {time.perf_counter() - started:.0f} s, {size >> 20} MiB", flush=True)
        with LineageStore(path) as lineage:
            ask_all(lineage, count)


def ask_all(lineage: LineageStore, count: int) -> None:
    """Print how long each question takes, of records drawn at random."""
    drawn = random.Random(1)  # noqa: S311
    for name, ask in questions(lineage).items():
        spent = []
        for _ in range(_QUESTIONS):
            number = drawn.randrange(count)
            began = time.perf_counter(), time.process_time()
            ask(number)
            spent.append((time.perf_counter() - began[0], time.process_time() - began[1]))
        for kind, times in zip(("wall", "CPU "), zip(*spent, strict=True), strict=True):
            ordered = sorted(1000 * one for one in times)
            middle, high, most = ordered[len(ordered) // 2], ordered[int(0.95 * len(ordered))], ordered[-1]
            print(f"{name:<26} {kind}  median {middle:6.1f} ms   95 % {high:6.1f}   most {most:6.1f}")


def questions(lineage: LineageStore) -> dict[str, Callable[[int], object]]:
    """Return what is asked, by name; each takes the number of a record."""
    return {
        "show, three parents far": lambda n: ancestry([cid_of("record", n)], lineage, depth=3),
        "why, 200 records": lambda n: ancestry([cid_of("record", n)], lineage),
        "standing, 2,000 ancestors": lambda n: standing_of(cid_of("record", n), lineage),
        "standing, 10,000 ancestors": lambda n: standing_of(cid_of("record", n), lineage, limit=10_000),
        "dependents of a record": lambda n: dependents_of(cid_of("record", n), lineage),
        "dependents of an output": lambda n: dependents_of(cid_of("output", n), lineage),
        "dependents of a function": lambda n: dependents_of(cid_of("function", n % _FUNCTIONS), lineage),
        "dependents of a wheel": lambda n: dependents_of(cid_of("wheel", n % 7), lineage),
        "rivals of a task": lambda n: lineage.records("task", cid_of("task", n), limit=4096),
    }


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else RECORDS)

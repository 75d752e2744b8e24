"""`make bench`: ratios measured side by side in one run, written to bench/RESULTS.md.

Times on shared machines mean little; each row therefore compares two things that take turns in the same minute.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import statistics
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from network.embedded import run_embedded
from runtime.engine import Plan
from runtime.node_client import find_node
from runtime.npm_client import pyodide_package
from runtime.prepare import prepare
from runtime.pyodide_engine import PyodideEngine
from runtime.release import PYODIDE_VERSION
from runtime.request import Request
from runtime.wheel_store import WheelCache
from storage.sqlite_block_store import SqliteBlockStore
from storage.unixfs_import import Importer
from verifier.compare import make_rule

HERE = Path(__file__).parent
HELLO = "print('hello')"
PANDAS = (
    "import pandas as pd, io\n"
    "frame = pd.read_csv(io.StringIO('k,v\\n' + '\\n'.join(f'{i % 7},{i}' for i in range(20000))))\n"
    "print(frame.groupby('k').v.mean().to_csv())\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One comparison."""

    what: str
    ours: str
    other: str
    ours_s: tuple[float, ...]
    other_s: tuple[float, ...]

    def line(self) -> str:
        """Return the row as Markdown."""
        ratio = statistics.median(self.ours_s) / statistics.median(self.other_s)
        ours, other = f"{self.ours}: {_spread(self.ours_s)}", f"{self.other}: {_spread(self.other_s)}"
        return f"| {self.what} | {ours} | {other} | {ratio:.2f} |"


def _spread(seconds: tuple[float, ...]) -> str:
    return f"{statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"


def take_turns(rounds: int, ours: Callable[[], object], other: Callable[[], object]) -> tuple[list[float], list[float]]:
    """Time two things alternately, after one unmeasured turn each."""
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(rounds + 1):
        for kept, run in zip(times, (ours, other), strict=True):
            begin = time.perf_counter()
            run()
            if turn:
                kept.append(time.perf_counter() - begin)
    return times


class Bench:
    """The things to measure, over one scratch home."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.store = SqliteBlockStore(home / "blocks.sqlite")
        self.engine = PyodideEngine(runtimes_dir=home / "runtimes", wheels_dir=home / "wheels")
        self.package = pyodide_package(home / "cache")

    def plan(self, code: str, requirements: str) -> Plan:
        """Prepare a script with its packages."""
        file = self.home / "requirements.txt"
        file.write_text(requirements)
        request = Request(code=code, requirements=file)
        return prepare(request, store=self.store, cache_dir=self.home / "cache", engine=self.engine)

    def cold(self, what: str, code: str, requirements: str, rounds: int) -> Row:
        """One execution in a fresh process, ours against plain Pyodide."""
        plan = self.plan(code, requirements)
        cache = WheelCache(self.home / "wheels")
        wheels = []
        for wheel in plan.lock.wheels:
            with cache.open(wheel, self.store) as file:
                wheels.append(file.name)
        script = self.home / "code.py"
        script.write_text(code)
        command = [str(find_node().binary), str(HERE / "plain_pyodide.mjs"), f"{self.package}/", str(script), *wheels]
        ours, other = take_turns(
            rounds,
            lambda: self.engine.execute(plan, self.store),
            lambda: subprocess.run(command, check=True, capture_output=True, cwd=self.package.parent),
        )
        return Row(what=what, ours="sealed", other="plain Pyodide", ours_s=tuple(ours), other_s=tuple(other))

    def verified(self, rounds: int) -> Row:
        """A verified run of three against three bare executions, both on all cores."""
        plan, cores = self.plan(HELLO, ""), os.cpu_count() or 1

        def bare() -> None:
            with ThreadPoolExecutor(cores) as pool:
                list(pool.map(lambda _: self.engine.execute(plan, self.store), range(3)))

        def verified() -> None:
            rule = make_rule(replication=3, confidence=2)
            run_embedded(
                plan, engine=self.engine, store=self.store, keys_dir=self.home / "keys", rule=rule, parallel=cores
            )

        ours, other = take_turns(rounds, verified, bare)
        what = "verified run of three, hello"
        return Row(
            what=what,
            ours="commit, reveal, record",
            other="3 bare executions",
            ours_s=tuple(ours),
            other_s=tuple(other),
        )

    def importing(self, rounds: int) -> Row:
        """UnixFS import into SQLite against hashing the same bytes."""
        file = self.home / "big"
        file.write_bytes(os.urandom(128 << 20))

        def ours() -> None:
            with tempfile.TemporaryDirectory(dir=self.home) as name, SqliteBlockStore(Path(name) / "b.sqlite") as store:
                Importer(store).path(file)

        def other() -> None:
            with file.open("rb") as stream:
                hashlib.file_digest(stream, "sha256")

        mine, theirs = take_turns(rounds, ours, other)
        return Row(
            what="import of a 128 MiB file",
            ours="UnixFS to SQLite",
            other="sha-256 alone",
            ours_s=tuple(mine),
            other_s=tuple(theirs),
        )

    def instrumentation(self, rounds: int) -> str:
        """The table of what instrumentation costs, by kernel of Python and of numpy."""
        plan = self.plan("import numpy", "numpy==2.4.3")
        site_packages = self.home / "site-packages"
        cache = WheelCache(self.home / "wheels")
        for wheel in plan.lock.wheels:
            with cache.open(wheel, self.store) as file, zipfile.ZipFile(file) as archive:
                archive.extractall(site_packages)
        script = [str(HERE / "instrumentation.mjs"), str(self.package), str(site_packages), str(rounds)]
        done = subprocess.run([str(find_node().binary), *script], check=True, capture_output=True, text=True)
        return done.stdout


def main() -> None:
    """Run all rows and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round each")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    rounds = 1 if arguments.quick else arguments.rounds
    with tempfile.TemporaryDirectory(prefix="bacalhau-bench-") as name:
        bench = Bench(Path(name))
        rows = [
            bench.cold("cold hello", HELLO, "", rounds),
            bench.cold("cold pandas groupby", PANDAS, "pandas==3.0.2", rounds),
            bench.verified(rounds),
            bench.importing(rounds),
        ]
        instrumentation = bench.instrumentation(rounds)
        bench.store.close()
    table = "\n".join(["| what | ours | compared with | ratio |", "|---|---|---|---|", *(row.line() for row in rows)])
    machine = (
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, Node {find_node().version}"
    )
    text = (
        f"# Benchmark\n\n`make bench`; {machine}, Pyodide {PYODIDE_VERSION}; medians of {rounds} "
        f"alternating rounds, range in brackets. Only ratios mean something: the machine is shared.\n\n{table}\n\n"
        f"## Instrumentation\n\nProcessor time of kernels, as ratios to what is not instrumented; the best of {rounds} "
        f"rounds in turns.\n\n{instrumentation}"
    )
    (HERE / "RESULTS.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()

"""What a tiny shard costs on a network of one machine: processor time of all its processes, for one verified shard.

Compared with as many bare warm executions as the shard has nodes, so what lies between the two is the protocol: bids,
blocks, commitments, receipts, what is kept on disks. Time by the clock would tell what else the machine does.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.comparison import Row, Side, Unit
from bench.goals import BARE, TINY
from bench.processes import TIMEOUT_S, ProgramFailedError, end_group
from bench.processor_time import below_s, own_s
from bench.programs import TINY_SHARD
from bench.workplace import Workplace, on_all_cores

NODES = 3
BARE_COUNT = 200
"""Executions of which the mean is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Seconds of processor time."""

    workers: float
    nodes: float
    """Of the compute nodes' own processes."""
    requester: float

    @property
    def all(self) -> float:
        """Return the sum."""
        return self.workers + self.nodes + self.requester

    def since(self, before: Spent, count: int) -> Spent:
        """Return what each of `count` shards took since then."""
        return Spent(
            workers=(self.workers - before.workers) / count,
            nodes=(self.nodes - before.nodes) / count,
            requester=(self.requester - before.requester) / count,
        )


def tiny(workplace: Workplace) -> Row:
    """Processor seconds of a tiny shard on three nodes of a devstack, and of three bare executions of such shards."""
    ours, bare = [], []
    with devstack(workplace) as stack:
        inputs = Inputs(workplace.home)
        run_shards(stack, inputs.folder(20))  # starts workers
        for _ in range(workplace.scale.rounds):
            spent = measure(stack, inputs.folder(workplace.scale.tiny_shards), workplace.scale.tiny_shards)
            print(
                f"a tiny shard: workers {1000 * spent.workers:.1f} ms, nodes {1000 * spent.nodes:.1f} ms, "
                f"requester {1000 * spent.requester:.1f} ms",
                file=sys.stderr,
            )
            ours.append(spent.all)
            bare.append(NODES * bare_s(workplace))
    return Row(
        name=TINY,
        unit=Unit.SECONDS,
        sides=(Side(name="ours", values=tuple(ours)), Side(name=BARE, values=tuple(bare))),
        is_reduced=workplace.scale.is_reduced,
        note=f"processor time; {workplace.scale.tiny_shards:,} shards, each on {NODES} nodes of a devstack",
    )


def measure(stack: dict[str, Any], folder: Path, count: int) -> Spent:
    """Run a job over the files of a folder and return what each took."""
    before = _spent(stack)
    run_shards(stack, folder)
    return _spent(stack).since(before, count)


def bare_s(workplace: Workplace) -> float:
    """Return the processor seconds of one bare warm execution, its worker's and this process's."""
    function = workplace.function(TINY_SHARD)
    plans = [workplace.with_input(function, TINY_SHARD, number) for number in range(BARE_COUNT)]
    with workplace.engine() as engine:
        on_all_cores(lambda plan: workplace.execute(engine, plan), plans[:20])
        before = own_s(os.getpid()) + below_s(os.getpid())
        on_all_cores(lambda plan: workplace.execute(engine, plan), plans)
        return (own_s(os.getpid()) + below_s(os.getpid()) - before) / BARE_COUNT


class Inputs:
    """Folders of files that no other has: a shard is not known from before."""

    def __init__(self, home: Path) -> None:
        self._home = home / "tiny-shards"
        self._numbers = itertools.count(1_000_000)
        self.function = home / "tiny_shard.py"

    def folder(self, count: int) -> Path:
        """Make one of `count` files."""
        first = next(self._numbers)
        folder = self._home / str(first)
        folder.mkdir(parents=True)
        for number in (first, *itertools.islice(self._numbers, count - 1)):
            (folder / f"{number}.txt").write_bytes(TINY_SHARD.data(number))
        return folder


@contextmanager
def devstack(workplace: Workplace, settings: Mapping[str, str] | None = None) -> Iterator[dict[str, Any]]:
    """Run a devstack that shares the workplace's caches; give what it says of itself. settings: its environment's."""
    (workplace.home / "tiny_shard.py").write_text(TINY_SHARD.source)
    process = subprocess.Popen(
        [sys.executable, "-m", "bacalhau", "devstack", "--json", "--nodes", str(NODES)],
        env=_environment(workplace.home) | dict(settings or {}),
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        line = b"" if process.stdout is None else process.stdout.readline()
        if not line:
            raise ProgramFailedError("the devstack did not start")
        yield json.loads(line) | {"function": str(workplace.home / "tiny_shard.py")}
        process.send_signal(signal.SIGTERM)
        process.wait(TIMEOUT_S)
    finally:
        end_group(process)
        if process.stdout is not None:
            process.stdout.close()


def _environment(home: Path) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("BACALHAU_", "OTEL_"))} | {
        "BACALHAU_DIR": str(home)
    }


def run_shards(stack: dict[str, Any], folder: Path) -> None:
    """Run the function over each file of a folder, and see that every shard was verified on all nodes."""
    options = ["-i", str(folder), "--sharding-glob-pattern", "/*", "--concurrency", str(NODES), "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "bacalhau", "run", "python", "--deterministic", stack["function"], *options],
        env=_environment(Path(stack["submit_to"])),
        capture_output=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    if done.returncode != 0:
        raise ProgramFailedError(f"tiny shards: status {done.returncode}: {done.stderr.decode('utf-8', 'replace')}")
    shards = json.loads(done.stdout)["shards"]
    if not shards or any(shard["receipts"] != NODES for shard in shards):
        raise ProgramFailedError("a tiny shard has not all receipts")


def _spent(stack: dict[str, Any]) -> Spent:
    compute = [node["pid"] for node in stack["nodes"] if "compute" in node["roles"]]
    requesters = [node["pid"] for node in stack["nodes"] if "compute" not in node["roles"]]
    return Spent(
        workers=sum(map(below_s, compute)), nodes=sum(map(own_s, compute)), requester=sum(map(own_s, requesters))
    )

"""A Dask cluster as processes of a test on loopback: a scheduler and workers, started by Dask's own commands."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

from distributed import Client

from tests.integration.stack_world import PATIENCE_S, ROOT


@dataclass
class DaskWorld:
    scratch: Path
    arguments: tuple[str, ...] = ()
    """TLS flags of all commands."""
    allowed_failures: int = 3
    address: str = ""
    scheduler: subprocess.Popen[bytes] | None = None
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start_scheduler(self) -> None:
        """Start the scheduler, where it was before if it was."""
        said = {
            "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": str(self.allowed_failures),
            "DASK_TEMPORARY_DIRECTORY": str(self.scratch),
        }
        log, port = self.scratch / "scheduler.log", self.address.rpartition(":")[2] or "0"
        words = ["scheduler", "--no-dashboard", "--host", "127.0.0.1", "--port", port, *self.arguments]
        self.scheduler = _start(words, _environment(None, None) | said, log)
        self.address = _address(self.scheduler, log)

    def end_scheduler(self) -> None:
        assert self.scheduler is not None
        _end(self.scheduler)

    def start_worker(self, *arguments: object, home: Path | None = None, path: Path | None = None) -> int:
        """Start a worker with one thread, and return its pid; it is not known to have come yet."""
        environment = _environment(home, path)
        words = ["worker", self.address, "--no-nanny", "--no-dashboard", "--nthreads", "1", "--host", "127.0.0.1",
                 "--local-directory", str(self.scratch / "workers"), *self.arguments, *map(str, arguments)]  # fmt: skip
        self.workers.append(_start(words, environment, self.scratch / f"worker-{len(self.workers)}.log"))
        return self.workers[-1].pid

    def log(self, number: int) -> str:
        return (self.scratch / f"worker-{number}.log").read_text()


@contextmanager
def dask_world(
    scratch: Path, *arguments: str, workers: int = 3, home: Path | None = None, allowed_failures: int = 3
) -> Iterator[DaskWorld]:
    """Run a scheduler and workers; all of them have ended with the block.

    arguments: TLS flags of all commands. home: BACALHAU_DIR of the workers.
    """
    scratch.mkdir()
    world = DaskWorld(scratch, arguments, allowed_failures)
    try:
        world.start_scheduler()
        for _ in range(workers):
            world.start_worker(home=home)
        yield world
    finally:
        for process in [*world.workers, *([world.scheduler] if world.scheduler else [])]:
            _end(process)


@contextmanager
def client_of(world: DaskWorld, *, workers: int) -> Iterator[Client]:
    """Connect, and wait until that many workers are there."""
    with Client(world.address, set_as_default=False) as client:
        client.wait_for_workers(workers, timeout=PATIENCE_S)
        yield client


def children_of(pid: int) -> list[int]:
    """Return the processes that a process has started and that run."""
    threads = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for children in threads for child in children.read_text().split()]


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait(PATIENCE_S)


def _environment(home: Path | None, path: Path | None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BACALHAU_", "DASK_"))}
    kept["PYTHONPATH"] = os.pathsep.join(map(str, [*([path] if path else []), ROOT]))
    return kept | ({"BACALHAU_DIR": str(home)} if home else {})


def _start(words: list[str], environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "dask", *words],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.PIPE if words[0] == "scheduler" else file,
        )


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    """Return the scheduler's address, which it says when it is ready; what it says goes on to a file."""
    found: queue.SimpleQueue[str] = queue.SimpleQueue()

    def read() -> None:
        assert process.stderr is not None
        with log.open("ab") as file, process.stderr:
            for line in process.stderr:
                file.write(line)
                if match := re.search(rb"Scheduler at:\s+(\S+)", line):
                    found.put(match[1].decode())
        found.put("")

    Thread(target=read, daemon=True).start()
    address = found.get(timeout=PATIENCE_S)
    assert address, log.read_text()
    return address

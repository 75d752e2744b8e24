"""A devstack, or single nodes, as processes of a test: what they say and run, and that nothing of them is left."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PATIENCE_S = 300.0
"""After which a test is stuck, on a machine that does much else too. No test passes or fails by how long it takes."""
HELLO = "print('hello')"


def environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BACALHAU_")}
    return {**kept, "BACALHAU_DIR": str(home), "PYTHONPATH": str(ROOT)}


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "bacalhau", *map(str, arguments)]


def bacalhau(home: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), env=environment(home), capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


def run(home: Path, *arguments: object, code: int = 0) -> dict[str, Any]:
    """Run a function; return its report."""
    done = bacalhau(home, "run", "python", "--deterministic", "--json", *arguments)
    assert done.returncode == code, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def audit(home: Path, cid: str) -> str:
    done = bacalhau(home, "audit", cid, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return str(json.loads(done.stdout)["verdict"])


def wait_for_end(pid: int) -> None:
    """Return when a process of anybody has ended; fail if it does not."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        ready, _, _ = select.select([descriptor], [], [], PATIENCE_S)
        assert ready, f"process {pid} is left"
    finally:
        os.close(descriptor)


def first_line(process: subprocess.Popen[str], errors: Path) -> str:
    """Return the line that says that it is ready."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], PATIENCE_S)
    line = process.stdout.readline() if ready else ""
    assert line, errors.read_text()
    return line


@dataclass
class Stack:
    process: subprocess.Popen[str]
    facts: dict[str, Any]
    errors: Path
    ended: bool = False
    """It was ended on purpose, and what it left was looked at."""

    @property
    def home(self) -> Path:
        """BACALHAU_DIR of whoever submits jobs."""
        return Path(self.facts["submit_to"])

    @property
    def nodes(self) -> list[dict[str, Any]]:
        return list(self.facts["nodes"])

    @property
    def pids(self) -> list[int]:
        return [node["pid"] for node in self.nodes]

    def peers(self, role: str = "compute") -> set[str]:
        return {node["peer"] for node in self.nodes if role in node["roles"]}

    def bad(self, name: str) -> str:
        """Return the peer id of a bad actor."""
        (found,) = (node["peer"] for node in self.nodes if node["bad_actor"] == name)
        return str(found)

    def end(self, number: int = signal.SIGTERM) -> str:
        """End it, check that it does that cleanly, and return what it had said on stderr."""
        self.ended = True
        self.process.send_signal(number)
        assert self.process.wait(PATIENCE_S) == 0, self.errors.read_text()
        for pid in self.pids:
            wait_for_end(pid)
        return self.errors.read_text()


@contextmanager
def devstack(home: Path, scratch: Path, *arguments: object) -> Iterator[Stack]:
    """Run a devstack with its temporary directory below `scratch`, which is empty again at the end."""
    errors = scratch.with_name(f"{scratch.name}.stderr")
    scratch.mkdir()
    with (
        errors.open("wb") as stderr,
        subprocess.Popen(
            command("devstack", "--json", *arguments),
            env=environment(home) | {"TMPDIR": str(scratch)},
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        ) as process,
    ):
        try:
            found = Stack(process, json.loads(first_line(process, errors)), errors)
            yield found
            if not found.ended:
                assert found.end() == ""
            assert list(scratch.iterdir()) == []
        finally:
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    """End a devstack of a test that failed; its nodes end with it, even if it is killed."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()


@dataclass
class Node:
    """One node on a directory and a port of its own, which it keeps over restarts."""

    name: str
    directory: Path
    port: int
    arguments: tuple[str, ...]
    process: subprocess.Popen[str] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def start(self) -> None:
        log = self.directory.with_name(f"{self.name}.log")
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                command(
                    "serve", "--json", "--until-eof", "--listen", f"/ip4/127.0.0.1/tcp/{self.port}", *self.arguments
                ),
                env=environment(self.directory),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self.facts = json.loads(first_line(self.process, log))

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self._reap()
        assert self.process.returncode == -signal.SIGKILL

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self._reap()

    def _reap(self) -> None:
        assert self.process is not None
        self.process.wait(PATIENCE_S)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

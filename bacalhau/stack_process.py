"""One node of a devstack as a process: started, watched, stopped. On trio.

Its stdin is a pipe that nobody writes to: when this process dies, however it dies, the pipe ends and so does the node.
It leads a session of its own, so that Ctrl-C reaches it through us alone. What it says on stderr goes to a file.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import trio

from bacalhau.devstack_plan import StackNode
from storage.errors import UnavailableError

STOP_S: Final = 15.0
"""Given to a node to end by itself."""
MAX_LINE_BYTES: Final = 64 << 10
TAIL_LINES: Final = 8
_TAIL_BYTES: Final = 8 << 10


@dataclass(slots=True, kw_only=True)
class StackProcess:
    """A node that was started; use it until `stop` returns."""

    node: StackNode
    log: Path
    process: trio.Process
    facts: dict[str, Any] = field(default_factory=dict)
    """What it said of itself when it was ready: `peer`, `addresses`, `api`, `dir`."""

    @property
    def is_alive(self) -> bool:
        """Tell whether it still runs."""
        return self.process.poll() is None

    async def become_ready(self) -> None:
        """Read the line that says so.

        Raises:
            UnavailableError: it ended instead, or said something else.
        """
        line = b""
        while b"\n" not in line and len(line) < MAX_LINE_BYTES:
            piece = await self.process.stdout.receive_some()  # type: ignore[union-attr]
            if not piece:
                await self.process.wait()
                raise self.not_started()
            line += piece
        with suppress(ValueError, KeyError, TypeError):
            said = json.loads(line)
            self.facts = {key: said[key] for key in ("peer", "addresses", "api", "dir")}
        if not self.facts:
            raise self.not_started()

    def not_started(self) -> UnavailableError:
        """Return the error of a node that ended before it was ready, with its own last word on it."""
        last = self.tail()[-1:] or ["it said nothing"]
        return UnavailableError(f"did not start: {last[0].removeprefix('bacalhau: ')}", where=self.node.name)

    def end_words(self) -> str:
        """Return how it ended."""
        code = self.process.returncode
        if code is not None and code < 0:
            with suppress(ValueError):
                return f"was killed by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"

    def tail(self) -> list[str]:
        """Return the last lines of its log."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, file.seek(0, 2) - _TAIL_BYTES))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return []
        return [line for line in text.splitlines() if line.strip()][-TAIL_LINES:]

    async def stop(self) -> bool:
        """End it; tell whether it did so by itself."""
        with suppress(ProcessLookupError):
            self.process.terminate()
        with trio.move_on_after(STOP_S):
            await self.process.wait()
        was_clean = not self.is_alive
        if not was_clean:
            self.process.kill()
            await self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                await pipe.aclose()
        return was_clean


async def start_node(node: StackNode, arguments: Sequence[str], environment: dict[str, str], log: Path) -> StackProcess:
    """Start a node; it is not ready yet. log: begun anew.

    Raises:
        UnavailableError: the log cannot be written, or there can be no more processes.
    """
    command = [sys.executable, "-m", "bacalhau", *arguments]
    try:
        with log.open("wb") as errors:
            process = await trio.lowlevel.open_process(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment,
                start_new_session=True,
            )
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UnavailableError(f"cannot be started: {reason}", where=node.name, fix="stop something else") from error
    return StackProcess(node=node, log=log, process=process)

"""Plain Pyodide in plain Node: booted for each call as in 2022, or kept warm and never reset, which nobody should."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from bench.processes import ProgramFailedError, run_program, running
from runtime.node_client import find_node

_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainPyodide:
    """How one program is run by plain Pyodide."""

    package: Path
    """The npm package."""
    wheels: Path
    packages: tuple[str, ...]
    code: Path

    def run_script(self) -> bytes:
        """Boot, install, run the code as a script; return what it printed."""
        return run_program(self._command("plain_pyodide.mjs"))

    def call_booting(self, arguments: dict[str, object], data: str | None) -> object:
        """Boot, install, call the code's function; data: path of a file."""
        rest = [json.dumps(arguments), *([] if data is None else [data])]
        return json.loads(run_program([*self._command("plain_pyodide.mjs"), *rest]))

    @contextmanager
    def warm(self) -> Iterator[WarmPyodide]:
        """Boot and install once, and keep it."""
        with running(self._command("plain_pyodide_warm.mjs")) as process:
            yield WarmPyodide(process)

    def _command(self, program: str) -> Sequence[str | Path]:
        node = find_node().binary
        return [node, _HERE / program, self.package, self.wheels, ",".join(self.packages), self.code]


class WarmPyodide:
    """A kept Pyodide. One call at a time."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._stdin, self._stdout = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)

    def call(self, arguments: dict[str, object], data: bytes) -> object:
        """Call the function."""
        text = json.dumps(arguments).encode()
        head = len(text).to_bytes(4, "little") + len(data).to_bytes(4, "little")
        self._stdin.write(head + text + data)
        self._stdin.flush()
        size = self._stdout.read(4)
        if len(size) < 4:
            raise ProgramFailedError("the warm Pyodide ended")
        return json.loads(self._stdout.read(int.from_bytes(size, "little")))

"""CPython of this machine, with pandas in an environment of its own: what there is without any sandbox."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.processes import ProgramFailedError, run_program, running

_VERSIONS = "import json, platform, pandas; print(json.dumps([platform.python_version(), pandas.__version__]))"


@dataclass(frozen=True, slots=True, kw_only=True)
class NativePython:
    """An environment with pandas."""

    folder: Path
    python: str
    """Version of CPython."""
    pandas: str

    @property
    def binary(self) -> Path:
        """The interpreter."""
        return self.folder / "bin" / "python"


def make_native(folder: Path, requirement: str) -> NativePython:
    """Make the environment; needs the package index, or uv's cache of it."""
    run_program([sys.executable, "-m", "venv", "--without-pip", folder])
    binary = folder / "bin" / "python"
    uv = [sys.executable, "-m", "uv"]
    # Compiled now, as an image has it compiled: a fresh container would compile it every time.
    run_program([*uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", binary, requirement])
    python, pandas = json.loads(run_program([binary, "-c", _VERSIONS]))
    return NativePython(folder=folder, python=python, pandas=pandas)


class NativePool:
    """A ProcessPoolExecutor in the native Python that gives every call a fresh process."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def call_all(self, calls: Sequence[tuple[dict[str, object], str | None]]) -> list[object]:
        """Call the function with each of (arguments, path of the data), on all cores."""
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("the pool was started without pipes")
        stdin.write(json.dumps(calls).encode() + b"\n")
        stdin.flush()
        line = stdout.readline()
        if not line:
            raise ProgramFailedError("the native process pool ended")
        answers: list[object] = json.loads(line)
        return answers


@contextmanager
def native_pool(native: NativePython, source: Path, cores: int) -> Iterator[NativePool]:
    """Start the pool over a function's file."""
    driver = Path(__file__).with_name("native_pool.py")
    with running([native.binary, driver, source, str(cores)]) as process:
        yield NativePool(process)

"""Other programs, started so that they end with what they were started for, on every path out of it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

TIMEOUT_S = 1800.0
"""No single program here takes half an hour; one that does has hung."""


class ProgramFailedError(RuntimeError):
    """A program that is compared with did not do its work: there is nothing to compare."""


def run_program(
    command: Sequence[str | Path], *, input_: bytes | None = None, env: Mapping[str, str] | None = None
) -> bytes:
    """Run a program to its end and return what it printed.

    Raises:
        ProgramFailedError: it returned another status than 0.
    """
    done = subprocess.run(
        [str(part) for part in command], input=input_, env=env, capture_output=True, check=False, timeout=TIMEOUT_S
    )
    if done.returncode != 0:
        raise ProgramFailedError(f"{command[0]}: status {done.returncode}: {_last_lines(done.stderr)}")
    return done.stdout


@contextmanager
def running(command: Sequence[str | Path]) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program that talks over its standard streams; it and its children are killed at the end."""
    process = subprocess.Popen(
        [str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        yield process
    finally:
        end_group(process)
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                _close(stream)


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a program that leads a session of its own, with everything it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _close(stream: IO[bytes]) -> None:
    try:
        stream.close()
    except BrokenPipeError:  # bytes that a program that is gone will not read
        return


def _last_lines(errors: bytes) -> str:
    return " / ".join(errors.decode("utf-8", "replace").strip().splitlines()[-5:])

"""A worker process: an engine with two pipes, and a wall-clock guard for whatever it is asked to do.

Knows how to start, talk to and end the process; what the frames mean is `pyodide_engine`'s business. The process gets
no environment, no standard input, a working directory of `/` and only the descriptors named here.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, BinaryIO

from runtime.deadline import Deadline
from runtime.engine import UndeterminedError
from runtime.engine_host import EngineHost
from runtime.engine_settings import engine_environment, reserved_bytes
from runtime.frames import Frame, read_frame, write_frame
from runtime.jail import JailLimits, JailReport, layers_of
from runtime.jail_transport import Cell, open_cell
from runtime.worker_program import Program
from storage.errors import UnavailableError, VerificationError

HOST_STACK_BYTES = 1 << 30
"""Stack asked of the operating system: Python's own stack check, at 10 MB of guest stack, must come first."""

_ENGINE_MEMORY_BYTES = 2 << 30
"""For the engine, and for compiled code, beside the task's memory: 0.7 GiB with Python alone, 1.2 with pandas."""

_USUAL_ENGINE_BYTES = 512 << 20
"""Of which so much is really used, with an image beside the instance."""

CPU_PER_WALL = 4
"""Far above what one thread and a compiler beside it can use before the wall-clock guard comes."""

CPU_SPARE_S = 3600
"""Processor time for starting, and for tasks that a warm worker runs beside its first."""


@dataclass(slots=True, kw_only=True)
class Worker:
    """A running worker. The caller closes it, whatever happens."""

    process: subprocess.Popen[bytes]
    to_worker: BinaryIO
    from_worker: BinaryIO
    errors: IO[bytes]
    """What the engine itself printed on its standard error: diagnostics of host failures."""
    cell: Cell
    _passed_s: float | None = None
    """The wall-clock guard that ended it, seconds."""
    _is_stopped: bool = False
    _deadline: Deadline = field(init=False)

    def __post_init__(self) -> None:
        """Make the guard."""
        self._deadline = Deadline(self._expire)

    def send(self, frame: Frame) -> None:
        """Send a frame.

        Raises:
            UndeterminedError: the worker is gone.
        """
        try:
            write_frame(self.to_worker, frame)
        except (BrokenPipeError, ValueError) as error:  # a pipe that another thread has closed is a ValueError
            raise self._gone() from error

    def receive(self) -> Frame:
        """Wait for a frame.

        Raises:
            UndeterminedError: the worker is gone, or speaks nonsense.
        """
        try:
            return read_frame(self.from_worker)
        except (EOFError, ValueError) as error:
            raise self._gone() from error
        except VerificationError as error:
            raise UndeterminedError(error.problem) from error

    def within(self, wall_clock_s: float) -> AbstractContextManager[None]:
        """Guard what is done inside: after so many seconds the worker is ended."""
        return self._deadline.within(wall_clock_s)

    def _expire(self, passed_s: float) -> None:
        self._passed_s = passed_s
        self.end()

    @property
    def is_alive(self) -> bool:
        """Whether the process still runs."""
        return self.process.poll() is None

    def _gone(self) -> UndeterminedError:
        self.process.wait()
        if self._passed_s is not None:
            return UndeterminedError(
                f"the wall-clock guard of {self._passed_s:g} s ended the worker",
                fix="raise it with --timeout, or make the function do less",
            )
        if self._is_stopped or self.errors.closed:
            return UndeterminedError("the engine was stopped")
        self.errors.seek(0)
        lines = self.errors.read(65536).decode("utf-8", "replace").strip().splitlines()
        reason = next((line for line in lines if "rror" in line), lines[0] if lines else "it left no message")
        return UndeterminedError(f"the worker died with status {self.process.returncode}: {reason}")

    def end(self) -> None:
        """Kill the process group; whoever waits for a frame is told that the worker is gone. Safe from any thread."""
        _kill_group(self.process)

    def stop(self) -> None:
        """End it because the engine stops. Safe from any thread."""
        self._is_stopped = True
        self.end()

    def close(self) -> None:
        """End the process and everything it may have started; twice is once."""
        if self.process.poll() is None:
            self.end()
        self.process.wait()
        self._deadline.close()
        for stream in (self.to_worker, self.from_worker, self.errors):
            try:
                stream.close()
            except BrokenPipeError:  # unsent bytes for a process that is gone
                continue
        self.cell.close()


def start_worker(
    host: EngineHost,
    runtime_dir: Path,
    *,
    jail: JailReport,
    descriptors: Sequence[int],
    memory_bytes: int,
    cpu_s: int,
) -> Worker:
    """Start `worker.mjs` of a laid-out runtime in a jail, the given descriptors open under their own numbers.

    memory_bytes: what tasks may use; the engine and compiled code come on top of it.
    cpu_s: processor time after which the system ends it: it ends a worker whose parent can guard it no more.

    Raises:
        UndeterminedError: it could not be started.
    """
    program = Program(
        name=host.name,
        binary=host.binary,
        directory=runtime_dir,
        arguments=lambda inside: host.command(Path(inside), HOST_STACK_BYTES)[len(host.launcher) + 1 :],
        environment=engine_environment(host.name, HOST_STACK_BYTES),
        emulator=host.launcher,
    )
    limits = _limits(host.name, memory_bytes, cpu_s)
    return start_program(program, jail=jail, limits=limits, descriptors=descriptors)


def start_program(program: Program, *, jail: JailReport, limits: JailLimits, descriptors: Sequence[int] = ()) -> Worker:
    """Start a program in a jail, the given descriptors open under their own numbers.

    Raises:
        UndeterminedError: it could not be started.
    """
    child_in, parent_out = os.pipe()
    parent_in, child_out = os.pipe()
    try:
        errors = tempfile.TemporaryFile()  # noqa: SIM115  closed by Worker.close
    except OSError as error:
        for descriptor in (child_in, parent_out, parent_in, child_out):
            os.close(descriptor)
        raise UndeterminedError(f"no temporary file can be made: {error}") from error
    cell: Cell | None = None
    try:
        cell = open_cell(
            jail.level,
            layers_of(jail.level, jail.layers),
            binary=program.binary,
            engine=program.name,
            runtime_dir=program.directory,
            limits=limits,
            watch=child_in,
            handed=[child_out, *descriptors],
            environment=program.environment,
            emulator=program.emulator,
            also=program.also,
        )
        process = subprocess.Popen(
            cell.command([*program.arguments(cell.runtime), str(child_in), str(child_out)]),
            pass_fds=[child_in, child_out, *descriptors, *cell.descriptors],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env=dict(program.environment),
            cwd="/",
            start_new_session=True,
        )
    except (OSError, UnavailableError) as error:
        for descriptor in (parent_in, parent_out):
            os.close(descriptor)
        errors.close()
        if cell is not None:
            cell.close()
        raise UndeterminedError(f"{program.name} could not be started: {error}") from error
    finally:
        os.close(child_in)
        os.close(child_out)
    return Worker(
        process=process,
        to_worker=os.fdopen(parent_out, "wb"),
        from_worker=os.fdopen(parent_in, "rb"),
        errors=errors,
        cell=cell,
    )


def worker_memory(memory_bytes: int) -> int:
    """Return what a worker counts for, bytes, when its tasks may use `memory_bytes`: what is usual, not its bound."""
    return memory_bytes + _USUAL_ENGINE_BYTES


def _limits(engine: str, memory_bytes: int, cpu_s: int) -> JailLimits:
    return JailLimits(
        memory_bytes=memory_bytes + _ENGINE_MEMORY_BYTES,
        reserved_bytes=reserved_bytes(engine),
        stack_bytes=HOST_STACK_BYTES,
        cpu_s=cpu_s,
    )


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return

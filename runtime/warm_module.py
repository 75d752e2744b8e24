"""One worker process that holds one module: what is said about a task, and what makes the process fit for another.

A worker says by itself that nothing of a task is left (`wasm_worker`); one that does not is spent. It serves one module
of one submitter, as a worker of a Python function does, and so many tasks at most.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from runtime.engine import Execution, Plan, Progress, UndeterminedError
from runtime.entropy_stream import EntropyStream
from runtime.frames import Frame
from runtime.input_server import InputServer
from runtime.output_assembly import FRAME_TYPES, OutputAssembly
from runtime.task_frames import entropy_key
from runtime.warm_worker import answer, execution_of, failure, frames_of, take_output
from runtime.wasm_frames import task_text
from runtime.worker_transport import CPU_PER_WALL, CPU_SPARE_S, Worker
from storage.blocks import BlockStore
from storage.errors import UnavailableError
from storage.unixfs_read import UnixfsReader
from verifier.model import EngineInfo

MAX_TASKS: Final = 1000
"""Of one process: whatever it may lose with each task stays small."""
_RESET_S: Final = 60.0
"""Wall-clock guard of putting away what a task has left."""
_PHASES: Final = {"compile": "compiling the module", "run": "running the module", "collect": "collecting outputs"}


@dataclass(slots=True, kw_only=True)
class WarmModule:
    """One worker process with its module, for one task at a time."""

    worker: Worker
    engine: EngineInfo
    memory_bytes: int
    """What it may take of the host's memory."""
    resources: ExitStack
    """Ends the process."""
    _tasks: int = 0
    _busy_s: float = 0.0

    @property
    def is_alive(self) -> bool:
        """Whether its process still runs."""
        return self.worker.is_alive

    def close(self) -> None:
        """End the process."""
        self.resources.close()

    def is_ready(self) -> bool:
        """Whether it can run a task: it is new, or says that nothing of the last one is left, and is not used up."""
        if not self._tasks:
            return True
        if self._tasks >= MAX_TASKS or self._busy_s * CPU_PER_WALL >= CPU_SPARE_S:
            return False
        with self.worker.within(_RESET_S):
            try:
                return self.worker.receive().type == "pristine"
            except UndeterminedError:
                return False

    def run(self, plan: Plan, store: BlockStore, progress: Progress) -> Execution:
        """Run a task and import its output.

        Raises:
            UndeterminedError: the host, not the module, failed.
            UnavailableError, VerificationError: an input cannot be read.
        """
        self._tasks += 1
        began = time.monotonic()
        execution = self._run(plan, store, progress)
        self._busy_s += time.monotonic() - began
        return execution

    def _run(self, plan: Plan, store: BlockStore, progress: Progress) -> Execution:
        server = InputServer(UnixfsReader(store))
        entropy = EntropyStream(entropy_key(plan))
        assembly = OutputAssembly(store, plan.input.limits.output)
        with self.worker.within(plan.wall_clock_s):
            with blocks_here():
                text = task_text(plan, server)
            self.worker.send(Frame(header={"type": "task"}, payload=text))
            frames = frames_of(self.worker)
            for frame in frames:
                if frame.type in ("lookup", "list", "read"):
                    self.worker.send(answer(server, frame))
                elif frame.type == "entropy":
                    self.worker.send(_drawn(entropy, frame))
                elif frame.type in FRAME_TYPES:
                    take_output(assembly, frame, frames)
                elif frame.type == "done":
                    return execution_of(plan, frame, assembly, self.engine)
                else:
                    note(frame, progress)
        raise UndeterminedError("the worker stopped talking")


def note(frame: Frame, progress: Progress) -> None:
    """Take a frame that may come at any time.

    Raises:
        UndeterminedError: the worker has failed, or breaks the rules.
    """
    if frame.type == "failed":
        raise failure(frame)
    if frame.type != "phase":
        raise UndeterminedError(f"the worker sent a frame {frame.type[:32]!r}")
    progress(_PHASES.get(str(frame.header.get("name")), "working"))


def _drawn(entropy: EntropyStream, frame: Frame) -> Frame:
    count = frame.header.get("length")
    if type(count) is not int:
        raise UndeterminedError("the worker asked for no number of random bytes")
    try:
        return Frame(header={"type": "bytes"}, payload=entropy.draw(count))
    except ValueError as error:
        raise UndeterminedError(f"the worker asked for too much: {error}") from error


@contextmanager
def blocks_here() -> Iterator[None]:
    """Make of a block that is not here what it is to an execution."""
    try:
        yield
    except UndeterminedError:
        raise
    except UnavailableError as error:
        raise UndeterminedError(error.problem, where=error.where, fix=error.fix) from error

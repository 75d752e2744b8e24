"""A worker that holds an image and runs one task after another in it, each as if it were the first.

After a task the worker puts its instance back to the image and proves it (js_host/pristine.mjs); one that cannot is
spent. Whatever goes wrong on the host's side is `UndeterminedError`; whatever the function does is an output.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from runtime.engine import Execution, Plan, Progress, UndeterminedError
from runtime.frames import Frame
from runtime.input_server import InputServer
from runtime.output_assembly import FRAME_TYPES, OutputAssembly
from runtime.run_steps import RunSteps, StepKeeper
from runtime.task_frames import Done, read_done, seconds, task_frame
from runtime.worker_transport import CPU_PER_WALL, CPU_SPARE_S, Worker
from storage.blocks import BlockStore
from storage.errors import UnavailableError, UserError, VerificationError
from storage.unixfs_read import UnixfsReader
from verifier.model import EngineInfo

PHASES: Final = {
    "boot": "starting Python",
    "restore": "starting Python",
    "run": "running the function",
    "collect": "collecting outputs",
}
_RESET_S: Final = 60.0
"""Wall-clock guard of the way back to the image."""


@dataclass(slots=True, kw_only=True)
class WarmWorker:
    """One worker process, for one task at a time."""

    worker: Worker
    engine: EngineInfo
    memory_bytes: int
    """What it may take of the host's memory."""
    has_source: bool
    """It keeps the function's directory."""
    resources: ExitStack
    """Closed last in, first out: ends the process, then closes what it was handed."""
    steps: StepKeeper | None = None
    """For checkpoints, where there may be any."""
    image_s: float = 0.0
    """What finding its image has taken, or making it."""
    _busy_s: float = 0.0
    _is_used: bool = False
    _reset_s: float = 0.0
    """What its last way back to the image has taken."""

    @property
    def is_alive(self) -> bool:
        """Whether its process still runs."""
        return self.worker.is_alive

    def close(self) -> None:
        """End the process and close what it was handed."""
        self.resources.close()

    def run(
        self, plan: Plan, store: BlockStore, progress: Progress, *, is_last: bool, resumes: bool = True
    ) -> Execution:
        """Run a task and import its output.

        is_last: the worker need not be fit for another. resumes: it may go on from a checkpoint, if the plan allows it.

        Raises:
            UnusableCheckpointError: it could not.
            UndeterminedError: the host, not the function, failed.
        """
        server = InputServer(UnixfsReader(store))
        assembly = OutputAssembly(store, plan.input.limits.output)
        began = time.monotonic()
        with ExitStack() as stack:
            steps = self.steps.begin(stack, plan, resumes=resumes) if self.steps is not None else None
            stack.enter_context(self.worker.within(plan.wall_clock_s))
            asked = None if steps is None else steps.describe()
            self.worker.send(task_frame(plan, server, has_source=self.has_source, is_last=is_last, checkpoints=asked))
            try:
                frame = self._converse(server, assembly, progress, steps)
            except (UndeterminedError, VerificationError) as error:
                if steps is not None:
                    steps.failed(error)
                raise
        self._busy_s += time.monotonic() - began
        execution = execution_of(plan, frame, assembly, self.engine)
        if self._is_used:
            execution.timings_s["reset"] = self._reset_s
        else:
            execution.timings_s["image"] = self.image_s
        self._is_used = True
        return execution

    def is_ready(self) -> bool:
        """Whether it can run a task: it is new, or says that it has put itself back to its image after the last one.

        Waits for that, so it is asked when there is another task and not when the last one is done.
        """
        if not self._is_used:
            return True
        with self.worker.within(_RESET_S):
            try:
                frame = self.worker.receive()
                self._reset_s = seconds(frame.header.get("reset_ms"))
            except (UndeterminedError, ValueError):
                return False
        return frame.type == "pristine" and self._busy_s * CPU_PER_WALL < CPU_SPARE_S

    def _converse(
        self, server: InputServer, assembly: OutputAssembly, progress: Progress, steps: RunSteps | None
    ) -> Frame:
        """Answer the worker until it is done, and return its last frame."""
        frames = frames_of(self.worker)
        for frame in frames:
            if frame.type in ("lookup", "list", "read"):
                self.worker.send(answer(server, frame))
            elif frame.type in FRAME_TYPES:
                take_output(assembly, frame, frames)
            elif frame.type == "phase":
                progress(PHASES.get(str(frame.header.get("name")), "working"))
            elif steps is not None and frame.type == "resume":
                for piece in steps.frames():
                    self.worker.send(piece)
            elif steps is not None and frame.type == "resumed":
                progress(steps.resumed())
            elif steps is not None and frame.type == "checkpoint":
                steps.keep(frame, frames)
            elif frame.type == "done":
                return frame
            elif frame.type == "failed":
                raise failure(frame)
        raise UndeterminedError("the worker stopped talking")


def failure(frame: Frame) -> UndeterminedError:
    """Return the error for a frame `failed`."""
    text = str(frame.header.get("message")).strip()
    return UndeterminedError(text.splitlines()[0] if text else "the worker failed without a message")


def answer(server: InputServer, question: Frame) -> Frame:
    """Answer a worker's question about its inputs.

    Raises:
        UndeterminedError: there is no answer, which ends the execution.
        VerificationError: a block is not what its CID says.
    """
    try:
        return server.answer(question)
    except UndeterminedError:
        raise
    except UnavailableError as error:
        raise UndeterminedError(error.problem, where=error.where, fix=error.fix) from error
    except UserError as error:  # a file listed, a directory read: the glue never asks so
        raise UndeterminedError(f"the worker asked wrongly: {error.problem}") from error


def take_output(assembly: OutputAssembly, frame: Frame, following: Iterator[Frame]) -> None:
    """Take a frame of an output, and those that belong to it.

    Raises:
        UndeterminedError: no worker of ours sends such an output.
    """
    try:
        assembly.take(frame, following)
    except VerificationError as error:
        raise UndeterminedError(f"the worker sent an impossible output: {error}") from error


def frames_of(worker: Worker) -> Iterator[Frame]:
    """Yield what a worker says, without end."""
    while True:
        yield worker.receive()


def execution_of(plan: Plan, frame: Frame, assembly: OutputAssembly, engine: EngineInfo) -> Execution:
    """Return the execution that a frame `done` ends.

    Raises:
        UndeterminedError: the frame is malformed, or the output is not whole.
    """
    try:
        done: Done = read_done(frame)
        output = assembly.finish(done.exit_code)
    except (KeyError, TypeError, ValueError, AttributeError, VerificationError) as error:
        raise UndeterminedError(f"the worker's last frame is malformed: {error}") from error
    return Execution(
        task=plan.task,
        output=output,
        exit_code=done.exit_code,
        fuel=done.fuel,
        state_digest=done.state_digest,
        engine=engine,
        timings_s=done.timings_s,
    )

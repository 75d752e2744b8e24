"""Executes WebAssembly modules: each in a process of its own, in a jail, which compiles it, runs it once, and ends."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Final
from weakref import WeakValueDictionary

from runtime.engine import Execution, Plan, Progress, UndeterminedError, silent
from runtime.entropy_stream import EntropyStream
from runtime.frames import Frame
from runtime.input_server import InputServer
from runtime.jail import JailLimits, JailReport, Level, at_level, require_strict
from runtime.jail_probe_client import probe, probe_layers
from runtime.output_assembly import FRAME_TYPES, OutputAssembly
from runtime.python_host import PYTHON, package_dir, python_binary, worker_arguments, worker_binds, worker_environment
from runtime.stop_signal import StopSignal
from runtime.task_frames import entropy_key, read_done
from runtime.warm_worker import answer, failure
from runtime.wasm_cache import MAX_COMPILED_BYTES, CompiledCache
from runtime.wasm_frames import task_text
from runtime.wasm_module import MAX_MODULE_BYTES
from runtime.wasm_profile import ENGINE
from runtime.wasm_release import engine_version, wasm_runtime_cid
from runtime.worker_transport import CPU_PER_WALL, CPU_SPARE_S, Program, Worker, start_program
from storage.blocks import BlockStore
from storage.cid import CID, cid_text
from storage.errors import UnavailableError, VerificationError
from storage.unixfs_read import UnixfsReader
from verifier.model import EngineInfo

COMPILE_S: Final = 900.0
"""Wall-clock guard of starting and compiling, where a run may take as long."""
LEAST_COMPILE_S: Final = 60.0
"""The same, however little a run may take."""
_PIECE_BYTES: Final = 1 << 20
_COMPILER_BYTES: Final = 3 << 30
"""For Python, the compiler and compiled code, beside the task's memory, and files that are as large at most."""
_STACK_BYTES: Final = 1 << 30
"""Asked of the system; the guest's part of it is counted (`wasm_stack`)."""
_PHASES: Final = {"compile": "compiling the module", "run": "running the module", "collect": "collecting outputs"}


class Turn:
    """Held by whoever compiles a module; gone when nobody waits for it."""

    def __init__(self) -> None:
        self.lock = Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class WasmEngine:
    """Runs tasks of the profile wasi-1. Thread-safe."""

    compiled_dir: Path
    strict: bool = False
    """Refuse to run anything where a layer of the strict jail is missing."""
    level: Level | None = None
    """This level and not the best there is."""
    _stopping: StopSignal = field(default_factory=StopSignal, repr=False, compare=False)
    _compiling: WeakValueDictionary[CID, Turn] = field(default_factory=WeakValueDictionary, repr=False, compare=False)
    """One module is compiled once, whoever asks meanwhile."""
    _lock: Lock = field(default_factory=Lock, repr=False, compare=False)

    def execute(
        self, plan: Plan, store: BlockStore, progress: Progress = silent, stop: StopSignal | None = None
    ) -> Execution:
        """Run the task once; see `runtime.engine.Engine.execute`."""
        if plan.module.runtime != wasm_runtime_cid():
            raise UndeterminedError(f"its runtime {cid_text(plan.module.runtime)} is not this release's")
        jail = self._jail()
        with ExitStack() as stack:
            limits = JailLimits(
                memory_bytes=2 * plan.input.limits.memory + _COMPILER_BYTES,
                stack_bytes=_STACK_BYTES,
                cpu_s=int(plan.wall_clock_s * CPU_PER_WALL) + CPU_SPARE_S,
            )
            worker = start_program(_program(), jail=jail, limits=limits)
            stack.callback(worker.close)
            stack.enter_context(self._stopping.ending(worker.stop))
            if stop is not None:
                stack.enter_context(stop.ending(worker.stop))
            self._open(worker, plan, store, progress)
            return _Conversation(worker, plan, store, progress, _info(jail)).run()

    def stop(self) -> None:
        """End the executions that are under way and refuse later ones; see `runtime.engine.Engine.stop`."""
        self._stopping.set()

    def _jail(self) -> JailReport:
        report = probe(python_binary(), PYTHON) if self.level is None else at_level(probe_layers(), self.level)
        if self.strict:
            require_strict(report)
        return report

    def _open(self, worker: Worker, plan: Plan, store: BlockStore, progress: Progress) -> None:
        """Hand the module over, compiled if that was done before, and wait until it can be run.

        Raises:
            UndeterminedError: it cannot be run in this profile, or the worker fails.
            UnavailableError, VerificationError: it cannot be read.
        """
        module, cache = plan.module, CompiledCache(self.compiled_dir)
        with self._lock:
            turn = self._compiling.setdefault(module.module, Turn())
        with turn.lock, worker.within(min(COMPILE_S, max(plan.wall_clock_s, LEAST_COMPILE_S))):
            compiled = cache.find(module.module, module.runtime)
            worker.send(Frame(header={"type": "open", "is_compiled": compiled is not None}))
            _send_pieces(worker, _module_pieces(module.module, store) if compiled is None else _cut(compiled))
            while (frame := worker.receive()).type != "ready":
                if frame.type == "stale":
                    _send_pieces(worker, _module_pieces(module.module, store))
                elif frame.type == "compiled":
                    cache.keep(module.module, module.runtime, _receive_pieces(worker))
                else:
                    _note(frame, progress)


@dataclass(frozen=True, slots=True)
class _Conversation:
    """What is said about one task with a worker that has its module."""

    worker: Worker
    plan: Plan
    store: BlockStore
    progress: Progress
    engine: EngineInfo

    def run(self) -> Execution:
        """Have the task run, and import its output.

        Raises:
            UndeterminedError: the host, not the module, failed.
            UnavailableError, VerificationError: an input cannot be read.
        """
        server = InputServer(UnixfsReader(self.store))
        entropy = EntropyStream(entropy_key(self.plan))
        assembly = OutputAssembly(self.store, self.plan.input.limits.output)
        with self.worker.within(self.plan.wall_clock_s):
            with _blocks_here():
                text = task_text(self.plan, server)
            self.worker.send(Frame(header={"type": "task"}, payload=text))
            frames = _frames(self.worker)
            for frame in frames:
                if frame.type in ("lookup", "list", "read"):
                    self.worker.send(answer(server, frame))
                elif frame.type == "entropy":
                    self.worker.send(_drawn(entropy, frame))
                elif frame.type in FRAME_TYPES:
                    _take(assembly, frame, frames)
                elif frame.type == "done":
                    return self._execution(frame, assembly)
                else:
                    _note(frame, self.progress)
        raise UndeterminedError("the worker stopped talking")

    def _execution(self, frame: Frame, assembly: OutputAssembly) -> Execution:
        try:
            done = read_done(frame)
            output = assembly.finish(done.exit_code)
        except (KeyError, TypeError, ValueError, AttributeError, VerificationError) as error:
            raise UndeterminedError(f"the worker's last frame is malformed: {error}") from error
        return Execution(
            task=self.plan.task,
            output=output,
            exit_code=done.exit_code,
            fuel=done.fuel,
            state_digest=done.state_digest,
            engine=self.engine,
            timings_s=done.timings_s,
        )


def _program() -> Program:
    return Program(
        name=PYTHON,
        binary=python_binary(),
        directory=package_dir("runtime"),
        arguments=lambda inside: worker_arguments(inside, "main"),
        environment=worker_environment(),
        also=tuple(worker_binds()),
    )


def _info(jail: JailReport) -> EngineInfo:
    layers = ("process", *jail.in_force, "wasm")
    return EngineInfo(name=ENGINE, version=engine_version(), arch=platform.machine(), isolation=layers)


def _frames(worker: Worker) -> Iterator[Frame]:
    while True:
        yield worker.receive()


def _note(frame: Frame, progress: Progress) -> None:
    """Take a frame that may come at any time.

    Raises:
        UndeterminedError: the worker has failed, or breaks the rules.
    """
    if frame.type == "failed":
        raise failure(frame)
    if frame.type != "phase":
        raise UndeterminedError(f"the worker sent a frame {frame.type[:32]!r}")
    progress(_PHASES.get(str(frame.header.get("name")), "working"))


def _take(assembly: OutputAssembly, frame: Frame, following: Iterator[Frame]) -> None:
    try:
        assembly.take(frame, following)
    except VerificationError as error:
        raise UndeterminedError(f"the worker sent an impossible output: {error}") from error


def _drawn(entropy: EntropyStream, frame: Frame) -> Frame:
    count = frame.header.get("length")
    if type(count) is not int:
        raise UndeterminedError("the worker asked for no number of random bytes")
    try:
        return Frame(header={"type": "bytes"}, payload=entropy.draw(count))
    except ValueError as error:
        raise UndeterminedError(f"the worker asked for too much: {error}") from error


def _module_pieces(module: CID, store: BlockStore) -> Iterator[bytes]:
    """Yield a module's bytes.

    Raises:
        UndeterminedError: it is no file, or larger than any module may be, or not all here.
        VerificationError: a block is not what its CID says.
    """
    reader = UnixfsReader(store)
    with _blocks_here():
        stat = reader.stat(module)
        if stat.kind != "file" or stat.size > MAX_MODULE_BYTES:
            raise UndeterminedError(f"its module is a {stat.kind} of {stat.size} bytes, and no module")
        with reader.open(module) as stream:
            while piece := stream.read(_PIECE_BYTES):
                yield piece


@contextmanager
def _blocks_here() -> Iterator[None]:
    """Make of a block that is not here what it is to an execution."""
    try:
        yield
    except UndeterminedError:
        raise
    except UnavailableError as error:
        raise UndeterminedError(error.problem, where=error.where, fix=error.fix) from error


def _cut(data: bytes) -> Iterator[bytes]:
    return (data[at : at + _PIECE_BYTES] for at in range(0, len(data), _PIECE_BYTES))


def _send_pieces(worker: Worker, pieces: Iterator[bytes]) -> None:
    for piece in pieces:
        worker.send(Frame(header={"type": "piece"}, payload=piece))
    worker.send(Frame(header={"type": "end"}))


def _receive_pieces(worker: Worker) -> bytes:
    data = bytearray()
    while (frame := worker.receive()).type == "piece":
        data += frame.payload
        if len(data) > MAX_COMPILED_BYTES:
            raise UndeterminedError("the worker compiled the module to more than there is room for")
    return bytes(data)

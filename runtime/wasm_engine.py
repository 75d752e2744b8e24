"""Executes WebAssembly modules in workers: jailed processes, each with one module, and used while pristine."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from runtime.capacity import Room
from runtime.engine import Execution, Plan, Progress, UndeterminedError, silent
from runtime.frames import Frame
from runtime.jail import JailLimits, JailReport, Level, at_level, require_strict
from runtime.jail_probe_client import probe, probe_layers
from runtime.pool_capacity import PoolCapacity
from runtime.python_host import PYTHON, python_binary, this_python
from runtime.stop_signal import StopSignal
from runtime.warm_module import WarmModule, blocks_here, note
from runtime.wasm_cache import MAX_COMPILED_BYTES, CompiledCache
from runtime.wasm_module import MAX_MODULE_BYTES
from runtime.wasm_profile import ENGINE
from runtime.wasm_release import engine_version, wasm_runtime_cid
from runtime.worker_pool import WorkerPool
from runtime.worker_program import Program
from runtime.worker_transport import CPU_PER_WALL, CPU_SPARE_S, Worker, start_program
from storage.blocks import BlockStore
from storage.cid import CID, cid_text
from storage.unixfs_read import UnixfsReader
from verifier.model import EngineInfo

COMPILE_S: Final = 900.0
"""Wall-clock guard of starting and compiling, where a run may take as long."""
LEAST_COMPILE_S: Final = 60.0
"""The same, however little a run may take."""
WAITING: Final = "waiting for another that compiles the module"
_PIECE_BYTES: Final = 1 << 20
_COMPILER_BYTES: Final = 3 << 30
"""For Python, the compiler and compiled code, beside the task's memory, and files that are as large at most."""
_STACK_BYTES: Final = 1 << 30
"""Asked of the system; the guest's part of it is counted (`wasm_stack`)."""
_IDLE_S: Final = 60.0
"""How long a worker waits for the next task of its module."""
_USUAL_ENGINE_BYTES: Final = 128 << 20
"""Of an interpreter, the engine and compiled code, beside the task's memory."""


def make_module_pool(room: Room | None = None) -> WorkerPool[WarmModule]:
    """Return a pool for an engine. room: what its workers get together, None for what this machine has."""
    capacity = PoolCapacity.of_machine() if room is None else PoolCapacity.of_room(room)
    return WorkerPool(capacity=capacity, idle_timeout_s=_IDLE_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class WasmEngine:
    """Runs tasks of the profile wasi-1. Thread-safe: a worker runs one task at a time, and serves one module."""

    compiled_dir: Path
    strict: bool = False
    """Refuse to run anything where a layer of the strict jail is missing."""
    level: Level | None = None
    """This level and not the best there is."""
    program: Callable[[], Program] = this_python
    """What a worker is; tests have one of another machine."""
    arch: str = field(default_factory=platform.machine)
    """The machine that it is made for."""
    pool: WorkerPool[WarmModule] = field(default_factory=lambda: make_module_pool(), repr=False, compare=False)

    def execute(
        self, plan: Plan, store: BlockStore, progress: Progress = silent, stop: StopSignal | None = None
    ) -> Execution:
        """Run the task once; see `runtime.engine.Engine.execute`."""
        if plan.module.runtime != wasm_runtime_cid():
            raise UndeterminedError(f"its runtime {cid_text(plan.module.runtime)} is not this release's")
        stop, jail = stop or StopSignal(), self._jail()
        start = partial(self._start, plan, store, jail, progress, stop)
        while True:
            with (
                self.pool.lease(self._pool_key(plan), _worker_memory(plan), start) as lease,
                stop.ending(lease.worker.worker.stop),
            ):
                if not lease.worker.is_ready():  # spent: the pool ends it, and gives another one
                    continue
                execution = lease.worker.run(plan, store, progress)
                lease.keep()
                return execution

    def stop(self) -> None:
        """End the executions that are under way and refuse later ones; see `runtime.engine.Engine.stop`."""
        self.pool.close()

    def _pool_key(self, plan: Plan) -> tuple[object, ...]:
        """A worker serves one module of one submitter, in the jail and with the limits that it was started with."""
        made = (self.compiled_dir, self.level, self.strict)
        return (made, plan.submitter, plan.function_cid, plan.input.limits.memory, plan.wall_clock_s)

    def _start(
        self, plan: Plan, store: BlockStore, jail: JailReport, progress: Progress, stop: StopSignal
    ) -> WarmModule:
        """Start a worker and have it take its module."""
        limits = JailLimits(
            memory_bytes=2 * plan.input.limits.memory + _COMPILER_BYTES,
            stack_bytes=_STACK_BYTES,
            cpu_s=int(plan.wall_clock_s * CPU_PER_WALL) + CPU_SPARE_S,
        )
        with ExitStack() as stack:
            worker = start_program(self.program(), jail=jail, limits=limits)
            stack.callback(worker.close)
            with self.pool.ending(worker.stop), stop.ending(worker.stop):
                self._open(worker, plan, store, progress)
            return WarmModule(
                worker=worker,
                engine=_info(jail, self.arch),
                memory_bytes=_worker_memory(plan),
                resources=stack.pop_all(),
            )

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
        most_s = min(COMPILE_S, max(plan.wall_clock_s, LEAST_COMPILE_S))
        with ExitStack() as stack:
            compiled = cache.find(module.module, module.runtime)
            if compiled is None:
                alone = cache.alone(
                    module.module,
                    module.runtime,
                    lambda: progress(WAITING),
                    goes_on=lambda: worker.is_alive,
                    most_s=most_s,
                )
                stack.enter_context(alone)
                compiled = cache.find(module.module, module.runtime)
            stack.enter_context(worker.within(most_s))
            worker.send(Frame(header={"type": "open", "is_compiled": compiled is not None}))
            _send_pieces(worker, _module_pieces(module.module, store) if compiled is None else _cut(compiled))
            while (frame := worker.receive()).type != "ready":
                if frame.type == "stale":
                    _send_pieces(worker, _module_pieces(module.module, store))
                elif frame.type == "compiled":
                    cache.keep(module.module, module.runtime, _receive_pieces(worker))
                else:
                    note(frame, progress)


def _worker_memory(plan: Plan) -> int:
    """Return what a worker counts for, bytes: what is usual, not its bound."""
    return plan.input.limits.memory + _USUAL_ENGINE_BYTES


def _info(jail: JailReport, arch: str) -> EngineInfo:
    layers = ("process", *jail.in_force, "wasm")
    return EngineInfo(name=ENGINE, version=engine_version(), arch=arch, isolation=layers)


def _module_pieces(module: CID, store: BlockStore) -> Iterator[bytes]:
    """Yield a module's bytes.

    Raises:
        UndeterminedError: it is no file, or larger than any module may be, or not all here.
        VerificationError: a block is not what its CID says.
    """
    reader = UnixfsReader(store)
    with blocks_here():
        stat = reader.stat(module)
        if stat.kind != "file" or stat.size > MAX_MODULE_BYTES:
            raise UndeterminedError(f"its module is a {stat.kind} of {stat.size} bytes, and no module")
        with reader.open(module) as stream:
            while piece := stream.read(_PIECE_BYTES):
                yield piece


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

"""Executes Python tasks: one fresh Node process with Pyodide for each execution.

Maps a plan to the worker's start frame, serves its inputs, and imports what it gives back. Whatever goes wrong on the
host's side is `UndeterminedError`; whatever the function does is an output.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO

from runtime.engine import Execution, Plan, Progress, UndeterminedError, silent
from runtime.engine_host import EngineHost, find_host
from runtime.frames import Frame
from runtime.input_server import InputServer
from runtime.instrumentation_client import InstrumentedCache, Rewriter
from runtime.jail import JailReport, Level, at_level, require_strict
from runtime.jail_probe_client import probe, probe_layers
from runtime.node_client import find_node
from runtime.output_assembly import FRAME_TYPES, OutputAssembly
from runtime.prepared_runtime import RuntimeDirectory, open_runtime
from runtime.wheel_store import STORED, WheelCache, index_wheel
from runtime.worker_transport import Worker, start_worker
from storage.blocks import BlockStore
from storage.errors import UnavailableError, UserError, VerificationError
from storage.unixfs_read import UnixfsReader
from verifier.model import EngineInfo

ENGINE_NAME = "pyodide"
"""With the host's name behind it in receipts: pyodide-node, pyodide-bun."""

SOURCE_MOUNT = "/function"
DATA_MOUNT = "/inputs"
"""A directory is mounted here, a file as /inputs/data."""
DATA_STREAM = "/run/data"
"""What `data` reads: the file, or the tar stream of the directory; empty where there is no input."""

_PHASES = {"boot": "starting Python", "run": "running the function", "collect": "collecting outputs"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PyodideEngine:
    """Runs tasks of the profile pyodide-1. Thread-safe: every execution has its own process and readers."""

    runtimes_dir: Path
    wheels_dir: Path
    strict: bool = False
    """Refuse to run anything where a layer of the strict jail is missing."""
    level: Level | None = None
    """This level and not the best there is: for tests, and for what starts no engine of its own."""
    host: EngineHost = field(default_factory=lambda: find_host("node"))
    _live: _LiveWorkers = field(default_factory=lambda: _LiveWorkers(), repr=False, compare=False)

    def execute(self, plan: Plan, store: BlockStore, progress: Progress = silent) -> Execution:
        """Run the task once; see `runtime.engine.Engine.execute`."""
        jail = self._jail()
        runtime = open_runtime(plan.function.runtime, store, self.runtimes_dir)
        reader = UnixfsReader(store)
        server = InputServer(reader)
        with ExitStack() as stack:
            opened = _Descriptors(stack)
            instrumented = InstrumentedCache(
                self.wheels_dir / "instrumented", Rewriter(host_dir=runtime.path, node=find_node())
            )
            wheels = self._wheel_files(plan, store, opened, instrumented)
            start = _start_frame(plan, runtime, server, opened, instrumented, wheels)
            worker = stack.enter_context(
                start_worker(
                    self.host,
                    runtime.path,
                    jail=jail,
                    descriptors=opened.numbers,
                    memory_bytes=plan.input.limits.memory,
                    wall_clock_s=plan.wall_clock_s,
                )
            )
            stack.enter_context(self._live.during(worker))
            worker.send(start)
            return _converse(plan, store, worker, server, progress, self._info(jail))

    def _jail(self) -> JailReport:
        """Return the jail for workers of this engine, the strict one if that is asked for.

        Raises:
            UnavailableError: it cannot be had here.
        """
        if self.level is not None:
            report = at_level(probe_layers(), self.level)
        elif self.host.launcher:  # two programs, one of them for another machine
            report = at_level(probe_layers(), Level.NONE)
        else:
            report = probe(self.host.binary, self.host.name)
        if self.strict:
            require_strict(report)
        return report

    def _info(self, jail: JailReport) -> EngineInfo:
        host = self.host
        layers = ("process", *jail.in_force, *host.isolation, "sealed-python")
        return EngineInfo(name=f"{ENGINE_NAME}-{host.name}", version=host.version, arch=host.arch, isolation=layers)

    def stop(self) -> None:
        """End the executions that are under way and refuse later ones; see `runtime.engine.Engine.stop`."""
        self._live.stop()

    def _wheel_files(
        self, plan: Plan, store: BlockStore, opened: _Descriptors, instrumented: InstrumentedCache
    ) -> _WheelFiles:
        """List the files of all wheels with where their bytes are; compiled modules come instrumented."""
        cache = WheelCache(self.wheels_dir)
        members: dict[str, list[Any]] = {}
        digests = set()
        for wheel in plan.lock.wheels:
            file = opened.keep(cache.open(wheel, store))
            index = index_wheel(file, where=wheel.file_name)
            pack = instrumented.open_wheel(file, wheel.sha256, index, where=wheel.file_name)
            pack_fd = opened.keep(pack.file).fileno()
            modules = {module.name: module for module in pack.modules}
            for member in index:
                if member.is_dir:
                    continue
                place = [file.fileno(), member.offset, member.compressed_size, member.size, member.method]
                if (module := modules.get(member.path)) is not None:
                    place = [pack_fd, module.offset, module.size, module.size, STORED]
                    digests.add(module.sha256)
                members.setdefault(member.path, [member.path, *place])
        return _WheelFiles(
            members=[members[path] for path in sorted(members, key=str.encode)], side_modules=sorted(digests)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _WheelFiles:
    """What the worker is told of the wheels."""

    members: list[list[Any]]
    """[path, descriptor, offset, packed size, size, zip method]."""
    side_modules: list[str]
    """sha-256 of the modules that may be loaded, hex."""


class _LiveWorkers:
    """The workers of an engine, so that all of them can be ended at once."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._workers: list[Worker] = []
        self._is_stopped = False

    @contextmanager
    def during(self, worker: Worker) -> Iterator[None]:
        """Count a worker among the live ones.

        Raises:
            UndeterminedError: the engine was stopped.
        """
        with self._lock:
            if self._is_stopped:
                raise UndeterminedError("the engine was stopped")
            self._workers.append(worker)
        try:
            yield
        finally:
            with self._lock:
                self._workers.remove(worker)

    def stop(self) -> None:
        """End them all, now and later."""
        with self._lock:
            self._is_stopped = True
            for worker in self._workers:
                worker.end()


class _Descriptors:
    """Files opened for a worker; closed when the execution ends."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.numbers: list[int] = []

    def keep(self, file: BinaryIO) -> BinaryIO:
        """Hand over an open file; its descriptor keeps its number in the worker."""
        self._stack.callback(file.close)
        self.numbers.append(file.fileno())
        return file

    def open(self, path: Path) -> int:
        """Open a file for reading, hand it over and return its number."""
        return self.keep(path.open("rb")).fileno()


def _start_frame(
    plan: Plan,
    runtime: RuntimeDirectory,
    server: InputServer,
    opened: _Descriptors,
    instrumented: InstrumentedCache,
    wheels: _WheelFiles,
) -> Frame:
    mounts = _mounts(plan, server)
    main = instrumented.open_main(runtime.path / "pyodide.asm.wasm")
    limits = plan.input.limits
    return Frame(
        header={
            "type": "start",
            "runtime": {
                "glue": "./pyodide.asm.mjs",
                "wasm": {"fd": opened.keep(main.file).fileno(), "size": main.modules[0].size},
                "stdlib": _file(opened, runtime.path / "python_stdlib.zip"),
                "guest": {name: (runtime.path / "guest" / name).read_text("utf-8") for name in runtime.guest_modules},
            },
            "wheel_members": wheels.members,
            "side_modules": wheels.side_modules,
            "mounts": mounts,
            "outputs": [{"name": output.name, "path": output.path} for output in plan.input.outputs],
            "epoch": plan.input.epoch,
            "entropy_key": entropy_key(plan),
            "limits": {"fuel": limits.fuel, "memory": limits.memory, "output": limits.output},
            "guest": _guest_task(plan),
        }
    )


def _guest_task(plan: Plan) -> str:
    """Return what the guest's main reads: JSON text that Node passes on unread, since its numbers are all floats.

    Keys are sorted: the order of arguments and variables can be seen by the function, and must not depend on who
    planned the task.
    """
    task = {
        "entry": plan.function.entry,
        "args": dict(plan.input.args),
        "env": dict(plan.input.env),
        "source": f"{SOURCE_MOUNT}/function.py",
    }
    return json.dumps(task, sort_keys=True, ensure_ascii=True)


def _file(opened: _Descriptors, path: Path) -> dict[str, int]:
    return {"fd": opened.open(path), "size": path.stat().st_size}


def _mounts(plan: Plan, server: InputServer) -> list[dict[str, Any]]:
    mounts = []

    def mount(path: str, content: Any) -> None:
        handle, stat = server.hand_over(content)
        mounts.append({"path": path, "handle": handle, "kind": stat.kind, "size": stat.size})

    mount(SOURCE_MOUNT, plan.function.source)
    if plan.input.data is not None:
        handle, stat = server.hand_over(plan.input.data)
        is_directory = stat.kind == "directory"
        place = DATA_MOUNT if is_directory else f"{DATA_MOUNT}/data"
        mounts.append({"path": place, "handle": handle, "kind": stat.kind, "size": stat.size})
        stream, size = server.hand_over_tar(plan.input.data) if is_directory else (handle, stat.size)
        mounts.append({"path": DATA_STREAM, "handle": stream, "kind": "file", "size": size})
    for volume in plan.input.volumes:
        mount(volume.path, volume.cid)
    return mounts


def entropy_key(plan: Plan) -> str:
    """Return the ChaCha20 key of a task's randomness, hex: sha-256 of the seed, or of the task where none was given."""
    seed = plan.task if plan.input.seed is None else bytes.fromhex(plan.input.seed)
    kind = b"task" if plan.input.seed is None else b"seed"
    return hashlib.sha256(b"bacalhau-entropy/1\0" + kind + b"\0" + seed).hexdigest()


def _converse(
    plan: Plan, store: BlockStore, worker: Worker, server: InputServer, progress: Progress, engine: EngineInfo
) -> Execution:
    """Answer the worker until it is done."""
    assembly = OutputAssembly(store, plan.input.limits.output)
    frames = _frames(worker)
    for frame in frames:
        if frame.type in ("lookup", "list", "read"):
            worker.send(_answer(server, frame))
        elif frame.type in FRAME_TYPES:
            _take(assembly, frame, frames)
        elif frame.type == "phase":
            progress(_PHASES.get(str(frame.header.get("name")), "working"))
        elif frame.type == "done":
            return _execution(plan, frame, assembly, engine)
        elif frame.type == "failed":
            raise UndeterminedError(_first_line(str(frame.header.get("message"))))
    raise UndeterminedError("the worker stopped talking")


def _answer(server: InputServer, question: Frame) -> Frame:
    try:
        return server.answer(question)
    except UndeterminedError:
        raise
    except UnavailableError as error:
        raise UndeterminedError(error.problem, where=error.where, fix=error.fix) from error
    except UserError as error:  # a file listed, a directory read: the glue never asks so
        raise UndeterminedError(f"the worker asked wrongly: {error.problem}") from error


def _take(assembly: OutputAssembly, frame: Frame, following: Iterator[Frame]) -> None:
    try:
        assembly.take(frame, following)
    except VerificationError as error:
        raise UndeterminedError(f"the worker sent an impossible output: {error}") from error


def _frames(worker: Worker) -> Iterator[Frame]:
    while True:
        yield worker.receive()


def _execution(plan: Plan, done: Frame, assembly: OutputAssembly, engine: EngineInfo) -> Execution:
    header = done.header
    try:
        exit_code, state_digest = _exit_code(header["exit_code"]), _state_digest(header["state_digest"])
        fuel = _fuel(header["fuel"])
        timings = {str(name): _seconds(ms) for name, ms in header["timings_ms"].items()}
        output = assembly.finish(exit_code)
    except (KeyError, TypeError, ValueError, AttributeError, VerificationError) as error:
        raise UndeterminedError(f"the worker's last frame is malformed: {error}") from error
    return Execution(
        task=plan.task,
        output=output,
        exit_code=exit_code,
        fuel=fuel,
        state_digest=state_digest,
        engine=engine,
        timings_s=timings,
    )


def _exit_code(value: object) -> int:
    if type(value) is not int or not 0 <= value <= 255:
        raise ValueError(f"exit code {value!r}")
    return value


def _fuel(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"fuel {value!r}")
    return value


def _state_digest(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9a-f]{64}", value):
        raise ValueError(f"state digest {value!r}")
    return value


def _seconds(milliseconds: object) -> float:
    if not isinstance(milliseconds, int | float) or not math.isfinite(milliseconds):
        raise ValueError(f"time {milliseconds!r}")
    return milliseconds / 1000


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else "the worker failed without a message"

"""Executes Python tasks in workers: Node processes with Pyodide, started from an image, and used while pristine."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Lock as Mutex
from typing import Any, Final

from runtime.cache_counts import CacheCounts
from runtime.capacity import Room
from runtime.checkpoint_store import CheckpointStore
from runtime.engine import Execution, Plan, Progress, silent
from runtime.engine_host import EngineHost, find_host
from runtime.frames import Frame
from runtime.image_cache import ImageCache
from runtime.image_entry import OpenImage
from runtime.image_model import ImageKey
from runtime.image_source import ImageChoice, ImageSource, choose_images
from runtime.jail import JailReport, Level, at_level, require_strict
from runtime.jail_probe_client import probe, probe_layers
from runtime.pool_capacity import PoolCapacity
from runtime.preload import Statement
from runtime.prepared_runtime import RuntimeDirectory, find_runtime, open_runtime
from runtime.run_steps import DEFAULT_AFTER_S, StepKeeper, UnusableCheckpointError
from runtime.source_files import Entry, small_source
from runtime.stop_signal import StopSignal
from runtime.warm_worker import WarmWorker
from runtime.worker_files import WorkerFiles, open_files, place, repair_files
from runtime.worker_pool import WorkerPool
from runtime.worker_transport import CPU_PER_WALL, CPU_SPARE_S, Worker, start_worker, worker_memory
from storage.blocks import BlockStore
from storage.cid import CID
from storage.errors import VerificationError
from storage.unixfs_read import UnixfsReader
from verifier.model import EngineInfo

ENGINE_NAME = "pyodide"
"""With the host's name behind it in receipts: pyodide-node, pyodide-bun."""

_IDLE_S: Final = 60.0
"""How long a worker waits for the next task of its function."""

_START_S: Final = 300.0
"""Wall-clock guard of starting a process, until it was handed everything."""

_BUILD_MEMORY: Final = 1 << 30
"""What making an image may take, as js_host/build.mjs has it."""


def make_pool(room: Room | None = None) -> WorkerPool[WarmWorker]:
    """Return a pool for an engine. room: what its workers get together, None for what this machine has."""
    capacity = PoolCapacity.of_machine() if room is None else PoolCapacity.of_room(room)
    return WorkerPool(capacity=capacity, idle_timeout_s=_IDLE_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class PyodideEngine:
    """Runs tasks of the profile pyodide-1. Thread-safe: a worker runs one task at a time, and serves one function."""

    runtimes_dir: Path
    wheels_dir: Path
    images_dir: Path | None = None
    """Beside the wheels where it is not given."""
    checkpoints_dir: Path | None = None
    """Without one every execution runs whole."""
    checkpoint_after_s: float = DEFAULT_AFTER_S
    """How long steps of a function must have taken for a checkpoint."""
    strict: bool = False
    """Refuse to run anything where a layer of the strict jail is missing."""
    level: Level | None = None
    """This level and not the best there is: for tests, and for what starts no engine of its own."""
    host: EngineHost = field(default_factory=lambda: find_host("node"))
    keeps_workers: bool = True
    """Whether a worker is used again; without, every execution has a process of its own."""
    pool: WorkerPool[WarmWorker] = field(default_factory=lambda: make_pool(), repr=False, compare=False)
    caches: CacheCounts = field(default_factory=CacheCounts, repr=False, compare=False)
    _known: _Known = field(default_factory=lambda: _Known(), repr=False, compare=False)

    def execute(
        self, plan: Plan, store: BlockStore, progress: Progress = silent, stop: StopSignal | None = None
    ) -> Execution:
        """Run the task once; see `runtime.engine.Engine.execute`."""
        stop = stop or StopSignal()
        jail = self._jail()
        choice = self._known.choice(plan, store)
        start = partial(self._start, plan, store, jail, choice, progress)
        memory = worker_memory(plan.input.limits.memory)
        resumes = True
        while True:
            with (
                self.pool.lease(self._pool_key(plan, choice), memory, start) as lease,
                stop.ending(lease.worker.worker.stop),
            ):
                if not lease.worker.is_ready():  # spent: the pool ends it, and gives another one
                    continue
                is_last = not self.keeps_workers
                try:
                    execution = lease.worker.run(plan, store, progress, is_last=is_last, resumes=resumes)
                except UnusableCheckpointError:
                    progress("a checkpoint could not be used: running the function from its beginning")
                    resumes = False
                    continue
                if self.keeps_workers:
                    lease.keep()
                return execution

    def stop(self) -> None:
        """End the executions that are under way and refuse later ones; see `runtime.engine.Engine.stop`."""
        self.pool.close()

    def _pool_key(self, plan: Plan, choice: ImageChoice) -> tuple[object, ...]:
        """A worker serves one function of one submitter, in the jail and with the limits that it was started with."""
        made = (self.host, self.level, self.strict, self.runtimes_dir, self.checkpoints_dir)
        return (made, plan.submitter, plan.function_cid, choice, plan.input.limits.memory)

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

    def _source(self) -> ImageSource:
        """Images are kept by who made them: engines vouch for each other by making the same, not by sharing."""
        directory = self.images_dir or self.wheels_dir.parent / "images"
        return self._known.source(directory / self._maker(), self.caches)

    def _start(
        self, plan: Plan, store: BlockStore, jail: JailReport, choice: ImageChoice, progress: Progress
    ) -> WarmWorker:
        """Start a worker for a task's function: from its image, which is made if it is not there."""
        try:
            return self._start_once(plan, store, jail, choice, progress, checks=False)
        except VerificationError:
            progress("repairing files that were harmed on the disk")
            runtime = open_runtime(plan.python.runtime, store, self.runtimes_dir)
            repair_files(runtime, plan.lock, store, self.wheels_dir)
            return self._start_once(plan, store, jail, choice, progress, checks=True)

    def _start_once(
        self, plan: Plan, store: BlockStore, jail: JailReport, choice: ImageChoice, progress: Progress, *, checks: bool
    ) -> WarmWorker:
        runtime = find_runtime(plan.python.runtime, store, self.runtimes_dir)
        memory = plan.input.limits.memory
        builder = partial(self._start_builder, plan, store, jail, runtime)
        with ExitStack() as stack:
            began = time.monotonic()
            image = self._source().open(choice, memory, builder, progress, checks=checks)
            stack.callback(image.close)
            image_s = time.monotonic() - began
            opened = open_files(stack, runtime, plan.lock, store, self.wheels_dir, self.caches)
            source = small_source(UnixfsReader(store), plan.python.source)
            cpu_s = int(plan.wall_clock_s * CPU_PER_WALL) + CPU_SPARE_S
            worker = self._process(stack, opened, image, jail, memory_bytes=memory, cpu_s=cpu_s, source=source)
            return WarmWorker(
                worker=worker,
                engine=self._info(jail),
                memory_bytes=worker_memory(memory),
                has_source=source is not None,
                steps=self._steps(image, source),
                resources=stack.pop_all(),
                image_s=image_s,
            )

    def _steps(self, image: OpenImage, source: list[Entry] | None) -> StepKeeper | None:
        """Return what a worker needs for checkpoints: its function's whole directory, and a place for them."""
        if self.checkpoints_dir is None or source is None:
            return None
        store = CheckpointStore(directory=self.checkpoints_dir / self._maker())
        return StepKeeper(store=store, image=image.cid, entries=source, after_s=self.checkpoint_after_s)

    def _maker(self) -> str:
        """Name the engine: what one of another kind, version or architecture has made is not used."""
        return f"{self.host.name}-{self.host.version}-{self.host.arch}"

    def _start_builder(
        self,
        plan: Plan,
        store: BlockStore,
        jail: JailReport,
        runtime: RuntimeDirectory,
        stack: ExitStack,
        key: ImageKey,
        base: OpenImage | None,
        statements: tuple[Statement, ...],
    ) -> Worker:
        """Start a worker that makes an image. One that is for all locks sees nothing of this task's."""
        lock = None if key.lock is None else plan.lock
        opened = open_files(stack, runtime, lock, store, self.wheels_dir, self.caches)
        return self._process(
            stack, opened, base, jail, memory_bytes=_BUILD_MEMORY, cpu_s=CPU_SPARE_S, preload=statements
        )

    def _process(
        self,
        stack: ExitStack,
        opened: WorkerFiles,
        image: OpenImage | None,
        jail: JailReport,
        *,
        memory_bytes: int,
        cpu_s: int,
        source: list[Entry] | None = None,
        preload: tuple[Statement, ...] | None = None,
    ) -> Worker:
        """Start a process and hand it over what it works with; it is ended with the stack.

        What it is handed is checked meanwhile: the runtime while the process starts, the rest while it boots. It is
        told of nothing that was not checked.
        """
        descriptors = opened.descriptors.numbers + ([] if image is None else [image.memory.fileno()])
        worker = start_worker(
            self.host,
            opened.runtime.path,
            jail=jail,
            descriptors=descriptors,
            memory_bytes=memory_bytes,
            cpu_s=cpu_s,
        )
        stack.callback(worker.close)
        stack.enter_context(self.pool.ending(worker.stop))
        with worker.within(_START_S):
            kind = {"starts_python": image is None, "makes_image": preload is not None}
            worker.send(Frame(header={"type": "open", **kind, **opened.describe_runtime()}))
            handed, payload = _describe(image)
            handed |= {"type": "equip", "preload": preload, "source": source, **opened.describe_wheels()}
            worker.send(Frame(header=handed, payload=payload))
        return worker


def _describe(image: OpenImage | None) -> tuple[dict[str, Any], bytes]:
    """Check an image, and return field and payload that tell a worker of it.

    Raises:
        VerificationError: it was harmed.
    """
    if image is None:
        return {"image": None}, b""
    image.check()
    sizes = {"pages_bytes": len(image.page_hashes), "state_bytes": len(image.state_text)}
    described = {"memory": place(image.memory, image.memory_bytes), **sizes}
    return {"image": described}, image.page_hashes + image.state_text


class _Known:
    """What was found out already: which images functions start from, and which of them are whole on the disk.

    And the processes there are: the pool knows only those that are ready, not those that make an image.
    """

    def __init__(self) -> None:
        self._lock = Mutex()
        self._choices: dict[tuple[CID, bool], ImageChoice] = {}
        self._sources: dict[Path, ImageSource] = {}

    def source(self, directory: Path, counts: CacheCounts) -> ImageSource:
        """Return the images in a directory; each is checked once."""
        with self._lock:
            made = ImageSource(cache=ImageCache(directory), counts=counts)
            return self._sources.setdefault(directory, made)

    def choice(self, plan: Plan, store: BlockStore) -> ImageChoice:
        """Return the images of a plan, looked at once for each function."""
        key = (plan.function_cid, bool(plan.input.env))
        with self._lock:
            known = self._choices.get(key)
        if known is None:
            known = choose_images(plan, store)
            with self._lock:
                self._choices[key] = known
        return known

"""One scratch home for a run of the benchmark: store, caches, engines, and the others that we compare with.

Everything lies below one temporary directory. What is costly to make is made when it is first needed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from bench.docker_image import DockerImage, NoDockerError, make_image
from bench.native import NativePython, make_native
from bench.programs import PANDAS_REQUIREMENT, Program
from bench.scale import Scale
from runtime.engine import Execution, Plan
from runtime.npm_client import pyodide_package
from runtime.plan import make_plan
from runtime.prepare import prepare
from runtime.pyodide_engine import PyodideEngine
from runtime.request import Request
from runtime.wheel_store import WheelCache
from storage.cid import CID
from storage.sqlite_block_store import SqliteBlockStore
from storage.unixfs_import import Importer
from storage.unixfs_read import UnixfsReader

T = TypeVar("T")

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Workplace:
    """The things that measurements share. The caller closes it."""

    def __init__(self, home: Path, scale: Scale) -> None:
        self.home = home
        self.scale = scale
        self.store = SqliteBlockStore(home / "blocks.sqlite")
        self.package = pyodide_package(home / "cache")
        self._image: DockerImage | NoDockerError | None = None
        self._wheel_folders: dict[str, Path] = {}

    def close(self) -> None:
        """Let go of what would stay behind outside the home."""
        if isinstance(self._image, DockerImage):
            self._image.remove()
        self.store.close()

    @contextmanager
    def engine(self, caches: Path | None = None) -> Iterator[PyodideEngine]:
        """Yield an engine that has nothing warm, and stop it at the end.

        caches: a folder for what an engine keeps on disk; None is the one that all rows fill.
        """
        caches = self.home if caches is None else caches
        engine = PyodideEngine(runtimes_dir=caches / "runtimes", wheels_dir=caches / "wheels")
        try:
            yield engine
        finally:
            engine.stop()

    def execute(self, engine: PyodideEngine, plan: Plan) -> Execution:
        """Execute a plan.

        Raises:
            RuntimeError: the program did not end well, so its time means nothing.
        """
        execution = engine.execute(plan, self.store)
        if execution.exit_code != 0:
            reader = UnixfsReader(self.store)
            said = reader.read_bytes(reader.resolve(execution.output, "stderr"), 1 << 20).decode("utf-8", "replace")
            raise RuntimeError(f"the measured program ended with exit code {execution.exit_code}: {said}")
        return execution

    def script(self, code: str, requirements: str = "") -> Plan:
        """Plan a script with its packages."""
        return self._prepare(Request(code=code, requirements=self._file("requirements.txt", requirements)))

    def function(self, program: Program) -> Plan:
        """Plan a function, without input yet."""
        source, requirements = self._file("function.py", program.source), self._file("r.txt", program.requirements)
        return self._prepare(Request(function=source, requirements=requirements))

    def _prepare(self, request: Request) -> Plan:
        with self.engine() as engine:
            return prepare(request, store=self.store, cache_dir=self.home / "cache", engine=engine)

    def with_input(self, plan: Plan, program: Program, number: int) -> Plan:
        """Return the plan of the same function for the input of a number, its blocks in the store."""
        data = program.data(number)
        cid = Importer(self.store).bytes(data).cid if data else None
        return self.with_data(plan, cid, program.args(number))

    def with_data(self, plan: Plan, data: CID | None, args: dict[str, Any] | None = None) -> Plan:
        """Return the plan of the same function for data that is in the store."""
        input_ = replace(plan.input, args=args or {}, data=data)
        return make_plan(plan.function, input_, plan.lock, store=self.store, wall_clock_s=plan.wall_clock_s)

    def wheel_folder(self, plan: Plan) -> Path:
        """Return a folder with the plan's wheels under the names that Pyodide looks for."""
        names = ",".join(wheel.file_name for wheel in plan.lock.wheels)
        if names not in self._wheel_folders:
            folder = self.home / f"packages-{len(self._wheel_folders)}"
            folder.mkdir()
            cache = WheelCache(self.home / "wheels")
            for wheel in plan.lock.wheels:
                with cache.open(wheel, self.store) as file, (folder / wheel.file_name).open("wb") as copy:
                    shutil.copyfileobj(file, copy)
            self._wheel_folders[names] = folder
        return self._wheel_folders[names]

    @cached_property
    def native(self) -> NativePython:
        """CPython of this machine with pandas."""
        return make_native(self.home / "native", PANDAS_REQUIREMENT)

    def docker(self) -> DockerImage:
        """Return an image of the native Python.

        Raises:
            NoDockerError: there is no Docker here, or it cannot run the image.
        """
        if self._image is None:
            try:
                self._image = make_image(self.native)
            except NoDockerError as error:
                self._image = error
        if isinstance(self._image, NoDockerError):
            raise self._image
        return self._image

    def others(self) -> list[str]:
        """Return the versions of what we were compared with so far."""
        native = [f"native pandas {self.native.pandas}"] if "native" in self.__dict__ else []
        return [*native, *([f"Docker {self._image.version}"] if isinstance(self._image, DockerImage) else [])]

    def _file(self, name: str, text: str) -> Path:
        file = self.home / name
        file.write_text(text)
        return file


def on_all_cores(work: Callable[[T], object], items: Iterable[T] | Sequence[T]) -> None:
    """Do each item's work, as many at a time as there are cores; the first failure ends it."""
    pool = ThreadPoolExecutor(CORES)
    try:
        for _ in pool.map(work, items):
            pass
    finally:
        pool.shutdown(wait=True, cancel_futures=True)

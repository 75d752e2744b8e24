"""What a worker is handed when it starts: the runtime's files, the wheels of a lock, and an image to start from."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from runtime.instrumentation_client import InstrumentedCache, Rewriter
from runtime.node_client import find_node
from runtime.prepared_runtime import RuntimeDirectory
from runtime.wheel_store import STORED, WheelCache, index_wheel
from storage.blocks import BlockStore
from verifier.model import Lock


class Descriptors:
    """Files opened for a worker; closed when the stack is."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.numbers: list[int] = []

    def keep(self, file: BinaryIO) -> BinaryIO:
        """Hand over an open file; its descriptor keeps its number in the worker."""
        self._stack.callback(file.close)
        self.numbers.append(file.fileno())
        return file

    def open(self, path: Path) -> dict[str, int]:
        """Open a file for reading, hand it over and return where the worker finds it."""
        return place(self.keep(path.open("rb")), path.stat().st_size)


def place(file: BinaryIO, size: int) -> dict[str, int]:
    """Describe an open file, size in bytes, to a worker."""
    return {"fd": file.fileno(), "size": size}


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelFiles:
    """What the worker is told of the wheels."""

    members: list[list[Any]]
    """[path, descriptor, offset, packed size, size, zip method]."""
    side_modules: list[str]
    """sha-256 of the modules that may be loaded, hex."""
    state_keepers: list[str]
    """sha-256 of those that can keep state outside their memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerFiles:
    """Everything but an image."""

    runtime: RuntimeDirectory
    descriptors: Descriptors
    described: dict[str, Any]
    """Fields of the frame that opens a worker."""


def open_files(
    stack: ExitStack, runtime: RuntimeDirectory, lock: Lock | None, store: BlockStore, wheels_dir: Path
) -> WorkerFiles:
    """Open and check the files of a runtime and of the wheels of a lock; they are closed with the stack."""
    opened = Descriptors(stack)
    wheels = wheel_files(lock, store, wheels_dir, runtime, opened)
    described = {
        "runtime": runtime_files(runtime, wheels_dir, opened),
        "wheel_members": wheels.members,
        "side_modules": wheels.side_modules,
        "state_keepers": wheels.state_keepers,
    }
    return WorkerFiles(runtime=runtime, descriptors=opened, described=described)


def runtime_files(runtime: RuntimeDirectory, wheels_dir: Path, opened: Descriptors) -> dict[str, Any]:
    """Open the files of a runtime, its main module instrumented, and describe them to a worker."""
    main = instrumented_cache(runtime, wheels_dir).open_main(runtime.path / "pyodide.asm.wasm")
    return {
        "glue": "./pyodide.asm.mjs",
        "wasm": place(opened.keep(main.file), main.modules[0].size),
        "stdlib": opened.open(runtime.path / "python_stdlib.zip"),
        "guest": {name: (runtime.path / "guest" / name).read_text("utf-8") for name in runtime.guest_modules},
    }


def wheel_files(
    lock: Lock | None, store: BlockStore, wheels_dir: Path, runtime: RuntimeDirectory, opened: Descriptors
) -> WheelFiles:
    """Open the wheels of a lock and list their files; compiled modules come instrumented."""
    cache, instrumented = WheelCache(wheels_dir), instrumented_cache(runtime, wheels_dir)
    members: dict[str, list[Any]] = {}
    digests: set[str] = set()
    keepers: set[str] = set()
    for wheel in lock.wheels if lock is not None else ():
        file = opened.keep(cache.open(wheel, store))
        index = index_wheel(file, where=wheel.file_name)
        pack = instrumented.open_wheel(file, wheel.sha256, index, where=wheel.file_name)
        pack_fd = opened.keep(pack.file).fileno()
        modules = {module.name: module for module in pack.modules}
        for member in index:
            if member.is_dir:
                continue
            where = [file.fileno(), member.offset, member.compressed_size, member.size, member.method]
            if (module := modules.get(member.path)) is not None:
                where = [pack_fd, module.offset, module.size, module.size, STORED]
                digests.add(module.sha256)
                if module.keeps_state:
                    keepers.add(module.sha256)
            members.setdefault(member.path, [member.path, *where])
    return WheelFiles(
        members=[members[path] for path in sorted(members, key=str.encode)],
        side_modules=sorted(digests),
        state_keepers=sorted(keepers),
    )


def instrumented_cache(runtime: RuntimeDirectory, wheels_dir: Path) -> InstrumentedCache:
    """Return the cache of modules instrumented by a runtime's own rewriter."""
    return InstrumentedCache(wheels_dir / "instrumented", Rewriter(host_dir=runtime.path, node=find_node()))

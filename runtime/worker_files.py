"""What a worker is handed when it starts: the runtime's files, the wheels of a lock, and an image to start from."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from runtime.cache_counts import WHEEL, CacheCounts
from runtime.instrumentation_client import InstrumentedCache, Rewriter
from runtime.instrumented_pack import check_pack
from runtime.node_client import find_node
from runtime.prepared_runtime import RuntimeDirectory
from runtime.wheel_sources import sha256_of
from runtime.wheel_store import STORED, WheelCache, index_wheel
from storage.blocks import BlockStore
from storage.errors import VerificationError
from verifier.model import Lock, Wheel


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
class WorkerFiles:
    """What a worker is handed beside an image, its descriptors open and not yet checked."""

    runtime: RuntimeDirectory
    descriptors: Descriptors
    main: BinaryIO
    """Pack of the instrumented main module."""
    stdlib: dict[str, int]
    wheels: tuple[tuple[Wheel, BinaryIO, BinaryIO], ...]
    """Each with its file and the pack of its instrumented modules."""

    def describe_runtime(self) -> dict[str, Any]:
        """Check the runtime's files, and return the fields of the frame `open`.

        Raises:
            VerificationError: a file was harmed.
        """
        self.runtime.check()
        main = check_pack(self.main)
        if main is None:
            raise _harmed("the runtime's main module")
        modules_dir = self.runtime.path / "guest"
        return {
            "glue": "./pyodide.asm.mjs",
            "wasm": place(self.main, main.modules[0].size),
            "stdlib": self.stdlib,
            "guest": {name: (modules_dir / name).read_text("utf-8") for name in self.runtime.guest_modules},
        }

    def describe_wheels(self) -> dict[str, Any]:
        """Check the wheels, and return what the frame `equip` says of them.

        Raises:
            VerificationError: a file was harmed, or a wheel is not what its lock says.
        """
        members: dict[str, list[Any]] = {}
        digests: set[str] = set()
        keepers: set[str] = set()
        for wheel, file, pack_file in self.wheels:
            pack = check_pack(pack_file)
            if pack is None or sha256_of(file) != wheel.sha256:
                raise _harmed(wheel.file_name)
            modules = {module.name: module for module in pack.modules}
            for member in index_wheel(file, where=wheel.file_name):
                if member.is_dir:
                    continue
                where = [file.fileno(), member.offset, member.compressed_size, member.size, member.method]
                if (module := modules.get(member.path)) is not None:
                    where = [pack_file.fileno(), module.offset, module.size, module.size, STORED]
                    digests.add(module.sha256)
                    if module.keeps_state:
                        keepers.add(module.sha256)
                members.setdefault(member.path, [member.path, *where])
        return {
            "wheel_members": [members[path] for path in sorted(members, key=str.encode)],
            "side_modules": sorted(digests),
            "state_keepers": sorted(keepers),
        }


def open_files(
    stack: ExitStack,
    runtime: RuntimeDirectory,
    lock: Lock | None,
    store: BlockStore,
    wheels_dir: Path,
    counts: CacheCounts,
) -> WorkerFiles:
    """Open the files of a runtime and of the wheels of a lock, made where they are not there; closed with the stack.

    They are checked when they are described, while the worker that was given their descriptors starts.
    """
    opened = Descriptors(stack)
    instrumented = InstrumentedCache(wheels_dir / "instrumented", Rewriter(host_dir=runtime.path, node=find_node()))
    wasm = runtime.path / "pyodide.asm.wasm"
    with wasm.open("rb") as module:
        main = instrumented.find("main", hashlib.file_digest(module, "sha256").hexdigest())
    if main is None:
        runtime.check()  # for it rewrites the module
        main = instrumented.open_main(wasm).file
    kept = opened.keep(main)
    cache, wheels = WheelCache(wheels_dir), []
    for wheel in lock.wheels if lock is not None else ():
        file, pack = cache.find(wheel), instrumented.find("side", wheel.sha256)
        counts.add(WHEEL, found=file is not None and pack is not None)
        if file is None or pack is None:
            for found in (file, pack):
                if found is not None:
                    found.close()
            runtime.check()
            file, pack = _make_wheel(wheel, store, cache, instrumented)
        wheels.append((wheel, opened.keep(file), opened.keep(pack)))
    return WorkerFiles(
        runtime=runtime,
        descriptors=opened,
        main=kept,
        stdlib=opened.open(runtime.path / "python_stdlib.zip"),
        wheels=tuple(wheels),
    )


def repair_files(runtime: RuntimeDirectory, lock: Lock | None, store: BlockStore, wheels_dir: Path) -> None:
    """Check the files of a runtime and of the wheels of a lock one by one, and make anew what was harmed."""
    instrumented = InstrumentedCache(wheels_dir / "instrumented", Rewriter(host_dir=runtime.path, node=find_node()))
    instrumented.open_main(runtime.path / "pyodide.asm.wasm").file.close()
    for wheel in lock.wheels if lock is not None else ():
        for file in _make_wheel(wheel, store, WheelCache(wheels_dir), instrumented):
            file.close()


def _make_wheel(
    wheel: Wheel, store: BlockStore, cache: WheelCache, instrumented: InstrumentedCache
) -> tuple[BinaryIO, BinaryIO]:
    file = cache.open(wheel, store)
    try:
        index = index_wheel(file, where=wheel.file_name)
        return file, instrumented.open_wheel(file, wheel.sha256, index, where=wheel.file_name).file
    except BaseException:
        file.close()
        raise


def _harmed(what: str) -> VerificationError:
    return VerificationError("was harmed on the disk", where=what)

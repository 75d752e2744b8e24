"""What a worker of a cluster need not make because another one has: images, and instrumented modules.

They depend on the task alone, and take long to make. The node knows by which CID the first worker gave them; they come
by that CID, and go into the caches of this worker. That they were made rightly cannot be told from their bytes: node
and workers are one operator's, and the node's receipts vouch for what any of them does.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Final

from runtime.engine import Plan
from runtime.image_cache import ImageCache
from runtime.image_model import ImageKey
from runtime.image_source import choose_images
from runtime.instrumentation_client import InstrumentedCache, Rewriter
from runtime.node_client import find_node
from runtime.prepared_runtime import find_runtime
from storage.blocks import BlockStore
from storage.cid import CID
from storage.errors import UnavailableError, VerificationError
from storage.unixfs_import import Importer
from storage.unixfs_read import UnixfsReader

MAX_SEEN: Final = 10_000
"""Functions that are not asked about again."""
_PIECE_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """One thing in the caches of a worker."""

    name: str
    """The same at every worker that may have it of another."""
    is_here: Callable[[], bool]
    bring: Callable[[CID, BlockStore], None]
    """Puts it into the cache, from a store."""
    give: Callable[[BlockStore], CID]
    """Puts it into a store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerCaches:
    """The caches of a worker, for several executions at once."""

    runtimes_dir: Path
    wheels_dir: Path
    images_dir: Path
    """Of one JavaScript engine: engines do not share images, whatever they are called."""
    _seen: set[tuple[str, CID]] = field(default_factory=set)
    """Nodes and functions: everything for the function is here, and with the node."""
    _lock: Lock = field(default_factory=Lock, repr=False, compare=False)

    def bring(self, node: str, plan: Plan, store: BlockStore, ask: Callable[[str], CID | None]) -> tuple[Shared, ...]:
        """Bring here what is missing for a task and can be had; return what the node does not know.

        node: which one, anew when it has been restarted. store: gives its blocks. ask: by which CID it knows a thing,
        None if it does not.

        Raises:
            LostWorkerError: the node is gone.
        """
        with self._lock:
            if (node, plan.function_cid) in self._seen:
                return ()
        unknown = []
        for shared in self._things(plan, store):
            cid = ask(shared.name)
            if cid is None:
                unknown.append(shared)
            elif not shared.is_here():
                try:
                    shared.bring(cid, store)
                except (UnavailableError, VerificationError):
                    continue  # then it is made here; a node that is gone is noticed by whoever asks it next
        return tuple(unknown)

    def give(self, node: str, plan: Plan, unknown: tuple[Shared, ...], store: BlockStore) -> list[tuple[str, CID]]:
        """Put what the node does not know into a store, after an execution; return names and CIDs."""
        given = [(shared.name, shared.give(store)) for shared in unknown if shared.is_here()]
        with self._lock:
            if len(self._seen) >= MAX_SEEN:
                self._seen.clear()
            self._seen.add((node, plan.function_cid))
        return given

    def _things(self, plan: Plan, store: BlockStore) -> Iterator[Shared]:
        runtime = find_runtime(plan.python.runtime, store, self.runtimes_dir).path
        packs = InstrumentedCache(self.wheels_dir / "instrumented", Rewriter(host_dir=runtime, node=find_node()))
        with (runtime / "pyodide.asm.wasm").open("rb") as module:
            yield _pack(packs.path_of("main", hashlib.file_digest(module, "sha256").hexdigest()))
        for wheel in plan.lock.wheels:
            yield _pack(packs.path_of("side", wheel.sha256))
        yield self._image(choose_images(plan, store).keys[0])

    def _image(self, key: ImageKey) -> Shared:
        cache = ImageCache(self.images_dir)
        return Shared(
            name=f"image {self.images_dir.name} {key.name}",
            is_here=(self.images_dir / key.name).is_dir,
            bring=lambda cid, store: cache.fetch(key, cid, store).close(),
            give=lambda store: cache.export(key, store),
        )


def _pack(path: Path) -> Shared:
    """Return a pack of instrumented modules; whoever opens it checks that it is whole."""

    def bring(cid: CID, store: BlockStore) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".partial-")
        try:
            with os.fdopen(handle, "wb") as file, UnixfsReader(store).open(cid) as blocks:
                shutil.copyfileobj(blocks, file, _PIECE_BYTES)
            Path(name).chmod(0o444)
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)

    def give(store: BlockStore) -> CID:
        with path.open("rb") as file:
            return Importer(store).file(file).cid

    return Shared(name=f"pack {path.name}", is_here=path.is_file, bring=bring, give=give)

"""Which image a task starts from, and making it where it is not there.

Three kinds, each made from the one before: Python booted and sealed; the same with what functions use of the standard
library; the same with a lock's packages, as far as the function's own statements import them. Which one a task gets
depends on its task alone, so that it is the same on every node:

- with variables in its environment, nothing of its lock is imported ahead, because packages read them;
- where an import ahead would come before a module of the function's own directory, it is left out;
- an image that is larger than the task's memory is not used.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any, BinaryIO, Final, Protocol

from runtime.cache_counts import IMAGE, CacheCounts
from runtime.engine import Plan, Progress, UndeterminedError
from runtime.image_cache import ImageCache
from runtime.image_entry import OpenImage
from runtime.image_model import MAX_STATE_BYTES, ImageKey
from runtime.preload import STANDARD, Statement, local_names, statements_of
from runtime.warm_worker import failure
from runtime.worker_transport import Worker
from storage.blocks import BlockStore
from storage.unixfs_read import UnixfsReader

_MOST_ATTEMPTS: Final = 12
"""Statements that turn out unfit one after the other before none is imported ahead."""

_BUILD_S: Final = 900.0
"""Wall-clock guard of making one image."""

MOST_MEMORY_BYTES: Final = 2 << 30


class StartBuilder(Protocol):
    """Starts workers that make images."""

    def __call__(
        self, stack: ExitStack, *, key: ImageKey, base: OpenImage | None, statements: tuple[Statement, ...]
    ) -> Worker:
        """Start one that makes the image of a key, from another or from nothing, with these of its statements.

        It ends with the stack.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageChoice:
    """The images that a task may start from, the best one first. Compares by content: the same for tasks alike."""

    keys: tuple[ImageKey, ...]
    local: frozenset[str]
    """Names that the function's own directory provides."""


def choose_images(plan: Plan, store: BlockStore) -> ImageChoice:
    """Return the images for a task: cheap, and the same on every node."""
    reader = UnixfsReader(store)
    runtime = plan.python.runtime
    boot = ImageKey(runtime=runtime, lock=None)
    standard = ImageKey(runtime=runtime, lock=None, preload=STANDARD)
    keys = [standard, boot]
    if plan.lock.wheels and not plan.input.env:
        statements = statements_of(reader, plan.python.source)
        if statements:
            keys.insert(0, ImageKey(runtime=runtime, lock=plan.python.lock, preload=statements))
    return ImageChoice(keys=tuple(keys), local=local_names(reader, plan.python.source))


@dataclass(slots=True, kw_only=True)
class ImageSource:
    """Images from a cache, and made where they are not there."""

    cache: ImageCache
    counts: CacheCounts = field(default_factory=CacheCounts)

    def open(
        self, choice: ImageChoice, memory_bytes: int, start: StartBuilder, progress: Progress, *, checks: bool
    ) -> OpenImage:
        """Return the first image of a choice that fits. The caller closes it.

        memory_bytes: the task's limit; checks: see `ImageCache.open_or_make`.
        """
        for place, key in enumerate(choice.keys[:-1]):
            image = self._open(key, choice.keys[place + 1 :], start, progress, checks=checks)
            if choice.local.isdisjoint(image.state["imported"]) and image.memory_bytes <= memory_bytes:
                return image
            image.close()
        return self._open(choice.keys[-1], (), start, progress, checks=checks)

    def _open(
        self,
        key: ImageKey,
        below: tuple[ImageKey, ...],
        start: StartBuilder,
        progress: Progress,
        *,
        checks: bool = True,
    ) -> OpenImage:
        """Open an image, made from the images below it where it is not there."""

        is_here = True

        def make(memory: BinaryIO) -> dict[str, Any]:
            nonlocal is_here
            is_here = False
            with ExitStack() as stack:
                base = self._open(below[0], below[1:], start, progress) if below else None
                if base is not None:
                    stack.callback(base.close)
                return _make(key, base, start, memory, progress)

        image = self.cache.open_or_make(key, make, progress, checks=checks)
        self.counts.add(IMAGE, found=is_here)
        return image


def _make(
    key: ImageKey, base: OpenImage | None, start: StartBuilder, memory: BinaryIO, progress: Progress
) -> dict[str, Any]:
    """Make an image with as many of its statements as are fit for it."""
    left = key.preload
    for attempt in range(_MOST_ATTEMPTS + 1):
        answer = _try(left, partial(start, key=key, base=base, statements=left), memory, progress)
        if isinstance(answer, dict):
            return answer | {"imported": _imported(answer, base)}
        left = left[:answer] + left[answer + 1 :] if attempt < _MOST_ATTEMPTS - 1 else ()
    raise UndeterminedError("the image cannot be made, not even without packages")


def _imported(state: dict[str, Any], base: OpenImage | None) -> list[str]:
    """Return the modules that an image holds beyond those that are there when Python has booted."""
    if base is None:
        return []
    booted = {*base.state["modules"]} - {*base.state["imported"]}
    return sorted({*state["modules"]} - booted)


def _try(
    statements: tuple[Statement, ...], start: Callable[[ExitStack], Worker], memory: BinaryIO, progress: Progress
) -> dict[str, Any] | int:
    """Return the state of an image, its memory written; or the number of the first statement that is unfit."""
    with ExitStack() as stack:
        worker = start(stack)
        with worker.within(_BUILD_S):
            while True:
                frame = worker.receive()
                if frame.type == "phase" and "statement" in frame.header:
                    module, _ = statements[_number(frame.header["statement"], len(statements))]
                    if statements[: len(STANDARD)] != STANDARD:
                        progress(f"making an image: importing {module}")
                    elif module == STANDARD[0][0]:
                        progress("making an image: importing the standard library")
                elif frame.type == "phase":
                    progress("making an image: starting Python")
                if frame.type == "unfit":
                    return _number(frame.header.get("statement"), len(statements))
                if frame.type == "failed":
                    raise failure(frame)
                if frame.type == "image":
                    return _read_image(worker, frame.header, memory)


def _number(value: object, count: int) -> int:
    if type(value) is not int or not 0 <= value < count:
        raise UndeterminedError(f"the worker named statement {value!r}")
    return value


def _read_image(worker: Worker, header: dict[str, Any], memory: BinaryIO) -> dict[str, Any]:
    """Read state and memory as the worker sends them; both are bounded."""
    state_bytes, memory_bytes, modules = header.get("state_bytes"), header.get("memory_bytes"), header.get("modules")
    if type(state_bytes) is not int or type(memory_bytes) is not int or not isinstance(modules, list):
        raise UndeterminedError("the worker described an image wrongly")
    if not 0 < state_bytes <= MAX_STATE_BYTES or not 0 < memory_bytes <= MOST_MEMORY_BYTES or memory_bytes % 65536:
        raise UndeterminedError("the worker made an image of an impossible size")
    text = b"".join(_pieces(worker, state_bytes))
    memory.seek(0)
    memory.truncate()
    memory.writelines(_pieces(worker, memory_bytes))
    try:
        return {"instance": json.loads(text), "modules": [str(name) for name in modules]}
    except ValueError as error:
        raise UndeterminedError("the worker's image is not JSON") from error


def _pieces(worker: Worker, size: int) -> Iterator[bytes]:
    left = size
    while left > 0:
        frame = worker.receive()
        if frame.type != "piece" or not 0 < len(frame.payload) <= left:
            raise UndeterminedError("the worker sent less of an image than it promised")
        left -= len(frame.payload)
        yield frame.payload

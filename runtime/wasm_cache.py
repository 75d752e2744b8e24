"""Compiled modules on this machine, so that one is compiled once. May be deleted at any time.

A file here is code that workers run. It is made by a worker of this machine before the module has run, never taken from
anyone, written for its owner alone, put in place whole, and read only if its owner is this user and its
content is what was written. Its name says of what, by what, and for which processor it was made; the engine looks at
that once more. A worker that runs a module has no way to write here.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Final

from storage.cid import CID
from storage.file_lock import hold_if_free

MAX_BYTES: Final = 2 << 30
"""Of all; the least recently used go first."""
MAX_COMPILED_BYTES: Final = 1 << 30
"""Of one."""
_DIGEST_BYTES: Final = 32
_CPUINFO: Final = Path("/proc/cpuinfo")
_SUFFIX: Final = ".cwasm"
_LOCK: Final = ".lock"
_POLL_S: Final = 0.05
"""A lock that is waited for in the kernel cannot be given up."""


class CompiledCache:
    """Compiled modules in one directory. For several threads and processes at once."""

    def __init__(self, directory: Path, *, max_bytes: int = MAX_BYTES) -> None:
        self._directory = directory
        self._max_bytes = max_bytes

    def find(self, module: CID, runtime: CID) -> bytes | None:
        """Return what a module was compiled to; None if it is not here, or is not as it was written."""
        path = self._path(module, runtime)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            if not _is_ours(os.fstat(file.fileno())):
                return None
            data = file.read(MAX_COMPILED_BYTES + _DIGEST_BYTES)
        digest, compiled = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
        if hashlib.sha256(compiled).digest() != digest:
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return compiled

    def keep(self, module: CID, runtime: CID, compiled: bytes) -> None:
        """Keep what a module was compiled to. Where that is not possible, it is compiled again the next time."""
        if len(compiled) > min(MAX_COMPILED_BYTES, self._max_bytes):
            return
        with contextlib.suppress(OSError):
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not _is_ours(self._directory.stat()):
                return
            self._evict(len(compiled))
            self._write(self._path(module, runtime), compiled)

    @contextmanager
    def alone(
        self, module: CID, runtime: CID, waiting: Callable[[], None], *, goes_on: Callable[[], bool], most_s: float
    ) -> Iterator[None]:
        """Be the only one who compiles a module, among all who use this directory, as far as it can be written to.

        It spares work and is needed for nothing: whoever has waited for `most_s` seconds goes on without, as another
        process may be suspended in the middle, and nobody waits while `goes_on` is false.

        waiting: called once if somebody else is at it. Whoever comes in then looks again whether it is here.
        """
        path, until = self._path(module, runtime).with_suffix(_LOCK), time.monotonic() + most_s
        with ExitStack() as stack:
            told = False
            while not _has_come_in(stack, path) and goes_on() and time.monotonic() < until:
                if not told:
                    told = True
                    waiting()
                time.sleep(_POLL_S)
            yield

    def _write(self, path: Path, compiled: bytes) -> None:
        # Made with mode 0600, and renamed when it is whole.
        descriptor, name = tempfile.mkstemp(dir=self._directory, prefix=".part-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(hashlib.sha256(compiled).digest())
                file.write(compiled)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def _evict(self, room: int) -> None:
        """Remove the least recently used until there is room, and what a killed process has left."""
        found = []
        for path in self._directory.iterdir():
            with contextlib.suppress(FileNotFoundError):
                found.append((path.stat().st_mtime_ns, path.stat().st_size, path))
        left = self._max_bytes - room - sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if left >= 0:
                return
            path.unlink(missing_ok=True)
            left += size

    def _path(self, module: CID, runtime: CID) -> Path:
        name = hashlib.sha256(b"\0".join([module, runtime, machine_text().encode()])).hexdigest()
        return self._directory / f"{name}{_SUFFIX}"


def _is_ours(status: os.stat_result) -> bool:
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


@cache
def machine_text() -> str:
    """Return what this processor is and can do, as far as it tells."""
    try:
        lines = _CPUINFO.read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    names = ("model name", "flags", "Features", "CPU implementer", "CPU part")
    told = dict.fromkeys(line for line in lines if line.startswith(names))
    return "\n".join([platform.machine(), *told])


def _has_come_in(stack: ExitStack, path: Path) -> bool:
    """Hold a lock until a stack ends, if nobody has it; also true where there can be none: nothing can be kept then."""
    with ExitStack() as attempt:
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not attempt.enter_context(hold_if_free(path)):
                return False
        except OSError:
            return True
        stack.push(attempt.pop_all())
    return True

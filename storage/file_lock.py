"""Locks between processes and threads: flock(2), which the kernel releases when their holder dies.

Assumes a file system that has flock; each holder opens the file anew, so threads of one process exclude each other too.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def hold(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Be the only one inside; the lock file is removed on leaving.

    waiting: called once if somebody else is inside.

    Raises:
        OSError: the lock file cannot be made.
    """
    descriptor = _acquire(path, waiting)
    try:
        yield
    finally:
        _release(path, descriptor)


@contextmanager
def hold_if_free(path: Path) -> Iterator[bool]:
    """Be the only one inside, or learn that somebody else is.

    Raises:
        OSError: the lock file cannot be made.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    held = False
    try:
        held = try_exclusive(descriptor) and is_at(path, descriptor)
        yield held
    finally:
        if held:
            _release(path, descriptor)
        else:
            os.close(descriptor)


def share(file: BinaryIO) -> None:
    """Hold an open file against `try_exclusive` until all copies of its descriptor are closed, in other processes too.

    Raises:
        OSError: the file system has no flock.
    """
    fcntl.flock(file.fileno(), fcntl.LOCK_SH)


def try_exclusive(descriptor: int) -> bool:
    """Lock an open file, or tell that somebody else has it.

    Raises:
        OSError: the file system has no flock, or none for files that are open for reading.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_at(path: Path, descriptor: int) -> bool:
    """Tell whether an open file still has this path."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except (FileNotFoundError, NotADirectoryError):
        return False


def _acquire(path: Path, waiting: Callable[[], None]) -> int:
    told = False
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if not try_exclusive(descriptor):
                if not told:
                    told = True
                    waiting()
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            # Whoever held it before has removed the file: a lock on it excludes nobody.
            if is_at(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _release(path: Path, descriptor: int) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
    os.close(descriptor)

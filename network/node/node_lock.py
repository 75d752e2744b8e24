"""One node for each directory: a lock that the kernel releases when its holder dies, however it dies.

Two nodes on one BACALHAU_DIR would be one identity with two memories. Commands that are no nodes never look at it.
The file stays where it is: a lock on one that had been removed would exclude nobody. It must not be removed by hand.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from storage.errors import UnavailableError, UserError
from storage.file_lock import try_exclusive

NAME: Final = "node.lock"
"""Holds the process id of the node that has it locked; of one that was killed, if nobody has."""

_PID: Final = re.compile(rb"[0-9]{1,10}\n")
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_REFUSED: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR})


@contextmanager
def hold_directory(directory: Path) -> Iterator[None]:
    """Be the only node on a directory that is there; processes that are started meanwhile must not inherit the lock.

    Raises:
        UserError: another node is on it, or the lock's file cannot be made there.
        UnavailableError: the disk is full, or the file system has no locks.
    """
    path = directory / NAME
    try:
        # Python's descriptors are closed in programs that are started, so the lock ends with this process.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise _explained(error, path) from error
    try:
        _take(descriptor, path)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, path: Path) -> None:
    try:
        if not try_exclusive(descriptor):
            raise UserError(
                f"a node runs here already{_holder(descriptor)}",
                where=str(path.parent),
                fix="stop it first, or point BACALHAU_DIR to another folder",
            )
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
    except OSError as error:
        raise _explained(error, path) from error


def _holder(descriptor: int) -> str:
    """Return which process has it, unless that has not come to writing it down yet."""
    text = os.pread(descriptor, 16, 0)
    return f", process {int(text)}" if _PID.fullmatch(text) else ""


def _explained(error: OSError, path: Path) -> UserError | UnavailableError:
    reason = (error.strerror or str(error)).lower()
    if error.errno in _FULL:
        return UnavailableError(f"cannot be written: {reason}", where=str(path), fix="make room on its disk")
    if error.errno in _REFUSED:
        fix = "point BACALHAU_DIR to a folder that you can write to"
        return UserError(f"cannot be made: {reason}", where=str(path), fix=fix)
    fix = "point BACALHAU_DIR to a folder on a local disk"
    return UnavailableError(f"cannot be locked: {reason}", where=str(path), fix=fix)

"""A file that is there whole or not at all, and that never replaces another one."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from storage.errors import UnavailableError, UserError


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Give a stream whose content is at `path` when the block has ended; an error leaves nothing there.

    Raises:
        UserError: something is there, or its folder is not.
        UnavailableError: the disk refuses.
    """
    check_free(path)
    try:
        with tempfile.TemporaryDirectory(prefix=".bacalhau-new-", dir=path.parent) as folder:
            new = Path(folder) / "content"
            with new.open("xb") as stream:
                yield stream
            os.link(new, path)  # unlike a rename, it replaces nothing
    except FileExistsError as error:
        raise _taken(path) from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UnavailableError(f"cannot be written: {reason}", where=str(path), fix="check free space") from error


def check_free(path: Path) -> None:
    """Check that a file can be written there without replacing one.

    Raises:
        UserError: something is there, its folder is not, or its name is too long.
    """
    check_name(path)
    if not path.parent.is_dir():
        raise UserError("its folder does not exist", where=str(path), fix=f"make {path.parent} first")
    if os.path.lexists(path):
        raise _taken(path)


def check_name(path: Path) -> None:
    """Check that a path is no longer than paths here can be, whether anything is there or not.

    Raises:
        UserError: it is.
    """
    try:
        os.lstat(path)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise UserError(
                "its name is too long for this machine", where=str(path), fix="give a shorter one"
            ) from error


def _taken(path: Path) -> UserError:
    return UserError("is there already", where=str(path), fix="remove it, or name another file")

"""Secrets on disk: one small file each, readable by its owner alone, whole or not there."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from pathlib import Path

from storage.errors import UnavailableError, UserError


def read_secret(path: Path, *, limit: int, what: str) -> bytes:
    """Return the bytes of a secret, at most `limit` + 1 of them; `what` is its name in errors ("key file").

    Raises:
        FileNotFoundError: there is no such file.
        UserError: it cannot be read, is not ours, or others may read it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UserError(f"{what} cannot be read ({error.strerror})", where=str(path)) from error
    try:
        _check_owner(os.fstat(descriptor), path, what)
        return os.read(descriptor, limit + 1)
    finally:
        os.close(descriptor)


def create_secret(path: Path, data: bytes, *, what: str) -> None:
    """Write a secret beside `path` and link it into place: it is never replaced; of several that race, one wins.

    Raises:
        UserError: it cannot be written.
        UnavailableError: the disk is full.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.link(temporary, path)
        finally:
            temporary.unlink()
    except FileExistsError:
        return
    except OSError as error:
        problem = f"{what} cannot be written ({error.strerror})"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UnavailableError(problem, where=str(path), fix="make room on its disk") from error
        raise UserError(problem, where=str(path), fix="check who may write there") from error


def _check_owner(status: os.stat_result, path: Path, what: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise UserError(f"{what} is not a regular file", where=str(path))
    if os.name != "posix":
        return
    if status.st_uid != os.geteuid():
        raise UserError(f"{what} belongs to another user", where=str(path), fix="use one of your own")
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise UserError(f"{what} is open to other users", where=str(path), fix=f"run `chmod 600 {path}`")

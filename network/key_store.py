"""Keys on disk: one file per identity, the raw ed25519 seed of 32 bytes, readable by its owner alone."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from pathlib import Path

from storage.errors import UnavailableError, UserError
from verifier.identity import SEED_BYTES, Identity


def load_or_create(path: Path) -> Identity:
    """Return the identity in `path`, made at random if there is none. Of several processes that race, one wins.

    Raises:
        UserError: the file is no key, is not ours, others may read it, or it cannot be written.
        UnavailableError: the disk is full.
    """
    try:
        return load(path)
    except FileNotFoundError:
        _create(path)
        return load(path)


def load(path: Path) -> Identity:
    """Return the identity in `path`.

    Raises:
        FileNotFoundError: there is no such file.
        UserError: the file is no key, is not ours, or others may read it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UserError(f"key file cannot be read ({error.strerror})", where=str(path)) from error
    try:
        _check_owner(os.fstat(descriptor), path)
        seed = os.read(descriptor, SEED_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(seed) != SEED_BYTES:
        raise UserError("is not a key of 32 bytes", where=str(path), fix="remove it, and a new key will be made")
    return Identity.from_seed(seed)


def _check_owner(status: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise UserError("key file is not a regular file", where=str(path))
    if os.name != "posix":
        return
    if status.st_uid != os.geteuid():
        raise UserError("key file belongs to another user", where=str(path), fix="use a key of your own")
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise UserError("key file is open to other users", where=str(path), fix=f"run `chmod 600 {path}`")


def _create(path: Path) -> None:
    """Write a fresh seed beside `path` and link it into place: the file is whole or not there, and never replaced."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(SEED_BYTES))
                file.flush()
                os.fsync(file.fileno())
            os.link(temporary, path)
        finally:
            temporary.unlink()
    except FileExistsError:
        return
    except OSError as error:
        problem = f"key file cannot be written ({error.strerror})"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UnavailableError(problem, where=str(path), fix="make room on its disk") from error
        raise UserError(problem, where=str(path), fix="check who may write there") from error

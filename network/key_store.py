"""Keys on disk: one file per identity, the raw ed25519 seed of 32 bytes, readable by its owner alone."""

from __future__ import annotations

import secrets
from functools import lru_cache
from pathlib import Path
from typing import Final

from network.secret_file import create_secret, read_secret
from storage.errors import UserError
from verifier.identity import SEED_BYTES, Identity

_WHAT: Final = "key file"
_REMEMBERED: Final = 16
"""Keys: those of embedded nodes are wanted by every session. The file is read and checked each time."""


def load_or_create(path: Path) -> Identity:
    """Return the identity in `path`, made at random if there is none. Of several processes that race, one wins.

    Raises:
        UserError: the file is no key, is not ours, others may read it, or it cannot be written.
        UnavailableError: the disk is full.
    """
    try:
        return load(path)
    except FileNotFoundError:
        create_secret(path, secrets.token_bytes(SEED_BYTES), what=_WHAT)
        return load(path)


def load(path: Path) -> Identity:
    """Return the identity in `path`.

    Raises:
        FileNotFoundError: there is no such file.
        UserError: the file is no key, is not ours, or others may read it.
    """
    seed = read_secret(path, limit=SEED_BYTES, what=_WHAT)
    if len(seed) != SEED_BYTES:
        raise UserError("is not a key of 32 bytes", where=str(path), fix="remove it, and a new key will be made")
    return _identity(seed)


@lru_cache(maxsize=_REMEMBERED)
def _identity(seed: bytes) -> Identity:
    return Identity.from_seed(seed)

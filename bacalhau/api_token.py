"""The token that opens a node's API: 64 hex digits in `BACALHAU_DIR/api-token`, readable by its owner alone."""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import Final

from network.secret_file import create_secret, read_secret
from storage.errors import UserError

_DIGITS: Final = 64
_WHAT: Final = "token file"


def is_token(text: str) -> bool:
    """Tell whether a text has the form of a token."""
    return re.fullmatch(r"[0-9a-f]{64}", text) is not None


def load_or_create_token(path: Path) -> str:
    """Return the token in `path`, drawn at random if there is none. Of several processes that race, one wins.

    Raises:
        UserError: the file holds no token, is not ours, others may read it, or it cannot be written.
        UnavailableError: the disk is full.
    """
    try:
        return load_token(path)
    except FileNotFoundError:
        create_secret(path, secrets.token_hex(_DIGITS // 2).encode(), what=_WHAT)
        return load_token(path)


def load_token(path: Path) -> str:
    """Return the token in `path`.

    Raises:
        FileNotFoundError: there is no such file.
        UserError: the file holds no token, is not ours, or others may read it.
    """
    text = read_secret(path, limit=_DIGITS, what=_WHAT).decode("latin-1")
    if not is_token(text):
        fix = "remove it; the node makes a new one when it starts"
        raise UserError(f"is not a token of {_DIGITS} hex digits", where=str(path), fix=fix)
    return text

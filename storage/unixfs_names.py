"""Which names a directory may hold: one rule for import, reading, tar streams and export."""

from __future__ import annotations

from typing import Final

from storage.errors import VerificationError

MAX_DEPTH: Final = 128
"""Directories inside one another. Far above real trees; keeps recursion bounded on hostile ones."""


def check_name(name: bytes | str) -> str:
    """Return a directory entry's name as text. Unicode forms are kept apart: NFC and NFD are two names.

    Raises:
        VerificationError: empty, '.', '..', with '/' or NUL, or not UTF-8.
    """
    try:
        text = name.decode("utf-8") if isinstance(name, bytes) else name
        text.encode("utf-8")
    except UnicodeError as error:
        raise VerificationError("name is not UTF-8", where=repr(name)) from error
    if text in ("", ".", "..") or "/" in text or "\0" in text:
        raise VerificationError("unsafe name in a directory", where=repr(text))
    return text

"""Job ids as people give them: whole, or their first digits."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from storage.errors import UserError

MIN_PREFIX: Final = 4
"""Hex digits of a job id that are enough to name it, if no other job begins with them."""

_DIGITS: Final = re.compile(r"[0-9a-f]{1,32}")
_ID: Final = re.compile(r"[0-9a-f]{32}")


def is_job_id(text: str) -> bool:
    """Tell whether `text` is a whole job id: 32 lower-case hex digits."""
    return _ID.fullmatch(text) is not None


def find_job_id(text: str, ids_from: Callable[[str], Sequence[str]]) -> str:
    """Return the whole id that an id, or the first digits of one, names.

    ids_from: returns ids that begin with the digits it is given, two or more if there are several.

    Raises:
        UserError: no job, or more than one, begins like this; or it is no part of an id.
    """
    digits = text.lower()
    if not _DIGITS.fullmatch(digits):
        raise UserError("is neither a job id nor a CID", where=repr(text), fix="see `bacalhau list`")
    if len(digits) < MIN_PREFIX:
        raise UserError("is too short for a job id", where=text, fix=f"give at least {MIN_PREFIX} digits of it")
    found = ids_from(digits)
    if not found:
        raise UserError("no job here has this id", where=text, fix="see `bacalhau list`")
    if len(found) > 1:
        raise UserError("several jobs begin like this", where=text, fix="give more digits of the id")
    return found[0]

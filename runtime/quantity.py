"""Sizes as people write them: `512Mb`, `2Gb`, `100k`, `1024`.

The units are the ones that `docker run --memory` takes and the 2022 command took: powers of 1024, case ignored.
"""

from __future__ import annotations

import re

from storage.errors import UserError

_FACTORS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_PATTERN = re.compile(r"(\d{1,15})(?:\s*([kmgt]?)(?:i?b)?)?", re.IGNORECASE)


def parse_bytes(text: str, *, where: str) -> int:
    """Return a number of bytes.

    Raises:
        UserError: not a size; `where` names the flag.
    """
    match = _PATTERN.fullmatch(text.strip())
    if match is None:
        raise UserError(f"{text!r} is not a size", where=where, fix="write a number with a unit, such as 512Mb or 2Gb")
    return int(match[1]) * _FACTORS[(match[2] or "").lower()]

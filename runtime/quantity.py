"""Sizes and cores as people write them: `512Mb`, `2Gb`, `100k`, `1024`; `2`, `0.5`, `500m`.

The units of sizes are the ones that `docker run --memory` takes and the 2022 command took: powers of 1024, case
ignored. Cores are written as Kubernetes and the 2022 command do: `m` are thousandths of one.
"""

from __future__ import annotations

import re

from storage.errors import UserError

_FACTORS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_PATTERN = re.compile(r"(\d{1,15})(?:\s*([kmgt]?)(?:i?b)?)?", re.IGNORECASE)
_UNITS = (("Tb", 1 << 40), ("Gb", 1 << 30), ("Mb", 1 << 20), ("k", 1 << 10))
_CORES = re.compile(r"([0-9]{1,6})(?:\.([0-9]{1,3}))?")
_MILLI = re.compile(r"([0-9]{1,9})m")


def parse_bytes(text: str, *, where: str) -> int:
    """Return a number of bytes.

    Raises:
        UserError: not a size; `where` names the flag.
    """
    match = _PATTERN.fullmatch(text.strip())
    if match is None:
        raise UserError(f"{text!r} is not a size", where=where, fix="write a number with a unit, such as 512Mb or 2Gb")
    return int(match[1]) * _FACTORS[(match[2] or "").lower()]


def parse_cores(text: str, *, where: str) -> int:
    """Return a number of cores, in thousandths of one.

    Raises:
        UserError: not a number of cores, or finer than a thousandth; `where` names the flag.
    """
    plain = text.strip()
    if milli := _MILLI.fullmatch(plain):
        return int(milli[1])
    if cores := _CORES.fullmatch(plain):
        return int(cores[1]) * 1000 + int((cores[2] or "").ljust(3, "0"))
    fix = "write cores, such as 2 or 0.5, or thousandths of one, such as 500m"
    raise UserError(f"{text!r} is not a number of cores", where=where, fix=fix)


def bytes_text(size: int) -> str:
    """Return a number of bytes as `parse_bytes` reads it, exactly: in the largest unit that leaves no rest."""
    return next((f"{size // factor}{unit}" for unit, factor in _UNITS if size and size % factor == 0), str(size))


def cores_text(milli: int) -> str:
    """Return thousandths of a core as `parse_cores` reads them, exactly."""
    return f"{milli}m" if milli % 1000 else str(milli // 1000)

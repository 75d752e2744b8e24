"""What to try where a function failed in a way that newcomers meet. Pure; what it wrote is read, not believed."""

from __future__ import annotations

import re
from typing import Final

_MISSING: Final = re.compile(r"^ModuleNotFoundError: No module named '([A-Za-z_]\w{0,60})[\w.]*'$", re.MULTILINE)


def advice(stderr: str) -> str:
    """Return one line for who wrote the function, empty if there is none; stderr: what the function wrote there."""
    missing = _MISSING.search(stderr)
    if missing is None:
        return ""
    return f"the package of `{missing[1]}` has to be named: a line in requirements.txt beside function.py, or -r FILE"

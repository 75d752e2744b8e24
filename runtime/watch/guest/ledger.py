"""What the function asked for, and at which of its lines; and which of these answers are to be another this time."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from types import FrameType
from typing import Final

FUNCTION: Final = "/function/"
MOST_ENTRIES: Final = 2_000
Site = tuple[str, int]
"""File, relative to the function's directory, and line; ("", 0): none of its own lines."""


class Ledger:
    """Written line by line, so that it is there also if the run is ended."""

    def __init__(self, path: str | None, vary: Mapping[str, object]) -> None:
        """path: where to write; None: nowhere. vary: kind -> "*" or [[file, line], …]."""
        self._file = None if path is None else os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._vary = dict(vary)
        self._seen: set[tuple[str, str, Site]] = set()
        self.is_paused = False

    def asked(self, kind: str, what: str, site: Site) -> bool:
        """Note a request; tell whether its answer is to be another one."""
        if self.is_paused:
            return False
        entry = (kind, what, site)
        if self._file is not None and entry not in self._seen and len(self._seen) < MOST_ENTRIES:
            self._seen.add(entry)
            os.write(self._file, json.dumps([kind, what, *site]).encode() + b"\n")
        wanted = self._vary.get(kind)
        return wanted == "*" or (isinstance(wanted, list) and list(site) in wanted)


def users_site(frame: FrameType | None = None) -> Site:
    """Return the innermost line of the function's own that is being executed."""
    at: FrameType | None = sys._getframe(1) if frame is None else frame
    while at is not None:
        name = at.f_code.co_filename
        if name.startswith(FUNCTION):
            return name.removeprefix(FUNCTION), at.f_lineno
        at = at.f_back
    return "", 0

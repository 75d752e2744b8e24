"""How much disk some directories take, as far as this process may look: strangers write there while it looks."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from typing import Final

MAX_ENTRIES: Final = 200_000
"""More than an output may have; a walk of so many takes about a second."""
_BLOCK_BYTES: Final = 512
"""What `st_blocks` counts, on every file system."""


class TooManyEntriesError(Exception):
    """There are more than MAX_ENTRIES."""


def allocated_bytes(places: Iterable[str]) -> int | None:
    """Return what is allocated below directories; None if one cannot be read.

    No link is followed, and what vanishes meanwhile is not counted.

    Raises:
        TooManyEntriesError: as it says.
    """
    total, count, todo = 0, 0, list(places)
    if not all(os.access(place, os.R_OK | os.X_OK) for place in todo):
        return None
    while todo:
        try:
            with os.scandir(todo.pop()) as entries:
                for entry in entries:
                    count += 1
                    if count > MAX_ENTRIES:
                        raise TooManyEntriesError
                    total += _size(entry, todo)
        except OSError:
            continue  # gone, or closed by who owns it: the engine counts what is collected again
    return total


def _size(entry: os.DirEntry[str], todo: list[str]) -> int:
    try:
        said = entry.stat(follow_symlinks=False)
    except OSError:
        return 0
    if stat.S_ISDIR(said.st_mode):
        todo.append(entry.path)
    return said.st_blocks * _BLOCK_BYTES

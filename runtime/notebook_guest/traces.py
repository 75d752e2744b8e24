"""Tracebacks of cells: they begin at the cell's own frame, and nothing of the runner is in them."""

from __future__ import annotations

import linecache
import traceback
from pathlib import Path

_OURS = str(Path(__file__).parent)


def cell_name(count: int) -> str:
    """Return what tracebacks call the cell with a number."""
    return f"<cell {count}>"


def remember(name: str, text: str) -> None:
    """Let tracebacks, `inspect` and warnings show the lines of a cell."""
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)


def format_error(error: BaseException) -> str:
    """Return the traceback; never fails but for want of memory."""
    try:
        described = traceback.TracebackException.from_exception(error, compact=True)
        _without_runner(described)
        return "".join(described.format())
    except MemoryError:
        return "MemoryError\n"
    except BaseException:  # the cell's own classes took part in the formatting
        return f"{error_name(error)}\n"


def error_name(error: BaseException) -> str:
    """Return the name of an exception's type, whatever its class makes of itself."""
    return str(type.__dict__["__name__"].__get__(type(error)))


def error_value(error: BaseException) -> str:
    """Return the message of an exception, empty if it cannot say it."""
    try:
        return str(error)
    except BaseException:
        return ""


def _without_runner(described: traceback.TracebackException) -> None:
    """Take frames of ours from every part of a chain or group, of any length."""
    seen: set[int] = set()
    waiting: list[traceback.TracebackException | None] = [described]
    while waiting:
        part = waiting.pop()
        if part is None or id(part) in seen:
            continue
        seen.add(id(part))
        part.stack[:] = _from_cell(part.stack)
        waiting += [part.__cause__, part.__context__, *(part.exceptions or ())]


def _from_cell(frames: traceback.StackSummary) -> list[traceback.FrameSummary]:
    first = next((index for index, frame in enumerate(frames) if frame.filename.startswith("<cell ")), 0)
    return [frame for frame in frames[first:] if not frame.filename.startswith(_OURS)]

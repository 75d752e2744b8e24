"""Counts the lines of the function that are executed, and stops at one: so two runs can be compared up to there.

Each event is the moment before a line of the function's own is executed. With `trace` a digest of what the line sees is
written for each; with `stop` the run ends at that event, and what its variables hold is written down.
"""

from __future__ import annotations

import json
import os
import sys
import zlib
from types import CodeType, FrameType
from typing import Any, Final

from .ledger import FUNCTION

_TOOL: Final = 3
MOST_EVENTS: Final = 5_000_000
_MOST_SHOWN: Final = 200
_MOST_NAMES: Final = 60
_PLAIN: Final = (int, float, complex, str, bytes, bool, type(None))


class StopAtLine(BaseException):
    """Ends the run; a function that catches everything is stopped again at its next line."""


class Lines:
    """One run's count."""

    def __init__(self, settings: dict[str, Any]) -> None:
        """settings: path of what is written; `stop`: number of an event; `trace`: how many events to write down."""
        self._path = str(settings["path"])
        self._stop = settings.get("stop")
        self._left = int(settings.get("trace", 0))
        self._count = 0
        self._where = ("", 0, "")
        self._pieces: list[str] = []
        self._ended = False

    def begin(self) -> None:
        """Count from here on."""
        monitoring = sys.monitoring  # type: ignore[attr-defined,unused-ignore]
        monitoring.use_tool_id(_TOOL, "bacalhau")
        monitoring.register_callback(_TOOL, monitoring.events.LINE, self._line)
        monitoring.set_events(_TOOL, monitoring.events.LINE)

    def end(self) -> None:
        """Stop counting, and write down how far it came."""
        monitoring = sys.monitoring  # type: ignore[attr-defined,unused-ignore]
        monitoring.set_events(_TOOL, 0)
        monitoring.free_tool_id(_TOOL)
        if not self._ended:
            self._write({"events": self._count, "at": list(self._where), "variables": {}})

    def _line(self, code: CodeType, line: int) -> Any:
        if not code.co_filename.startswith(FUNCTION):
            return sys.monitoring.DISABLE  # type: ignore[attr-defined,unused-ignore]
        if self._ended:
            raise StopAtLine
        self._count += 1
        if self._left > 0:
            self._left -= 1
            self._trace(sys._getframe(1), code, line)
        if self._stop is not None and self._count >= self._stop:
            self._ended = True
            shown = _shown(sys._getframe(1))
            self._write(
                {"events": self._count, "at": _place(code, line), "before": list(self._where), "variables": shown}
            )
            raise StopAtLine
        self._where = tuple(_place(code, line))
        return None

    def _trace(self, frame: FrameType, code: CodeType, line: int) -> None:
        seen = json.dumps(_shown(frame), sort_keys=True).encode("utf-8", "backslashreplace")
        path, _, name = _place(code, line)
        self._pieces.append(json.dumps([path, line, name, zlib.crc32(seen)]))

    def _write(self, what: dict[str, Any]) -> None:
        text = "\n".join([json.dumps(what), *self._pieces])
        file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        data = text.encode("utf-8", "backslashreplace")
        while data:
            data = data[os.write(file, data) :]
        os.close(file)


def _place(code: CodeType, line: int) -> list[Any]:
    return [code.co_filename.removeprefix(FUNCTION), line, code.co_qualname]  # type: ignore[attr-defined,unused-ignore]


def _shown(frame: FrameType) -> dict[str, str]:
    """Return what a frame's variables hold, as text that runs none of the function's own code."""
    names = [name for name in frame.f_locals if not name.startswith("__")]
    return {name: show(frame.f_locals[name], 3) for name in sorted(names)[:_MOST_NAMES]}


def show(value: object, depth: int) -> str:
    """Return a value as text: plain ones as they are, containers by their parts, anything else by its type."""
    if type(value) in _PLAIN:
        text = repr(value)
        return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}… ({len(text)} characters)"
    kind = type(value).__name__
    if depth == 0:
        return kind
    if type(value) in (list, tuple, set, frozenset):
        parts = [show(one, depth - 1) for one in list(value)[:20]]  # type: ignore[call-overload]
        more = ", …" if len(value) > 20 else ""  # type: ignore[arg-type]
        return f"{kind} of {len(value)}: {', '.join(parts)}{more}"  # type: ignore[arg-type]
    if type(value) is dict:
        pairs = [f"{show(key, depth - 1)}: {show(one, depth - 1)}" for key, one in list(value.items())[:20]]
        return f"dict of {len(value)}: {', '.join(pairs)}{', …' if len(value) > 20 else ''}"
    return kind

"""Counts the lines of the function that are executed, and stops at one: so two runs can be compared up to there.

Each event is the moment before a line of the function's own is executed, or the one at which a function of its own
begins, yields, goes on, returns or is left by an exception: what its caller's line does after that is that line's, and
no line begins there. With `trace` a digest of what is seen there is written for each; with `stop` the run ends at that
event, and what its variables hold is written down.
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
        events = monitoring.events
        monitoring.use_tool_id(_TOOL, "bacalhau")
        callbacks = {
            events.LINE: self._line,
            events.PY_START: self._going_on,
            events.PY_RESUME: self._going_on,
            events.PY_THROW: self._thrown,
            events.PY_RETURN: self._going_back,
            events.PY_YIELD: self._going_back,
            events.PY_UNWIND: self._unwinding,
        }
        for event, callback in callbacks.items():
            monitoring.register_callback(_TOOL, event, callback)
        monitoring.set_events(_TOOL, sum(callbacks))

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
        return self._event(sys._getframe(1), code, line)

    def _going_on(self, code: CodeType, _offset: int) -> Any:
        """A function begins or goes on; its first line is no line event if the whole of it is one line."""
        if not code.co_filename.startswith(FUNCTION):
            return sys.monitoring.DISABLE  # type: ignore[attr-defined,unused-ignore]
        return self._event(sys._getframe(1), code, sys._getframe(1).f_lineno or code.co_firstlineno)

    def _thrown(self, code: CodeType, _offset: int, _error: BaseException) -> Any:
        """A generator goes on with an exception; this event cannot be disabled."""
        if code.co_filename.startswith(FUNCTION):
            self._event(sys._getframe(1), code, sys._getframe(1).f_lineno or code.co_firstlineno)

    def _going_back(self, code: CodeType, _offset: int, value: object) -> Any:
        """A function returns or yields to its caller, or to what called it on behalf of one."""
        if not code.co_filename.startswith(FUNCTION):
            return sys.monitoring.DISABLE  # type: ignore[attr-defined,unused-ignore]
        return self._back(sys._getframe(1).f_back, {"return": value})

    def _unwinding(self, code: CodeType, _offset: int, error: BaseException) -> Any:
        if code.co_filename.startswith(FUNCTION) and not isinstance(error, StopAtLine):
            self._back(sys._getframe(1).f_back, {"raise": error})

    def _back(self, frame: FrameType | None, given: dict[str, object]) -> Any:
        while frame is not None and not frame.f_code.co_filename.startswith(FUNCTION):
            frame = frame.f_back
        if frame is None:
            return None  # back in what called the function
        return self._event(frame, frame.f_code, frame.f_lineno or 0, given)

    def _event(self, frame: FrameType, code: CodeType, line: int, given: dict[str, object] | None = None) -> Any:
        """Count an event; given: what is handed over there, by a word that is no name."""
        if self._ended:
            raise StopAtLine
        self._count += 1
        if self._left > 0:
            self._left -= 1
            self._trace(_shown(frame, given), code, line)
        if self._stop is not None and self._count >= self._stop:
            self._ended = True
            shown = _shown(frame, given)
            _keep(frame, given)
            self._write(
                {"events": self._count, "at": _place(code, line), "before": list(self._where), "variables": shown}
            )
            raise StopAtLine
        self._where = tuple(_place(code, line))
        return None

    def _trace(self, shown: dict[str, str], code: CodeType, line: int) -> None:
        seen = json.dumps(shown, sort_keys=True).encode("utf-8", "backslashreplace")
        path, _, name = _place(code, line)
        self._pieces.append(json.dumps([path, line, name, zlib.crc32(seen)]))

    def _write(self, what: dict[str, Any]) -> None:
        text = "\n".join([json.dumps(what), *self._pieces])
        file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        data = text.encode("utf-8", "backslashreplace")
        while data:
            data = data[os.write(file, data) :]
        os.close(file)


_kept: list[object] = []


def _keep(frame: FrameType | None, given: dict[str, object] | None) -> None:
    """Keep what was being computed until memory is looked at: unwinding frees it, and writes over some of it."""
    _kept.append(given)
    while frame is not None:
        _kept.append(frame)
        frame = frame.f_back


def _place(code: CodeType, line: int) -> list[Any]:
    return [code.co_filename.removeprefix(FUNCTION), line, code.co_qualname]  # type: ignore[attr-defined,unused-ignore]


def _shown(frame: FrameType, given: dict[str, object] | None) -> dict[str, str]:
    """Return what a frame's variables hold, as text that runs none of the function's own code."""
    names = [name for name in frame.f_locals if not name.startswith("__")]
    shown = {name: show(frame.f_locals[name], 3) for name in sorted(names)[:_MOST_NAMES]}
    return shown | {name: show(value, 3) for name, value in (given or {}).items()}


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

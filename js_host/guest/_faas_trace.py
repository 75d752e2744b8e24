"""Tracebacks as the user's own Python would show them: no frames of ours, paths relative to the function directory."""

import linecache
import os
import sys
import traceback
import warnings

_FUNCTION = "/function/"
_OURS = (
    "/lib/python3.14/_faas_",
    "<string>",
    "<frozen importlib._bootstrap>",
    "<frozen importlib._bootstrap_external>",
)


def format_exception(error):
    """Return the traceback text of `error`, with its causes and groups; never fails but for want of memory."""
    try:
        described = traceback.TracebackException.from_exception(error, compact=True)
        _relativise(described)
        return "".join(described.format())
    except MemoryError:
        return "MemoryError\n"
    except BaseException:  # the function's own classes took part in the formatting
        return f"{type.__dict__['__name__'].__get__(type(error))}\n"


def install_hooks():
    """Give warnings, ignored exceptions and sys.excepthook the same form."""
    warnings.formatwarning = _format_warning
    sys.unraisablehook = sys.__unraisablehook__ = _unraisable
    sys.excepthook = sys.__excepthook__ = _excepthook


def _format_warning(message, category, filename, lineno, line=None):
    source = linecache.getline(filename, lineno) if line is None else line
    text = f"{filename.removeprefix(_FUNCTION)}:{lineno}: {category.__name__}: {message}\n"
    return f"{text}  {source.strip()}\n" if source.strip() else text


def _unraisable(unraisable):
    try:
        what = f"{unraisable.err_msg or 'Exception ignored in'}: {unraisable.object!r}\n"
    except BaseException:
        what = "Exception ignored\n"
    _print(what + format_exception(unraisable.exc_value))


def _excepthook(_kind, error, _trace):
    _print(format_exception(error))


def _print(text):
    stream = getattr(sys, "stderr", None)
    if stream is None:
        os.write(2, text.encode("utf-8", "backslashreplace"))
    else:
        stream.write(text)
        stream.flush()


def _relativise(described):
    """Shorten paths in place, in every part of a chain or group (of any length, so without recursion)."""
    seen, waiting = set(), [described]
    while waiting:
        part = waiting.pop()
        if part is None or id(part) in seen:
            continue
        seen.add(id(part))
        _relativise_frames(part)
        waiting += [part.__cause__, part.__context__, *(part.exceptions or ())]


def _relativise_frames(part):
    part.stack[:] = _without_ours(part.stack)
    for frame in part.stack:
        frame.line  # noqa: B018  read the source line while the path still leads to it
        frame.filename = frame.filename.removeprefix(_FUNCTION)
    if not part.stack:
        part.stack = None  # nothing of the function's: the message says it all
    if getattr(part, "filename", None):  # SyntaxError carries a path of its own
        part.filename = part.filename.removeprefix(_FUNCTION)


def _without_ours(frames):
    """Drop what called the function: everything before its first frame, or our own frames where it has none."""
    for index, frame in enumerate(frames):
        if frame.filename.startswith(_FUNCTION):
            return frames[index:]
    start = 0
    while start < len(frames) and frames[start].filename.startswith(_OURS):
        start += 1
    return frames[start:]

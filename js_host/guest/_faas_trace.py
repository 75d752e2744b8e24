"""Tracebacks as the user's own Python would show them: no frames of ours, paths relative to the function directory."""

import traceback

_FUNCTION = "/function/"
_OURS = (
    "/lib/python3.14/_faas_",
    "<string>",
    "<frozen importlib._bootstrap>",
    "<frozen importlib._bootstrap_external>",
)


def format_exception(error):
    """Return the traceback text of `error`, with its causes and groups."""
    try:
        described = traceback.TracebackException.from_exception(error, compact=True)
        _relativise(described, set())
        return "".join(described.format())
    except MemoryError:
        return f"{type(error).__name__}\n"


def _relativise(described, seen):
    if described is None or id(described) in seen:
        return
    seen.add(id(described))
    frames = described.stack
    for frame in frames:
        frame.line  # noqa: B018  read the source line while the path still leads to it
        if frame.filename.startswith(_FUNCTION):
            frame.filename = frame.filename.removeprefix(_FUNCTION)
    frames[:] = _without_ours(frames)
    if getattr(described, "filename", None):  # SyntaxError carries a path of its own
        described.filename = described.filename.removeprefix(_FUNCTION)
    for part in (described.__cause__, described.__context__, *(described.exceptions or ())):
        _relativise(part, seen)


def _without_ours(frames):
    start = 0
    while start < len(frames) and frames[start].filename.startswith(_OURS):
        start += 1
    return frames[start:]

"""Phase 4, inside Python: seal, load the function, call it, keep what it gives.

`prepare` is the same for every task; an exception that leaves it means that the runtime itself is broken. `run` ends
with an outcome whatever the function does: it says so on /dev/result and /dev/exit_code. What it uses is taken before
the function is loaded, because a function may replace anything.

An entry point that is a generator runs in steps: each `yield` goes back to the host, through /dev/step, and the host
calls `step` for the next. Between two steps nothing of the function is on a stack. A `yield` of something is refused:
who writes it takes it for a result.
"""

import asyncio
import atexit
import contextlib
import importlib.util
import inspect
import json
import logging
import os
import random
import sys
import time
import types

import _faas_loop
from _faas_data import Data
from _faas_result import encode_result
from _faas_seal import seal
from _faas_trace import format_exception, install_hooks

import __main__

_ENTRY_POSITIONAL = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.VAR_POSITIONAL,
)
_OUT_OF_MEMORY = 137
_C_LONG = 1 << 63
"""An exit code that is beyond C's long is -1 to CPython on 64-bit machines."""
_open, _write, _close, _run_atexit = os.open, os.write, os.close, atexit._run_exitfuncs
_streams = (sys.stdout, sys.stderr)
_NO_RESULT = "the function yields {}, and what is yielded is no result: return a list of it (`yield` alone ends a step)"
_MORE = object()
"""In the place of a value: there are steps left."""
_stepping = []
"""The generator of a function that runs in steps, once it was called."""


def prepare():
    """Make Python fit for functions; reads nothing of the task."""
    seal()
    _faas_loop.install()
    install_hooks()
    sys.argv[:] = ["function.py"]
    sys.path[:] = ["/function", *(p for p in sys.path if p not in ("", "/function", "/work"))]
    for name in [name for name in vars(__main__) if not name.startswith("__")]:
        delattr(__main__, name)


def run(description="/run/task.json"):
    """Run the task that a file describes."""
    with open(description, encoding="utf-8") as file:
        task = json.load(file)
    os.environ.update(task["env"])
    _begin()
    _conclude(lambda: _call(task))


def step():
    """Go on with a function that runs in steps."""
    _conclude(_step)


def _conclude(go_on):
    result, code = _outcome(go_on)
    if code is None:
        _put("/dev/step", b"1")
        return
    if code == 0:
        _put("/dev/result", result)
    _put("/dev/exit_code", b"%d" % code)


def _begin():
    """Seed anew, and start anew, what was seeded and started before the task began: by Python, and with the image."""
    random.seed()
    logging._startTime = time.time_ns()
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()


def _outcome(go_on):
    """Return (result bytes, exit code), without a code if there are steps left."""
    result = b""
    value = None
    try:
        try:
            value = go_on()
            if value is not _MORE:
                result = encode_result(value)
        finally:
            if value is not _MORE:
                _run_atexit()
                _flush()
    except SystemExit as stop:
        code = _exit_code(stop)
    except MemoryError as error:
        code = _OUT_OF_MEMORY
        _complain(error)
    except BaseException as error:
        code = 1
        _complain(error)
    else:
        code = None if value is _MORE else 0
    return result, code


def _call(task):
    if task["entry"] is None:
        return _run_script(task["source"])
    module = _import_function(task["source"])
    entry = getattr(module, task["entry"])
    data = Data("/run/data")
    value = entry(data, **task["args"]) if _wants_data(entry) else entry(**task["args"])
    if isinstance(value, types.GeneratorType):
        _stepping.append(value)
        return _step()
    return asyncio.run(_await(value)) if inspect.isawaitable(value) else value


def _step():
    """Run to the next `yield`, or to the end of the function, and return its value then."""
    if not _stepping:
        return None  # a function has spoken to the host by itself
    try:
        value = next(_stepping[0])
        while value is not None:
            value = _stepping[0].throw(TypeError(_NO_RESULT.format(type(value).__name__)))
    except StopIteration as end:
        _stepping.clear()
        return end.value
    return _MORE


async def _await(value):
    return await value


def _wants_data(entry):
    """Tell whether the entry point takes a positional argument; `def main():` is fine too."""
    try:
        parameters = inspect.signature(entry).parameters.values()
    except (TypeError, ValueError):
        return True
    return any(parameter.kind in _ENTRY_POSITIONAL for parameter in parameters)


def _import_function(path):
    spec = importlib.util.spec_from_file_location("function", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["function"] = module
    spec.loader.exec_module(module)
    return module


def _run_script(path):
    with open(path, "rb") as file:
        code = compile(file.read(), path, "exec", dont_inherit=True)
    main = types.ModuleType("__main__")
    main.__file__ = path
    sys.modules["__main__"] = main
    exec(code, main.__dict__)


def _exit_code(stop):
    """Return what a shell would show for `sys.exit(…)`."""
    code = stop.code
    if code is None:
        return 0
    if isinstance(code, int):
        plain = int.__and__(code, -1)
        return plain & 0xFF if -_C_LONG <= plain < _C_LONG else 0xFF
    try:
        _say(f"{code}\n")
    except BaseException:  # its __str__ is the function's, and broken
        _say("")
    return 1


def _complain(error):
    try:
        _say(format_exception(error))
    except MemoryError:
        return


def _say(text):
    _flush()
    _put("/dev/stderr", text.encode("utf-8", "backslashreplace"))


def _flush():
    """Flush the streams Python began with, and what the function put in their place."""
    for stream in (*_streams, getattr(sys, "stdout", None), getattr(sys, "stderr", None)):
        with contextlib.suppress(BaseException):  # closed or replaced by the function
            stream.flush()


def _put(device, data):
    """Write to a device; opened anew, because a function may close descriptors that are not its own."""
    descriptor = _open(device, os.O_WRONLY)
    while data:
        data = data[_write(descriptor, data) :]
    _close(descriptor)

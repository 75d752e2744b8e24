"""Phase 4, inside Python: seal, load the function, call it, keep what it gives.

Writes /run/exit_code and /run/result. Whatever the function does ends here as an outcome; an exception that leaves this
module means that the runtime itself is broken, and makes the execution undetermined.
"""

import asyncio
import atexit
import importlib.util
import inspect
import json
import os
import random
import sys
import types

import _faas_loop
from _faas_data import Data
from _faas_result import encode_result
from _faas_seal import seal
from _faas_trace import format_exception

_OUT_OF_MEMORY = 137

_POSITIONAL = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.VAR_POSITIONAL,
)


def run():
    """Run the task described by /run/task.json."""
    with open("/run/task.json", encoding="utf-8") as file:
        task = json.load(file)
    os.unlink("/run/task.json")
    seal()
    _faas_loop.install()
    random.seed()
    sys.argv[:] = ["function.py"]
    sys.path[:] = ["/function", *(p for p in sys.path if p not in ("", "/function", "/work"))]
    result, code = _outcome(task)
    with open("/run/result", "wb") as file:
        file.write(result)
    with open("/run/exit_code", "w", encoding="ascii") as file:
        file.write(str(code))


def _outcome(task):
    """Return (result bytes, exit code)."""
    result = b""
    try:
        try:
            result = encode_result(_call(task))
            code = 0
        finally:
            atexit._run_exitfuncs()
            _flush()
    except SystemExit as stop:
        code = _exit_code(stop.code)
    except MemoryError as error:
        _complain(format_exception(error))
        code = _OUT_OF_MEMORY
    except BaseException as error:
        _complain(format_exception(error))
        code = 1
    return (result if code == 0 else b""), code


def _call(task):
    if task["entry"] is None:
        return _run_script(task["source"])
    module = _import_function(task["source"])
    entry = getattr(module, task["entry"])
    data = Data(task["data"] or _empty_file())
    value = entry(data, **task["args"]) if _wants_data(entry) else entry(**task["args"])
    return asyncio.run(_await(value)) if inspect.isawaitable(value) else value


def _empty_file():
    path = "/run/data"
    with open(path, "wb"):
        return path


async def _await(value):
    return await value


def _wants_data(entry):
    """Tell whether the entry point takes a positional argument; `def main():` is fine too."""
    try:
        parameters = inspect.signature(entry).parameters.values()
    except (TypeError, ValueError):
        return True
    return any(parameter.kind in _POSITIONAL for parameter in parameters)


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


def _exit_code(code):
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    _complain(f"{code}\n")
    return 1


def _flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, ValueError, OSError):  # replaced or closed by the function
            continue


def _complain(text):
    _flush()
    data = text.encode("utf-8", "backslashreplace")
    while data:
        data = data[os.write(2, data) :]

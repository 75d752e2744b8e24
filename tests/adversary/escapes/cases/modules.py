"""Compiled code: in a wheel, or made by the function itself."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Final

from tests.adversary.escapes.attempt import Attempt
from tests.adversary.escapes.side_module import (
    CALL_FIRST,
    DATA_ADDRESS,
    ENDLESS,
    FOUR_TO_INT,
    FUEL_IMPORT,
    INT_TO_INT,
    RETURN_7,
    VOID,
    caught,
    function,
    side_module,
    tell_refused,
)

PLACE: Final = "/lib/python3.14/site-packages/evil/x.so"
RUN: Final = f"print(ctypes.CDLL({PLACE!r}).run(), flush=True)"
"""Loads the wheel's module and calls its function."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A module that the rewriter refuses before anything starts."""

    name: str
    module: bytes
    problem: str
    """What the error says of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """A module that is well-formed, and what comes of running it."""

    name: str
    module: bytes
    exit_code: int
    stdout: str = "begun\n"


GOOD: Final = side_module(RETURN_7)
OTHER: Final = side_module(b"\x41\x08")
"""Returns 8."""
EM_JS: Final = side_module(RETURN_7, data=b"()<::>{ return typeof process }\0", data_export="__em_js__pwn")
FUEL: Final = side_module(b"\x42\x80\x80\x80\x80\x80\x80\x80\x04\x24\1" + RETURN_7, imports=[FUEL_IMPORT])
"""Fills its own tank."""
SCRIPT: Final = side_module(
    DATA_ADDRESS + CALL_FIRST, imports=[("env", "emscripten_run_script_int", function(INT_TO_INT))], data=b"40+2\0"
)

_OUTSIDE: Final = "is not in the profile"
REFUSED: Final = (
    Refused(name="EM_JS", module=EM_JS, problem='carries JavaScript (export "__em_js__pwn")'),
    Refused(
        name="EM_ASM",
        module=side_module(RETURN_7, data=b"1\0", data_export="__start_em_asm"),
        problem='carries JavaScript (export "__start_em_asm")',
    ),
    Refused(
        name="section of scripts",
        module=side_module(RETURN_7, custom="em_asm"),
        problem='carries JavaScript (section "em_asm")',
    ),
    Refused(name="imports the fuel", module=FUEL, problem='"__faas_fuel" is a name of the instrumenter'),
    Refused(
        name="exports the fuel",
        module=side_module(RETURN_7, export="__faas_fuel"),
        problem='"__faas_fuel" is a name of the instrumenter',
    ),
    Refused(name="relaxed SIMD", module=side_module(b"\xfd\x80\x02"), problem=f"relaxed SIMD {_OUTSIDE}"),
    Refused(name="memory.grow", module=side_module(b"\x41\1\x40\0\x1a" + RETURN_7), problem=f"memory.grow {_OUTSIDE}"),
    Refused(name="atomics", module=side_module(b"\xfe\0\2\0"), problem=f"threads {_OUTSIDE}"),
    Refused(
        name="shared memory",
        module=side_module(RETURN_7, imports=[("env", "shared", b"\2\3\1\2")]),
        problem="shared, 64-bit and other special limits are not in the profile",
    ),
    Refused(name="ill-typed", module=side_module(b""), problem="not a valid module"),
)

REFUSING: Final = (
    *("emscripten_run_script", "emscripten_run_script_int", "emscripten_run_script_string"),
    *("emscripten_async_run_script", "emscripten_async_load_script"),
    *("emscripten_asm_const_int", "emscripten_asm_const_double", "emscripten_asm_const_ptr"),
    *("emscripten_websocket_new", "emscripten_create_worker", "emscripten_async_wget_data", "emscripten_async_call"),
    *("emscripten_console_log", "emscripten_get_callstack", "emscripten_debugger", "emscripten_throw_string"),
    *("JsProxy_GetAttr_js", "_JsObject_GetMethod", "raw_call_js", "pyproxy_new", "python2js_js", "js2python_js"),
)
"""What the gate refuses, by the names in the import table; those that a Pyodide does not have are not asked for."""
OBJECTS: Final = ("constructor", "toString", "valueOf", "hasOwnProperty", "__defineGetter__", "isPrototypeOf")
"""Names that no table has, and that JavaScript's objects would answer to."""


def catching(module: str, names: tuple[str, ...]) -> bytes:
    """Return a module that calls all of them, catches what is thrown, and gives the address of what was refused."""
    return side_module(tell_refused(len(names)), imports=[(module, name, function(VOID)) for name in names])


TELL: Final = f"return list(ctypes.string_at(ctypes.CDLL({PLACE!r}).run(), %d))"

ADMITTED: Final = (
    Admitted(name="control", module=GOOD, exit_code=0, stdout="begun\n7\n"),
    Admitted(
        name="a script's number in the function table",
        module=side_module(b"\x41\0\x23\1\x11\2\0", imports=[("GOT.func", "emscripten_run_script_int", b"\3\x7f\1")]),
        exit_code=139,
    ),
    Admitted(name="a start without end", module=side_module(ENDLESS, kind=VOID, starts=True), exit_code=152),
)

WRITER: Final = side_module(
    caught(b"\x41\1\x20\0\x41\1\x20\0" + CALL_FIRST + b"\x1a") + RETURN_7,
    kind=INT_TO_INT,
    imports=[("wasi_snapshot_preview1", "fd_write", function(FOUR_TO_INT))],
)
"""Writes to standard output what an iovec says, and catches what is thrown."""
WRITE_TOO_MUCH: Final = f"""
text = ctypes.create_string_buffer(257 << 20)
vector = (ctypes.c_uint32 * 2)(ctypes.addressof(text), len(text))
print(ctypes.CDLL({PLACE!r}).run(ctypes.addressof(vector)))
"""

FUEL_OF_A_START: Final = 300_000_000
"""Enough for Python to load a module, and soon spent."""

_WRITE: Final = f"import base64; so = base64.b64decode({base64.b64encode(GOOD)!r})\n"
_ONLY: Final = "OSError: only modules of installed packages are loaded"


def _made(path: str, load: str = "") -> Attempt:
    code = f"{_WRITE}open({path!r}, 'wb').write(so); ctypes.CDLL({load or path!r})"
    return Attempt(name=load or path, code=code, met=_ONLY)


MADE: Final = (
    _made("/tmp/x.so"),
    _made("/work/x.so"),
    _made("/outputs/x.so"),
    _made("/tmp/x.so", "/lib/python3.14/site-packages/../../../tmp/x.so"),
    Attempt(
        name="site-packages",
        code=f"{_WRITE}open('/lib/python3.14/site-packages/x.so', 'wb').write(so)",
        met="PermissionError: [Errno 2] Permission denied: '/lib/python3.14/site-packages/x.so'",
    ),
    Attempt(
        name="by the library path",
        code=f"{_WRITE}os.environ['LD_LIBRARY_PATH'] = '/tmp'; open('/tmp/y.so', 'wb').write(so); ctypes.CDLL('y.so')",
        met=_ONLY,
    ),
    Attempt(
        name="as an extension module",
        code=f"{_WRITE}open('/work/z.so', 'wb').write(so); sys.path.append('/work'); import z",
        met="ImportError: only modules of installed packages are loaded",
    ),
)

LOAD_MADE: Final = f"\n{_WRITE}open('/tmp/x.so', 'wb').write(so); print(ctypes.CDLL('/tmp/x.so').run())"

CHANGED: Final = f"""
import base64
other = base64.b64decode({base64.b64encode(OTHER)!r})
held, path = ctypes.create_string_buffer(other, len(other)), {PLACE.encode()!r} + bytes(1)
library = ctypes.create_string_buffer(256 + len(path))
at = ctypes.addressof(library)
ctypes.memmove(at + 36, path, len(path))
words = ctypes.cast(at + 28, ctypes.POINTER(ctypes.c_uint32))
words[0], words[1] = ctypes.addressof(held), len(other)
print(LIB._dlopen_js(at), flush=True)
"""
"""The loader is told that the wheel's file has been read, into memory that holds other bytes (`struct dso` of musl)."""

USE: Final = """
LIB._dlsym_js.restype = ctypes.c_uint32
run = LIB._dlsym_js(at, b"run", ctypes.byref(ctypes.c_uint32()))
print(ctypes.CFUNCTYPE(ctypes.c_int)(run)(), flush=True)
"""
"""Calls what was loaded so."""

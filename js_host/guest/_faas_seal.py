"""Take what leads to JavaScript, and what waits for the host, out of Python before user code is loaded.

Defence in depth only: the boundary is the process around Node (docs/determinism.md).
"""

import _imp
import builtins
import gc
import math
import os
import sys
import threading
import time

_JS_MODULES = ("js", "pyodide_js", "pyodide", "_pyodide", "_pyodide_core", "micropip", "pyodide_http")
_NANOSECONDS = 1_000_000_000
_MAX_SLEEP_NS = (1 << 63) - 1
"""CPython's own bound: a 64-bit number of nanoseconds."""


def seal():
    """Take the JavaScript bridge apart, and make waiting move the virtual clock."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not _belongs_to_bridge(finder)]
    sys.meta_path.insert(0, _NoBridge)
    _empty_importers()
    bridge = [sys.modules.pop(name) for name in list(sys.modules) if _is_bridge(name)]
    for module in bridge:
        # JsProxies live in these namespaces; functions of the bridge that something still holds find nothing there.
        if isinstance(module, type(sys)):
            vars(module).clear()
    for name in [name for name, value in vars(builtins).items() if type(value).__name__.startswith("Js")]:
        delattr(builtins, name)
    _imp.create_builtin = _NoBridge.builtin_maker(_imp.create_builtin)
    time.sleep = sleep
    threading.Condition.wait = _wait


def _empty_importers():
    """Take their JsProxies from the bridge's finder and loaders, which C code keeps alive."""
    from _pyodide._importhook import JsFinder, JsLoader

    for thing in gc.get_objects():
        if isinstance(thing, (JsFinder, JsLoader)):
            vars(thing).clear()


def _is_bridge(name):
    return name.split(".")[0] in _JS_MODULES or type(sys.modules[name]).__name__ == "JsProxy"


def _belongs_to_bridge(finder):
    kind = finder if isinstance(finder, type) else type(finder)
    return kind.__module__.split(".")[0] in _JS_MODULES


class _NoBridge:
    """Refuses the bridge's module names with a reason."""

    @staticmethod
    def find_spec(name, _path=None, _target=None):
        """Raise for the bridge's modules, leave the rest to others."""
        if name.split(".")[0] in _JS_MODULES:
            message = f"No module named {name!r}: JavaScript is not reachable from a function"
            raise ModuleNotFoundError(message, name=name)

    @classmethod
    def builtin_maker(cls, make):
        """Return `_imp.create_builtin` without the bridge's core, which is compiled in."""

        def create_builtin(spec, /):
            cls.find_spec(spec.name)
            return make(spec)

        return create_builtin


def sleep(seconds, /):
    """Move the virtual clock forward by `seconds`; costs no time."""
    nanoseconds = _nanoseconds(seconds)
    if nanoseconds < 0:
        raise ValueError("sleep length must be non-negative")
    lever = os.open("/dev/sleep", os.O_WRONLY)
    os.write(lever, b"%d" % nanoseconds)
    os.close(lever)


def _nanoseconds(seconds):
    """Round up like CPython, so that who sleeps until a time never wakes before it."""
    if isinstance(seconds, float):
        if math.isnan(seconds):
            raise ValueError("Invalid value NaN (not a number)")
        nanoseconds = math.inf if math.isinf(seconds) else math.ceil(seconds * _NANOSECONDS)
    elif hasattr(seconds, "__index__"):
        nanoseconds = seconds.__index__() * _NANOSECONDS
    else:
        raise TypeError(f"'{type(seconds).__name__}' object cannot be interpreted as an integer")
    if abs(nanoseconds) > _MAX_SLEEP_NS:
        raise OverflowError("timestamp out of range for platform time_t")
    return nanoseconds


def _wait(self, timeout=None):
    """Wait on a condition: with a timeout sleep for it, without one say that nobody will ever notify."""
    if not self._is_owned():
        raise RuntimeError("cannot wait on un-acquired lock")
    if timeout is None:
        raise RuntimeError("waits for another thread, and there are none")
    sleep(max(0, timeout))
    return False

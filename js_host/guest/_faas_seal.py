"""Take what leads to JavaScript, and what waits for the host, out of Python before user code is loaded.

Defence in depth only: the boundary is the process around Node (docs/determinism.md).
"""

import builtins
import os
import sys
import time

import __main__

_JS_MODULES = ("js", "pyodide_js", "pyodide", "_pyodide", "_pyodide_core", "micropip", "pyodide_http")


def seal():
    """Remove the JavaScript bridge from sys.modules and from the import system, and make sleeping virtual."""
    from _pyodide import _importhook

    bridge = (_importhook.JsFinder,)
    sys.meta_path[:] = [finder for finder in sys.meta_path if not _belongs_to_bridge(finder, bridge)]
    for name in list(sys.modules):
        if name.split(".")[0] in _JS_MODULES or type(sys.modules[name]).__name__ == "JsProxy":
            del sys.modules[name]
    sys.meta_path.insert(0, _NoBridge)
    for namespace in (__main__.__dict__, builtins.__dict__):
        for name in [n for n, v in namespace.items() if type(v).__name__.startswith("JsProxy")]:
            del namespace[name]
    _virtual_sleep()


def _belongs_to_bridge(finder, bridge):
    module = type(finder).__module__ if not isinstance(finder, type) else finder.__module__
    return isinstance(finder, bridge) or module.split(".")[0] in ("_pyodide", "pyodide")


class _NoBridge:
    """Refuses the bridge's module names with a reason."""

    @staticmethod
    def find_spec(name, _path=None, _target=None):
        """Raise for the bridge's modules, leave the rest to others."""
        if name.split(".")[0] in _JS_MODULES:
            message = f"No module named {name!r}: JavaScript is not reachable from a function"
            raise ModuleNotFoundError(message, name=name)


def _virtual_sleep():
    lever = os.open("/dev/sleep", os.O_WRONLY)
    write = os.write

    def sleep(seconds, /):
        """Move the virtual clock forward by `seconds`; costs no time."""
        nanoseconds = int(seconds * 1_000_000_000)
        if nanoseconds < 0:
            raise ValueError("sleep length must be non-negative")
        write(lever, b"%d" % nanoseconds)

    time.sleep = sleep

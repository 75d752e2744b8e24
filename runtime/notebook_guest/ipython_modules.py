"""`import IPython` in the guest: the few names that notebooks and libraries ask for, and nothing behind them.

The real package is ten packages more in every lock, most of them for a terminal that is not there.
"""

from __future__ import annotations

import sys
import types
from typing import Any

from . import display, shell
from .formatters import plain_text

_VERSION = (9, 0, 0)
"""Libraries ask whether they know this version; from 8.24 on Matplotlib asks for nothing that is not here."""


class TerminalInteractiveShell:
    """What the shell is not: libraries ask, to know whether they are in a notebook."""


def _no_picture(*_: Any, **__: Any) -> None:
    """Draw no formula: there is no LaTeX, and the text itself is shown, which Jupyter draws."""


def install() -> None:
    """Put the modules where imports look first; a real IPython that is there stays unused."""
    shown = dict(display.NAMES)
    named = {"get_ipython": shell.get_ipython}
    modules: dict[str, dict[str, Any]] = {
        "IPython": {**named, "display": None, "version_info": _VERSION, "__version__": ".".join(map(str, _VERSION))},
        "IPython.display": shown,
        "IPython.core": {},
        "IPython.core.display": shown,
        "IPython.core.display_functions": shown,
        "IPython.core.getipython": named,
        "IPython.core.interactiveshell": {"InteractiveShell": shell.ZMQInteractiveShell},
        "IPython.core.error": {"UsageError": shell.UsageError},
        "IPython.lib": {},
        "IPython.lib.latextools": {"latex_to_png": _no_picture},
        "IPython.lib.pretty": {"pretty": plain_text},
        "IPython.terminal": {},
        "IPython.terminal.interactiveshell": {"TerminalInteractiveShell": TerminalInteractiveShell},
    }
    for name in [name for name in sys.modules if name == "IPython" or name.startswith("IPython.")]:
        del sys.modules[name]
    for name, content in modules.items():
        module = types.ModuleType(name, "The part of IPython that a sealed notebook has.")
        module.__path__ = []
        vars(module).update(content)
        sys.modules[name] = module
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)

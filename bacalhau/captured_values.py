"""How a name that a function uses is written down: as an import, or as a constant. Pure but for looking at modules."""

from __future__ import annotations

import math
import sys
from types import ModuleType
from typing import Any, Final

from storage.errors import UserError

_MAX_LITERAL: Final = 10_000
"""Characters of a constant."""
_MAX_DEPTH: Final = 20


def import_module(name: str, module: ModuleType, where: str) -> str:
    """Return an import of a module under a name.

    Raises:
        UserError: the guest does not have it.
    """
    full = module.__name__
    _check_is_of_guest(full, where)
    if full == name:
        return f"import {full}"
    # `import os.path` binds `os`; another name needs `as`.
    return f"import {full} as {name}"


def import_name(name: str, value: Any, where: str) -> str:
    """Return an import of a function or class under a name; raises as `import_module`."""
    module, qualified = value.__module__, value.__qualname__
    if module in (None, "__main__") or not qualified.isidentifier():
        problem = f"uses {name!r}, which is no top-level name of a module that can be imported"
        raise UserError(problem, where=where, fix="define it beside the function")
    if module != "builtins":
        _check_is_of_guest(module, where)
    renamed = "" if name == qualified else f" as {name}"
    return f"from {module} import {qualified}{renamed}"


def importable(name: str, value: Any) -> str | None:
    """Return an import of an object that a module of the standard library or of a package has under this name."""
    module = getattr(value, "__module__", None) or getattr(type(value), "__module__", None)
    qualified = getattr(value, "__name__", name)
    home = sys.modules.get(module or "")
    if home is None or not isinstance(qualified, str) or not _is_installed(module or ""):
        return None
    if getattr(home, qualified, None) is not value:
        return None
    return f"from {module} import {qualified}{'' if qualified == name else f' as {name}'}"


def _check_is_of_guest(module: str, where: str) -> None:
    """Refuse an import of one's own file, which the guest does not have."""
    if not _is_installed(module):
        fix = "put both into a directory with function.py, and name that: bacalhau.load_function(DIRECTORY)"
        raise UserError(f"imports {module!r}, a file of your own", where=where, fix=fix)


def _is_installed(module: str) -> bool:
    top = module.split(".")[0]
    if top in sys.stdlib_module_names:
        return True
    origin = getattr(sys.modules.get(top), "__file__", None) or next(
        iter(getattr(sys.modules.get(top), "__path__", ())), ""
    )
    return any(part in ("site-packages", "dist-packages") for part in origin.replace("\\", "/").split("/"))


def literal(value: Any) -> str | None:
    """Return a constant as Python writes it, None if it is none that comes back the same."""
    if not _is_plain(value):
        return None
    text = repr(value)
    return text if len(text) <= _MAX_LITERAL else None


def _is_plain(value: Any, depth: int = 0) -> bool:
    if value is None or type(value) in (bool, int, str, bytes):
        return True
    if type(value) is float:
        return math.isfinite(value)
    if depth >= _MAX_DEPTH:
        return False
    if type(value) in (tuple, list):
        return all(_is_plain(item, depth + 1) for item in value)
    if type(value) is dict:
        return all(_is_plain(item, depth + 1) for pair in value.items() for item in pair)
    return False

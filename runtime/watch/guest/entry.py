"""The entry point of a watched function: sets the world up as the settings say, loads the function, and calls it.

settings, all optional:
    ledger   path of a file to which requests are written, one JSON array [kind, what, file, line] a line
    vary     kind -> "*" or [[file, line], …]: whose answers are to be others
    padding  objects that are allocated before the function is loaded, so that its own lie elsewhere
    entries  "reversed": the tar stream of the input has its members from the end
    lines    {"path", "stop", "count"}: see `lines.Lines`
"""

from __future__ import annotations

import builtins
import importlib.abc
import importlib.machinery
import inspect
import linecache
import sys
import types
from pathlib import Path
from typing import Any, Final

from .ledger import FUNCTION, Ledger
from .lines import Lines
from .marked import Marks
from .marks import marked_code
from .sources import LATE, Sources
from .tar_order import reordered

USER_SOURCE: Final = f"{FUNCTION}bacalhau_watch/user_function.txt"
_POSITIONAL: Final = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.VAR_POSITIONAL,
)
_held: list[object] = []


def main(data: Any, entry: str | None, args: dict[str, Any], settings: dict[str, Any]) -> Any:
    """Run the function under watch; what it returns or raises is what it would without."""
    _pad(int(settings.get("padding", 0)))
    ledger = Ledger(settings.get("ledger"), settings.get("vary", {}))
    sources = Sources(ledger)
    sources.install()
    Marks(ledger).install(vars(builtins))
    sys.meta_path.insert(0, _WatchedModules(sources))
    if settings.get("entries") == "reversed":
        data = reordered(data)
    lines = Lines(settings["lines"]) if "lines" in settings else None
    source = Path(USER_SOURCE).read_bytes()
    _show_source(source)
    code = marked_code(source, "function.py", f"{FUNCTION}function.py")
    if lines is not None:
        lines.begin()
    try:
        return _call(code, entry, data, args)
    finally:
        if lines is not None:
            lines.end()


def _call(code: Any, entry: str | None, data: Any, args: dict[str, Any]) -> Any:
    if entry is None:
        script = types.ModuleType("__main__")
        script.__file__ = f"{FUNCTION}function.py"
        sys.modules["__main__"] = script
        exec(code, vars(script))  # noqa: S102  the function itself
        return None
    module = types.ModuleType("function")
    module.__file__ = f"{FUNCTION}function.py"
    sys.modules["function"] = module
    exec(code, vars(module))  # noqa: S102  the function itself
    target = getattr(module, entry)
    return target(data, **args) if _wants_data(target) else target(**args)


def _wants_data(target: Any) -> bool:
    try:
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):
        return True
    return any(parameter.kind in _POSITIONAL for parameter in parameters)


def _pad(count: int) -> None:
    """Take memory of many sizes, and give some of it back."""
    _held.extend([bytearray(16 + number % 480), object(), (number, number), {number}] for number in range(count))
    del _held[::3]


def _show_source(source: bytes) -> None:
    """Let tracebacks show the function's own lines: what lies at its path is the watch."""
    text = source.decode("utf-8", "replace").splitlines(keepends=True)
    path = f"{FUNCTION}function.py"
    linecache.cache[path] = (len(source), None, text, path)


class _MarkedLoader(importlib.machinery.SourceFileLoader):
    """Loads a module of the function's directory, marked."""

    def source_to_code(self, data: Any, path: Any, *, _optimize: int = -1) -> Any:  # type: ignore[override]
        """Compile with marks; what cannot be parsed fails as it does without."""
        return marked_code(bytes(data), str(path).removeprefix(FUNCTION), str(path))


class _LateLoader(importlib.abc.Loader):
    """Loads a module as its own loader does, and then has it watched."""

    def __init__(self, loader: Any, sources: Sources) -> None:
        self._loader, self._sources = loader, sources

    def create_module(self, spec: Any) -> Any:
        """Leave it to the module's own loader."""
        return self._loader.create_module(spec)

    def exec_module(self, module: Any) -> None:
        """Run the module's code, and watch it."""
        self._loader.exec_module(module)
        self._sources.loaded(module.__name__)


class _WatchedModules(importlib.abc.MetaPathFinder):
    """Finds the modules of the function's directory, and those of others that are to be watched."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        """Return the spec of such a module, or leave it to others."""
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        origin = spec.origin if spec is not None else None
        if spec is None or origin is None:
            return None
        if name in LATE:
            spec.loader = _LateLoader(spec.loader, self._sources)
            return spec
        if not origin.startswith(FUNCTION) or not origin.endswith(".py"):
            return None
        spec.loader = _MarkedLoader(name, origin)
        return spec

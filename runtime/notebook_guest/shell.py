"""What `get_ipython()` gives in the guest: magics, formatters, the variables of the cells."""

from __future__ import annotations
import __future__

import ast
import functools
import importlib
import operator
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from .cell_source import RefusedError, figure_formats
from .formatters import DisplayFormatter
from .recorder import Recorder
from .traces import format_error

_FLAGS = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
_FUTURE = functools.reduce(
    operator.or_, (getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
)


class UsageError(Exception):
    """A magic that does not exist here, or is used wrongly."""


class Events:
    """Takes what libraries want called around cells, and calls it."""

    def __init__(self) -> None:
        self._callbacks: dict[str, list[Callable[..., Any]]] = {}

    def register(self, event: str, function: Callable[..., Any]) -> None:
        """Have a function called at `post_execute`; others never come."""
        self._callbacks.setdefault(event, []).append(function)

    def unregister(self, event: str, function: Callable[..., Any]) -> None:
        """Have it called no longer."""
        self._callbacks.get(event, []).remove(function)

    def trigger(self, event: str) -> None:
        """Call what was registered."""
        for function in tuple(self._callbacks.get(event, ())):
            function()


class ZMQInteractiveShell:
    """The shell. It has the name of Jupyter's, by which libraries know that they may show HTML."""

    def __init__(self, namespace: dict[str, Any], recorder: Recorder) -> None:
        self.user_ns = namespace
        self.user_global_ns = namespace
        self.recorder = recorder
        self.config: dict[str, Any] = {}
        self.colors = "neutral"
        self.display_formatter = DisplayFormatter(_complain)
        self.display_pub = SimpleNamespace(publish=self._publish, clear_output=recorder.clear)
        self.events = Events()
        self.execution_count = 0
        self.figure_formats: tuple[str, ...] = ("png",)
        self.has_updated = False
        """Something was shown anew that may be in an earlier cell."""
        self._compiler_flags = 0
        self._display_ids = 0
        self._register_figures()

    def next_display_id(self) -> str:
        """Return a name for something that is going to be updated."""
        self._display_ids += 1
        return f"display-{self._display_ids}"

    def compile(self, source: Any, name: str, mode: str) -> Any:
        """Compile a part of a cell; what earlier cells imported from `__future__` holds."""
        code = compile(source, name, mode, _FLAGS | self._compiler_flags, dont_inherit=True)
        if hasattr(code, "co_flags"):
            self._compiler_flags |= code.co_flags & _FUTURE
        return code

    def parse(self, source: str, name: str) -> ast.Module:
        """Return the statements of a cell."""
        tree: ast.Module = self.compile_tree(source, name)
        return tree

    def compile_tree(self, source: str, name: str) -> Any:
        """Parse with the flags that hold."""
        return compile(source, name, "exec", _FLAGS | self._compiler_flags | ast.PyCF_ONLY_AST, dont_inherit=True)

    def run_line_magic(self, name: str, argument: str, *_: Any) -> Any:
        """Run one of the magics that stand in a line."""
        if name == "config":
            self.figure_formats = figure_formats(argument) or self.figure_formats
        elif name == "pip":
            packages = argument.removeprefix("install").strip()
            print(f"{packages}: locked with the function before it ran; nothing is installed now")
        elif name == "time":
            return self._timed(lambda: self._evaluate(argument))
        elif name not in ("matplotlib", "load_ext", "reload_ext", "autoreload"):
            raise UsageError(f"%{name} is not supported")
        return None

    def run_cell_magic(self, name: str, argument: str, body: str) -> None:
        """Run one of the magics that take a cell."""
        if name == "writefile":
            self._write_file(argument, body)
            return
        mime = {"html": "text/html", "latex": "text/latex", "markdown": "text/markdown", "svg": "image/svg+xml"}.get(
            name
        )
        if mime is None:
            raise UsageError(f"%%{name} is not supported")
        self._publish({mime: body, "text/plain": f"<{name}>"})

    def magic(self, line: str) -> Any:
        """Run a magic, as it was spelled once."""
        name, _, argument = line.lstrip("%").partition(" ")
        return self.run_line_magic(name, argument)

    def enable_gui(self, gui: str | None = None) -> None:
        """Do nothing: there are no windows."""

    def _publish(self, data: dict[str, Any], metadata: dict[str, Any] | None = None, **_: Any) -> None:
        checked = self.display_formatter.checked(data, dict(metadata or {}))
        if checked[0]:
            self.recorder.show(*checked)

    def _evaluate(self, source: str) -> Any:
        tree = self.parse(source, "<time>")
        if len(tree.body) == 1 and isinstance(tree.body[0], ast.Expr):
            return eval(self.compile(ast.Expression(tree.body[0].value), "<time>", "eval"), self.user_ns)
        exec(self.compile(tree, "<time>", "exec"), self.user_ns)
        return None

    def _timed(self, call: Callable[[], Any]) -> Any:
        started = time.perf_counter_ns()
        try:
            return call()
        finally:
            print(timing(time.perf_counter_ns() - started))

    def _write_file(self, argument: str, body: str) -> None:
        words = argument.split()
        path, appends = Path(words[-1]), len(words) > 1
        print(f"{'Appending to' if appends else 'Overwriting' if path.exists() else 'Writing'} {path}")
        with path.open("a" if appends else "w", encoding="utf-8") as file:
            file.write(body)

    def _register_figures(self) -> None:
        """Have figures shown as pictures; their module is loaded when there is one."""

        def by(name: str) -> Callable[[Any], Any]:
            return lambda figure: getattr(importlib.import_module(f"{__package__}.figures"), name)(figure)

        for mime, name in (("image/png", "as_png"), ("image/svg+xml", "as_svg")):
            self.display_formatter.formatters[mime].for_type_by_name("matplotlib.figure", "Figure", by(name))


def timing(nanoseconds: int) -> str:
    """Return what %time says of a time on the virtual clock."""
    for unit, size in (("s", 1_000_000_000), ("ms", 1_000_000), ("µs", 1_000)):
        if nanoseconds >= size:
            return f"Wall time: {nanoseconds / size:.3g} {unit} (virtual clock)"
    return f"Wall time: {nanoseconds} ns (virtual clock)"


_present: list[ZMQInteractiveShell] = []


def use(shell: ZMQInteractiveShell) -> None:
    """Make a shell the one that `get_ipython` gives."""
    _present[:] = [shell]


def get_ipython() -> ZMQInteractiveShell | None:
    """Return the shell of the notebook that runs."""
    return _present[0] if _present else None


def require_shell() -> ZMQInteractiveShell:
    """Return the shell; RuntimeError where no notebook runs."""
    if not _present:
        raise RuntimeError("no notebook runs")
    return _present[0]


def set_environment() -> None:
    """Make our backend the one of Matplotlib, also where its modules are loaded already."""
    backend = f"module://{__package__}.figures"
    os.environ["MPLBACKEND"] = backend
    matplotlib = sys.modules.get("matplotlib")
    if matplotlib is not None:
        matplotlib.use(backend)


def _complain(error: BaseException) -> None:
    sys.stderr.write(format_error(error))


__all__ = ["RefusedError", "UsageError", "ZMQInteractiveShell", "get_ipython", "require_shell", "use"]

"""Runs a notebook: its cells in order, in one namespace, until one fails.

The executed notebook is /outputs/notebook.ipynb, whatever ends the run. Cells run on an event loop, as in Jupyter. Each
code cell is a step of the function: between two of them the host can keep the state, and go on from it in a later run.
"""

from __future__ import annotations

import ast
import asyncio
import builtins
import contextlib
import io
import os
import sys
import time
import tokenize
import types
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from . import ipython_modules, shell
from .cell_files import CellFiles
from .cell_source import RefusedError, is_empty, read_cell
from .document import Cell, Document
from .parameters import INJECTED
from .recorder import Recorder
from .streams import CellStream
from .traces import cell_name, error_name, error_value, format_error, remember

FUNCTION = Path(__file__).parent.parent
EXECUTED = Path("/outputs/notebook.ipynb")
INPUTS = Path("/inputs")

_OUT_OF_MEMORY = 137
_MAY_RAISE = "raises-exception"
_NO_ROOM = "the outputs of this cell found no room in memory or on the disk, which is as large as the memory"
_ENDED = "the run ended in this cell: out of fuel, out of memory, or a trap; the exit code of the output says which"


def main(_input: object, /, **given: Any) -> Iterator[None]:
    """Run the notebook beside this package; given: its parameters. SystemExit if a cell failed, as in a function."""
    link_inputs(INPUTS, Path.cwd())
    code = yield from Run(CellFiles(FUNCTION, given), EXECUTED).steps()
    if code:
        raise SystemExit(code)


def link_inputs(inputs: Path, place: Path) -> None:
    """Let relative paths lead to the inputs: link each under its name into the working directory."""
    for entry in sorted(inputs.iterdir()) if inputs.is_dir() else ():
        link = place / entry.name
        if not os.path.lexists(link):
            link.symlink_to(entry)


class Run:
    """One run of a notebook."""

    def __init__(self, files: CellFiles, executed: Path) -> None:
        version = {"name": "python", "version": ".".join(map(str, sys.version_info[:3]))}
        files.others["metadata"]["language_info"] = version
        self._files = files
        self._document = Document(files.others, executed)
        self._recorder = Recorder()
        self._streams = sys.stdout, sys.stderr
        self._module = types.ModuleType("__main__")
        self._shell = shell.ZMQInteractiveShell(vars(self._module), self._recorder)
        self._is_first = True

    def steps(self) -> Generator[None, None, int]:
        """Run all cells, a step each, and return the exit code."""
        with asyncio.Runner() as loop:
            try:
                self._set_up()
                code: int | None = None
                while code is None and (cells := self._files.next()) is not None:
                    code = loop.run(self._cells(cells))
                    if code is None:
                        yield
                if code is None:
                    code = loop.run(self._cells(self._files.rest()))
                else:
                    # Without room for them the notebook ends with the cells that ran.
                    with contextlib.suppress(OSError, MemoryError):
                        self._document.add(self._files.rest())
                return code or 0
            finally:
                self._document.close()
                sys.stdout, sys.stderr = self._streams

    def _set_up(self) -> None:
        shell.use(self._shell)
        ipython_modules.install()
        shell.set_environment()
        sys.modules["__main__"] = self._module
        sys.path.append(str(Path.cwd()))
        shown = sys.modules["IPython.display"].display
        for name, value in (("get_ipython", shell.get_ipython), ("display", shown)):
            setattr(builtins, name, value)
        self._shell.user_ns |= {"In": [""], "Out": {}, "_": "", "__": "", "___": "", "__builtins__": builtins}
        sys.stdout = CellStream("stdout", self._recorder, self._streams[0])
        sys.stderr = CellStream("stderr", self._recorder, self._streams[1])

    async def _cells(self, cells: list[Cell]) -> int | None:
        """Run the next cells; return the exit code if the run ends with one of them."""
        before = len(self._document.cells)
        try:
            self._document.add(cells)
        except (OSError, MemoryError) as no_room:
            self._streams[1].write(f"{error_name(no_room)}: {_NO_ROOM}\n")
            return _exit_code(no_room)
        for number, cell in enumerate(cells, start=before):
            if cell["cell_type"] != "code" or is_empty(cell["source"]):
                continue
            code = await self._cell(number, cell, is_first=self._is_first)
            self._is_first = self._is_first and INJECTED in cell["metadata"].get("tags", ())
            if code is not None:
                return code
        return None

    async def _cell(self, number: int, cell: Cell, *, is_first: bool) -> int | None:
        """Run one cell; return the exit code if the run ends with it."""
        self._shell.execution_count += 1
        count = self._shell.execution_count
        cell["execution_count"] = count
        cell["outputs"] = [_note("RunEnded", _ENDED)]
        self._document.save((number,))
        cell["outputs"] = self._recorder.begin()
        error = await self._outcome(cell["source"], count, is_first=is_first)
        code = None
        if error is not None:
            trace = format_error(error)
            self._recorder.fail(error_name(error), error_value(error), trace)
            if _MAY_RAISE not in cell["metadata"].get("tags", ()):
                code = _exit_code(error)
                self._streams[1].write(trace)
        changed = tuple(range(number + 1)) if self._shell.has_updated else (number,)
        self._shell.has_updated = False
        try:
            self._document.save(changed)
        except (OSError, MemoryError) as no_room:
            cell["outputs"] = [_note(error_name(no_room), _NO_ROOM)]
            self._document.save((number,))
            self._streams[1].write(f"{error_name(no_room)}: {_NO_ROOM}\n")
            return _exit_code(no_room)
        return code

    async def _outcome(self, text: str, count: int, *, is_first: bool) -> BaseException | None:
        """Run a cell's text, show the figures that it left open, and return what it raised."""
        found: BaseException | None = None
        try:
            await self._run(text, count, is_first=is_first)
        except BaseException as error:
            found = error
        try:
            if "matplotlib._pylab_helpers" in sys.modules:
                from .figures import show_figures

                show_figures()
            self._shell.events.trigger("post_execute")
            await asyncio.sleep(0)  # what cells have started goes on between them
        except BaseException as error:
            found = found or error
        return found

    async def _run(self, text: str, count: int, *, is_first: bool) -> None:
        name = cell_name(count)
        remember(name, text)
        self._shell.user_ns["In"].append(text)
        try:
            source = read_cell(text, is_first=is_first)
        except RefusedError as error:
            raise shell.UsageError(str(error)) from None
        started = time.perf_counter_ns()
        try:
            value = await self._statements(source.python, name)
        finally:
            if source.is_timed:
                print(shell.timing(time.perf_counter_ns() - started))
        if value is not None and not _ends_silently(source.python):
            self._show(value, count)

    async def _statements(self, source: str, name: str) -> Any:
        """Run the statements of a cell, and return the value of the last one if it is an expression."""
        tree = self._shell.parse(source, name)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        if tree.body:
            await self._evaluate(self._shell.compile(tree, name, "exec"))
        if last is None:
            return None
        expression = ast.Expression(last.value)  # type: ignore[attr-defined]
        return await self._evaluate(self._shell.compile(expression, name, "eval"))

    async def _evaluate(self, code: types.CodeType) -> Any:
        value = eval(code, self._shell.user_ns)
        return await value if code.co_flags & 0x80 else value  # CO_COROUTINE: it awaits at its top

    def _show(self, value: Any, count: int) -> None:
        names = self._shell.user_ns
        names["Out"][count] = names[f"_{count}"] = value
        names["___"], names["__"], names["_"] = names.get("__"), names.get("_"), value
        from .formatters import real_method

        shows_itself = real_method(value, "_ipython_display_")
        if shows_itself is not None:
            shows_itself()
            return
        data, metadata = self._shell.display_formatter.format(value)
        if data:
            self._recorder.show(data, metadata, count=count)


def _note(name: str, text: str) -> dict[str, Any]:
    return {"output_type": "error", "ename": name, "evalue": text, "traceback": [text]}


def _ends_silently(source: str) -> bool:
    """Tell whether Python ends in `;`, by which its value is not shown."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    said = [token.string for token in tokens if token.type not in (tokenize.COMMENT, tokenize.ENDMARKER)]
    return next((text for text in reversed(said) if text.strip()), "") == ";"


def _exit_code(error: BaseException) -> int:
    """Return the exit code of a run that an exception ends, as for a function."""
    if isinstance(error, MemoryError):
        return _OUT_OF_MEMORY
    if not isinstance(error, SystemExit):
        return 1
    if error.code is None:
        return 0
    return int(error.code) & 0xFF if isinstance(error.code, int) else 1

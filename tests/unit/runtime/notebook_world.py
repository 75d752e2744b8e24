"""Runs cells with the guest's runner in this Python, and leaves this process as it was."""

import builtins
import contextlib
import io
import json
import linecache
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import nbformat

from runtime.notebook_guest import runner, shell
from runtime.notebook_guest.cell_files import CellFiles, cell_files


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What a run left."""

    code: int
    file: bytes
    stdout: str
    stderr: str

    @property
    def notebook(self):
        return json.loads(self.file)

    @property
    def cells(self):
        return self.notebook["cells"]

    @property
    def outputs(self):
        """Of the last cell that ran, texts in one piece."""
        return joined([cell for cell in self.cells if cell.get("execution_count")][-1]["outputs"])


def joined(outputs):
    node = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    cell = {"cell_type": "code", "id": "x", "metadata": {}, "source": "", "execution_count": 1, "outputs": outputs}
    return json.loads(json.dumps(nbformat.reader.reads(json.dumps(node | {"cells": [cell]})).cells[0].outputs))


def cell(source, *tags, kind="code"):
    more = {"execution_count": None, "outputs": []} if kind == "code" else {}
    return {"cell_type": kind, "id": "", "metadata": {"tags": list(tags)} if tags else {}, "source": source, **more}


def notebook_of(*cells):
    made = [one if isinstance(one, dict) else cell(one) for one in cells]
    made = [{**one, "id": f"cell-{number}"} for number, one in enumerate(made, start=1)]
    return {"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


@contextlib.contextmanager
def restored():
    """Put back what a run changes of the interpreter."""
    modules, path, environment = dict(sys.modules), list(sys.path), dict(os.environ)
    names = {name: getattr(builtins, name) for name in ("get_ipython", "display") if hasattr(builtins, name)}
    streams, lines = (sys.stdout, sys.stderr), dict(linecache.cache)
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name not in modules or sys.modules[name] is not modules[name]]:
            if name in modules:
                sys.modules[name] = modules[name]
            elif name.startswith(("IPython", "matplotlib", "__main__")):
                del sys.modules[name]
        sys.path[:] = path
        os.environ.clear()
        os.environ.update(environment)
        for name in ("get_ipython", "display"):
            if name in names:
                setattr(builtins, name, names[name])
            elif hasattr(builtins, name):
                delattr(builtins, name)
        sys.stdout, sys.stderr = streams
        linecache.cache.clear()
        linecache.cache.update(lines)
        shell._present.clear()


def run_cells(folder: Path, *cells, given=None):
    """Run cells (texts, or what `cell` makes) and return what is left; the file is checked to be one of nbformat's."""
    function = folder / "function"
    for name, content in cell_files(notebook_of(*cells)).items():
        (function / name).parent.mkdir(parents=True, exist_ok=True)
        (function / name).write_bytes(content)
    path = folder / "executed.ipynb"
    out, err = io.StringIO(), io.StringIO()
    with restored():
        sys.stdout, sys.stderr = out, err
        code = last(runner.Run(CellFiles(function, given or {}), path).steps())
    for old in (function / "_cells").iterdir():
        old.unlink()
    data = path.read_bytes()
    check_file(data)
    return Ran(code=code, file=data, stdout=out.getvalue(), stderr=err.getvalue())


def last(steps):
    """Run a generator to its end and return its value."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def check_file(data):
    """It is valid, and byte for byte what nbformat itself writes."""
    node = nbformat.reads(data.decode(), as_version=nbformat.NO_CONVERT)
    nbformat.validate(node)
    assert nbformat.writes(node) + "\n" == data.decode()

"""The cells of a notebook as files, read one after the other: nothing here knows a cell before its turn has come.

    notebook.json      what a notebook has beside its cells; `has_parameters`: one of the cells is tagged so
    _cells/1.json      the cells up to the first code cell, and it; then those up to the second, and so on
    _cells/end.json    the cells behind the last code cell

So a run that has come to the n-th code cell depends on no later one, and another run can go on from there.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .cell_source import is_empty
from .parameters import PARAMETERS, inject, injected_cell

Cells = list[dict[str, Any]]

HEAD = "notebook.json"
FOLDER = "_cells"
END = "end"


def cell_files(notebook: dict[str, Any]) -> dict[str, bytes]:
    """Return the files of a notebook, by path."""
    cells: Cells = notebook["cells"]
    head = {key: value for key, value in notebook.items() if key != "cells"}
    head["has_parameters"] = any(_is_tagged(cell) for cell in cells)
    groups: list[Cells] = [[]]
    for cell in cells:
        groups[-1].append(cell)
        if cell["cell_type"] == "code" and not is_empty(cell["source"]):
            groups.append([])
    named = {**{str(number): group for number, group in enumerate(groups[:-1], start=1)}, END: groups[-1]}
    return {HEAD: _text(head), **{f"{FOLDER}/{name}.json": _text(group) for name, group in named.items()}}


class CellFiles:
    """Reads a notebook group by group, with the cell of parameters put into it."""

    def __init__(self, folder: Path, given: dict[str, Any]) -> None:
        """Read all but the cells. given: parameters."""
        self._folder = folder
        self.others: dict[str, Any] = json.loads(_read(folder / HEAD))
        has_parameters = self.others.pop("has_parameters")
        self._given = given
        self._waiting: Cells = [] if has_parameters or not given else [injected_cell(given)]
        self._read = 0

    def next(self) -> Cells | None:
        """Return the cells up to the next code cell, and it; None if no code is left."""
        try:
            text = _read(self._folder / FOLDER / f"{self._read + 1}.json")
        except FileNotFoundError:
            return None
        self._read += 1
        return self._with_parameters(json.loads(text))

    def rest(self) -> Cells:
        """Return all cells that were not read."""
        found: Cells = []
        while (cells := self.next()) is not None:
            found += cells
        return found + self._with_parameters(json.loads(_read(self._folder / FOLDER / f"{END}.json")))

    def _with_parameters(self, cells: Cells) -> Cells:
        if self._given and any(_is_tagged(cell) for cell in cells):
            inject(cells, self._given)
            self._given = {}
        before, self._waiting = self._waiting, []
        return before + cells


def _is_tagged(cell: dict[str, Any]) -> bool:
    return PARAMETERS in cell["metadata"].get("tags", ())


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _text(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()

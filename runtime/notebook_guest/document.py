"""The executed notebook, written while it runs: whatever ends the run, the file is a whole notebook of what there was.

The bytes are those that nbformat writes: keys sorted, one space of indentation, texts as lists.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .recorder import written

Cell = dict[str, Any]

_HEAD = b'{\n "cells": ['


class Document:
    """A notebook of format 4.5 and the file it is written to."""

    def __init__(self, notebook: dict[str, Any], path: Path) -> None:
        self.cells: list[Cell] = notebook["cells"]
        others = {key: value for key, value in notebook.items() if key != "cells"}
        self._tail = b"\n ],\n" + _dump(others).removeprefix(b"{\n") + b"\n"
        self._rendered: list[bytes] = [_render(cell) for cell in self.cells]
        self._starts = [len(_HEAD)] * (len(self.cells) + 1)
        self._file = path.open("wb", buffering=0)
        self._write(_HEAD)
        self.save(())

    def save(self, changed: tuple[int, ...]) -> None:
        """Write the notebook; changed: numbers of the cells that are not as they were written last.

        Raises:
            OSError, MemoryError: there is no room; the file is whole again once less has been saved.
        """
        for number in changed:
            self._rendered[number] = _render(self.cells[number])
        first = min(changed, default=0)
        position = self._starts[first]
        pieces = []
        for number in range(first, len(self.cells)):
            self._starts[number] = position
            pieces.append((b",\n  " if number else b"\n  ") + self._rendered[number])
            position += len(pieces[-1])
        self._file.seek(self._starts[first])
        self._file.truncate()
        self._write(b"".join([*pieces, self._tail]))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]


def _render(cell: Cell) -> bytes:
    cell = {**cell, "source": cell["source"].splitlines(keepends=True)}
    if cell["cell_type"] == "code":
        cell["outputs"] = [written(output) for output in cell["outputs"]]
    return _dump(cell).replace(b"\n", b"\n  ")


def _dump(value: Any) -> bytes:
    # What is no text in UTF-8 (half of a surrogate pair) becomes '?'.
    text = json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True, separators=(",", ": "))
    return text.encode("utf-8", "replace")

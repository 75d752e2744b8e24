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
    """A notebook of format 4.5 and the file it is written to; cells come to it as the run reaches them."""

    def __init__(self, others: dict[str, Any], path: Path) -> None:
        """Begin a notebook without cells. others: all else that a notebook has."""
        self.cells: list[Cell] = []
        self._tail = b"\n ],\n" + _dump(others).removeprefix(b"{\n") + b"\n"
        self._rendered: list[bytes] = []
        self._starts = [len(_HEAD)]
        self._file = path.open("wb", buffering=0)
        self._write(_HEAD)
        self.save(())

    def add(self, cells: list[Cell]) -> None:
        """Add cells behind those that there are, and write them.

        Raises:
            OSError, MemoryError: there is no room; the file is as it was.
        """
        before = len(self.cells)
        self.cells += cells
        self._rendered += [b""] * len(cells)
        self._starts += [0] * len(cells)
        try:
            self.save(tuple(range(before, len(self.cells))))
        except (OSError, MemoryError):
            for kept, count in ((self.cells, before), (self._rendered, before), (self._starts, before + 1)):
                del kept[count:]
            self.save(())
            raise

    def save(self, changed: tuple[int, ...]) -> None:
        """Write the notebook; changed: numbers of the cells that are not as they were written last.

        Raises:
            OSError, MemoryError: there is no room; the file is whole again once less has been saved.
        """
        for number in changed:
            self._rendered[number] = _render(self.cells[number])
        first = min(changed, default=len(self.cells))
        position = self._starts[first]
        pieces = []
        for number in range(first, len(self.cells)):
            self._starts[number] = position
            pieces.append((b",\n  " if number else b"\n  ") + self._rendered[number])
            position += len(pieces[-1])
        self._starts[len(self.cells)] = position
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

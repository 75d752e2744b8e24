"""stdout and stderr of cells: what is written goes into the cell's outputs, and on to the run's own stream."""

from __future__ import annotations

import io
from typing import TextIO

from .recorder import Recorder


class CellStream(io.TextIOBase):
    """A text stream that is there for the whole run; whoever keeps it writes into the cell that runs then."""

    def __init__(self, name: str, recorder: Recorder, beneath: TextIO) -> None:
        super().__init__()
        self._name = name
        self._recorder = recorder
        self._beneath = beneath

    @property
    def name(self) -> str:
        """Return what Python calls it."""
        return f"<{self._name}>"

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Return the encoding of the stream beneath."""
        return "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]
        """Return how characters are treated that have no encoding."""
        return "backslashreplace"

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, text: str) -> int:
        """Write to the cell and on."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        plain = text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
        self._recorder.write(self._name, plain)
        self._beneath.write(plain)
        return len(text)

    def flush(self) -> None:
        """Flush the stream beneath."""
        self._beneath.flush()

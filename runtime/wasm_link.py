"""The worker's end of its two pipes: asks the parent for inputs and randomness, tells what came of the run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, BinaryIO, Final

from runtime.frames import Frame, read_frame, write_frame
from runtime.wasi_inputs import Entry
from runtime.wasm_task import read_entry

PIECE_BYTES: Final = 1 << 20
_MAX_HEADER_BYTES: Final = 1 << 30
"""Of what the parent sends, which is trusted: a directory may have a million names."""
_MAX_PAYLOAD_BYTES: Final = 64 << 20


class Link:
    """Frames to and from the parent. A parent that is gone ends the process."""

    def __init__(self, hearing: BinaryIO, telling: BinaryIO) -> None:
        self._hearing = hearing
        self._telling = telling

    def hear(self) -> Frame:
        """Wait for a frame.

        Raises:
            EOFError: the parent is gone.
        """
        return read_frame(self._hearing, _MAX_PAYLOAD_BYTES, _MAX_HEADER_BYTES)

    def tell(self, header: dict[str, Any], payload: bytes = b"") -> None:
        """Send a frame."""
        write_frame(self._telling, Frame(header=header, payload=payload))

    def tell_pieces(self, data: bytes | bytearray) -> None:
        """Send bytes in pieces, with a frame that ends them."""
        for at in range(0, len(data), PIECE_BYTES):
            self.tell({"type": "piece"}, bytes(data[at : at + PIECE_BYTES]))
        self.tell({"type": "end"})

    def hear_pieces(self) -> bytes:
        """Read bytes that come in pieces."""
        pieces = bytearray()
        while (frame := self.hear()).type == "piece":
            pieces += frame.payload
        return bytes(pieces)

    def draw(self, count: int) -> bytes:
        """Ask for the next random bytes of the task."""
        return self._ask({"type": "entropy", "length": count}).payload

    def _ask(self, question: dict[str, Any]) -> Frame:
        self.tell(question)
        return self.hear()

    # A provider of inputs (`wasi_inputs.Provider`)

    def lookup(self, handle: int, name: str) -> Entry | None:
        """Return what a directory holds under a name."""
        found = self._ask({"type": "lookup", "handle": handle, "name": name}).header
        if found["kind"] == "absent":
            return None
        return read_entry(found)

    def names(self, handle: int) -> list[str]:
        """Return the names in a directory."""
        return list(self._ask({"type": "list", "handle": handle}).header["names"])

    def read(self, handle: int, position: int, length: int) -> bytes:
        """Return at most `length` bytes of a file."""
        asked = {"type": "read", "handle": handle, "position": position, "length": length}
        return self._ask(asked).payload


def opened_pipes(arguments: Iterable[str]) -> tuple[BinaryIO, BinaryIO]:
    """Open the descriptors that a worker was started with: where it hears, and where it tells."""
    hearing, telling = map(int, arguments)
    return open(hearing, "rb"), open(telling, "wb")  # noqa: PTH123  descriptors, for the life of the process

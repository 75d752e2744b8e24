"""Read an untrusted binary stream piece by piece, knowing where one is and never reading more than asked."""

from __future__ import annotations

from typing import BinaryIO

from storage.errors import VerificationError
from storage.varint import MAX_BYTES, decode_varint


class ByteCounter:
    """Exact reads from `stream`; every error names the offset in the stream."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.offset = 0
        """Bytes read so far."""

    def read(self, size: int) -> bytes:
        """Return exactly `size` bytes.

        Raises:
            VerificationError: the stream ends before.
        """
        parts, missing = [], size
        while missing:
            part = self._stream.read(min(missing, 1 << 20))
            if not part:
                raise VerificationError("stream is truncated", where=f"byte {self.offset}")
            parts.append(part)
            missing -= len(part)
            self.offset += len(part)
        return b"".join(parts)

    def skip(self, size: int) -> None:
        """Read `size` bytes and forget them."""
        while size > 0:
            size -= len(self.read(min(size, 1 << 20)))

    def varint(self) -> int | None:
        """Return the next varint, None if the stream ends here.

        Raises:
            VerificationError: truncated, too long or not minimal.
        """
        start, taken = self.offset, b""
        while len(taken) < MAX_BYTES:
            byte = self._stream.read(1)
            if not byte:
                break
            taken += byte
            self.offset += 1
            if byte[0] < 0x80:
                break
        return _value(taken, start) if taken else None


def _value(taken: bytes, start: int) -> int:
    try:
        return decode_varint(taken)[0]
    except VerificationError as error:
        raise VerificationError(error.problem, where=f"byte {start}") from error

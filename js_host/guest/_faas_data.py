"""`data`: the input CID as a seekable binary file that also indexes and slices like mmap.

Reads on demand, so the input may be larger than the guest's memory. (`len()` ends at 2**31 - 1, as everywhere in 32-bit
Python; `data.seek(0, 2)` gives the size of a larger input.)
"""

import io
import os

_SPARSE = 4096
"""From this step on, a slice is read byte by byte instead of whole."""


class Data(io.BufferedReader):
    """A read-only binary file; `len(data)`, `data[0]`, `data[10:20]` and `bytes(data)` do not move the position."""

    def __init__(self, path):
        super().__init__(io.FileIO(path, "rb"), buffer_size=1 << 16)
        self._size = os.fstat(self.fileno()).st_size

    def __len__(self):
        """Return the size in bytes."""
        return self._size

    def __bool__(self):
        """Return whether there is any input."""
        return self._size > 0

    def __bytes__(self):
        """Return the whole input."""
        return self._at(0, self._size)

    def __getitem__(self, key):
        """Return one byte as int, or a slice as bytes."""
        if isinstance(key, slice):
            return self._slice(range(*key.indices(self._size)))
        index = key.__index__() if hasattr(key, "__index__") else None
        if index is None:
            raise TypeError(f"data indices must be integers or slices, not {type(key).__name__}")
        if index < 0:
            index += self._size
        if not 0 <= index < self._size:
            raise IndexError("data index out of range")
        return self._at(index, 1)[0]

    def _slice(self, wanted):
        if not wanted:
            return b""
        if abs(wanted.step) >= _SPARSE:
            return b"".join(self._at(index, 1) for index in wanted)
        first, last = min(wanted[0], wanted[-1]), max(wanted[0], wanted[-1])
        return self._at(first, last - first + 1)[:: wanted.step]

    def _at(self, start, length):
        pieces = []
        while length > 0:
            piece = os.pread(self.fileno(), min(length, 1 << 30), start)
            if not piece:
                raise OSError(f"input ends at {start}, before its size")
            pieces.append(piece)
            start, length = start + len(piece), length - len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

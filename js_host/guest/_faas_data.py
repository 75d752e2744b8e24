"""`data`: the input CID as a seekable binary file that also indexes and slices like mmap."""

import io
import os


class Data(io.BufferedReader):
    """A read-only binary file; `len(data)`, `data[0]` and `data[10:20]` work and do not move the position."""

    def __init__(self, path):
        super().__init__(io.FileIO(path, "rb"), buffer_size=1 << 16)
        self._size = os.fstat(self.fileno()).st_size

    def __len__(self):
        """Return the size in bytes."""
        return self._size

    def __bool__(self):
        """Return whether there is any input."""
        return self._size > 0

    def __getitem__(self, key):
        """Return one byte as int, or a slice as bytes."""
        if isinstance(key, slice):
            start, stop, step = key.indices(self._size)
            if step == 1:
                return self._at(start, max(0, stop - start))
            whole = self._at(min(start, stop + 1), abs(stop - start)) if step < 0 else self._at(start, stop - start)
            return whole[::-1][::-step] if step < 0 else whole[::step]
        index = key.__index__()
        if index < 0:
            index += self._size
        if not 0 <= index < self._size:
            raise IndexError("data index out of range")
        return self._at(index, 1)[0]

    def _at(self, start, length):
        before = self.tell()
        try:
            self.seek(start)
            return self.read(max(0, length))
        finally:
            self.seek(before)

"""The tar stream of a directory with its members from the end: what another order of the same input would be."""

from __future__ import annotations

import io
import tarfile
from typing import Any, Final

MOST_BYTES: Final = 64 << 20
"""The stream is held in memory for it."""


def reordered(data: Any) -> Any:
    """Return the input with its members from the end, directories before what is in them; itself if it is no tar."""
    if not 0 < len(data) <= MOST_BYTES:
        return data
    try:
        with tarfile.open(fileobj=data, mode="r:") as stream:
            members = [(member, _content(stream, member)) for member in stream.getmembers()]
    except tarfile.TarError:
        data.seek(0)
        return data
    out = io.BytesIO()
    directories = [one for one in members if one[0].isdir()]
    others = [one for one in members if not one[0].isdir()]
    with tarfile.open(fileobj=out, mode="w:", format=tarfile.PAX_FORMAT) as stream:
        for member, content in [*directories, *reversed(others)]:
            stream.addfile(member, None if content is None else io.BytesIO(content))
    return Buffer(out.getvalue())


def _content(stream: tarfile.TarFile, member: tarfile.TarInfo) -> bytes | None:
    file = stream.extractfile(member) if member.isfile() else None
    return None if file is None else file.read()


class Buffer(io.BytesIO):
    """Bytes in memory with what `data` has beside a file: length, indexing, slicing."""

    def __len__(self) -> int:
        """Return the size in bytes."""
        return self.getbuffer().nbytes

    def __bool__(self) -> bool:
        """Return whether there is any input."""
        return len(self) > 0

    def __getitem__(self, key: int | slice) -> int | bytes:
        """Return one byte, or a slice."""
        value: int | bytes = self.getvalue()[key]
        return value

    def __bytes__(self) -> bytes:
        """Return all of it."""
        return self.getvalue()

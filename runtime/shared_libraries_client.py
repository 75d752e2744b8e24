"""Which shared libraries a program needs, as its own dynamic linker says."""

from __future__ import annotations

import functools
import os
import re
import struct
import subprocess
from pathlib import Path
from typing import BinaryIO, Final

from storage.errors import UnavailableError

_PROGRAM_HEADERS: Final = struct.Struct("<32xQ14xHH")
"""ELF64 header up to the table of program headers: its offset, the size of an entry, how many."""
_PROGRAM_HEADER: Final = struct.Struct("<IIQQQQ")
_PT_INTERP: Final = 3
_MAX_HEADERS: Final = 64
_LISTED: Final = re.compile(r"^\s*(?:\S+ => )?(/\S+) \(0x[0-9a-f]+\)$", re.MULTILINE)


@functools.cache
def shared_libraries(program: Path) -> tuple[str, ...]:
    """Return the paths at which a program's libraries are looked for, the dynamic linker first; none if it is static.

    Raises:
        UnavailableError: it is no 64-bit little-endian ELF file, or its linker cannot find a library.
    """
    with program.open("rb") as file:
        linker = interpreter(file)
    return () if linker is None else tuple(dict.fromkeys([linker, *_listed_by(linker, program)]))


def listed_libraries(program: Path, library: Path) -> tuple[str, ...]:
    """Return the paths at which a library's own libraries are looked for by the linker of a program that loads it.

    Raises:
        UnavailableError: as `shared_libraries`.
    """
    with program.open("rb") as file:
        linker = interpreter(file)
    return () if linker is None else tuple(_listed_by(linker, library))


def _listed_by(linker: str, file: Path) -> list[str]:
    done = subprocess.run([linker, "--list", file], capture_output=True, text=True, check=False, env={})
    if done.returncode != 0 or "not found" in done.stdout:
        raise UnavailableError("its shared libraries are not all here", where=os.fspath(file))
    return listed(done.stdout)


def interpreter(file: BinaryIO) -> str | None:
    """Return the path of the dynamic linker that an ELF file asks for, None if it asks for none."""
    head = file.read(64)
    if head[:6] != b"\x7fELF\x02\x01":
        raise UnavailableError("not a 64-bit little-endian ELF program")
    offset, size, count = _PROGRAM_HEADERS.unpack_from(head)
    for index in range(min(count, _MAX_HEADERS)):
        file.seek(offset + index * size)
        kind, _, position, _, _, length = _PROGRAM_HEADER.unpack(file.read(_PROGRAM_HEADER.size))
        if kind == _PT_INTERP:
            file.seek(position)
            return os.fsdecode(file.read(length).rstrip(b"\0"))
    return None


def listed(output: str) -> list[str]:
    """Return the paths in what `ld.so --list` prints; the kernel's own object has none."""
    return _LISTED.findall(output)

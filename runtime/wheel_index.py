"""What a wheel installs and where each file's bytes lie, checked so that a worker only has to read and inflate.

A worker gets a descriptor and this list; it never parses an archive. What is left to it: stop inflating at `size` bytes
and refuse anything shorter or longer (or have `inflate=True` prove it once, when a wheel is first taken in).
Source: PKWARE APPNOTE 6.3.9; binary distribution format (PEP 427) for `.data` directories.
"""

from __future__ import annotations

import itertools
import re
import stat
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final, cast

from storage.errors import VerificationError

STORED: Final = zipfile.ZIP_STORED
DEFLATED: Final = zipfile.ZIP_DEFLATED
MAX_MEMBERS: Final = 100_000
"""The largest wheels have some 20,000."""
MAX_DIRECTORY_BYTES: Final = 16 << 20
"""Of the archive's directory: 160 for each of 100,000 members, and as many as take a few hundred MB when parsed."""
MAX_TOTAL_BYTES: Final = 2 << 30
"""Installed size of one wheel; a guest's memory is at most 4 GiB."""
BOMB_BYTES: Final = 64 << 20
BOMB_RATIO: Final = 100
"""Above 64 MiB nothing real shrinks a hundredfold; deflate's own limit is 1032."""
_PIECE_BYTES: Final = 1 << 20
_LOCAL_HEADER: Final = struct.Struct("<4sHHHHHIIIHH")
_ENCRYPTED, _HAS_DESCRIPTOR, _UTF8 = 0x1, 0x8, 0x800
_ZIP64: Final = 0xFFFFFFFF
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\\]|[\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelMember:
    """A file or directory that a wheel installs."""

    path: str
    """Relative to site-packages, `/` between components."""
    size: int
    """Bytes when inflated; 0 for a directory."""
    compressed_size: int
    offset: int
    """Of the first compressed byte in the wheel."""
    method: int
    """`STORED` or `DEFLATED` (raw)."""
    is_dir: bool


def index_wheel(file: BinaryIO | Path, *, where: str = "wheel", inflate: bool = False) -> tuple[WheelMember, ...]:
    """Return what a wheel installs, parents before children, sorted by path.

    file: a path, or open and seekable; it is left open. where: the wheel's name, for errors.
    inflate: also inflate every member and check its size and CRC-32; 10 ms for each MB of wheel.

    Checks, each naming its number when it fails:
        1 a zip archive of at most 100,000 members and 16 MiB of directory, neither encrypted nor in another method than
          stored or deflated;
        2 names are relative, plain and UTF-8: no empty component, `.`, `..`, backslash or control character;
        3 only files and directories: no link, device or pipe;
        4 sizes are possible: at most 2 GiB together, and no member above 64 MiB that shrinks more than 100 times;
        5 each local header says the same as the directory, and no two members share bytes;
        6 one `.dist-info`, and no two members install to one path;
        7 with `inflate`: every member is as long as it says, and its CRC-32 holds.

    Raises:
        VerificationError: a check failed.
    """
    if isinstance(file, Path):
        with file.open("rb") as opened:
            return index_wheel(opened, where=where, inflate=inflate)
    infos, directory_at = _read_directory(file, where)
    members = []
    for info in infos:
        _check_entry(info, where)
        offset = _data_offset(file, info, where)
        members.append((info, offset))
    _check_sizes(infos, where)
    _check_overlaps(members, directory_at, where)
    if inflate:
        for info, offset in members:
            _check_contents(file, info, offset, where)
    return _layout(members, where)


class _Sparing:
    """What `zipfile` needs of a file, but no read larger than a directory may be: it parses all of one at once."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        if size > MAX_DIRECTORY_BYTES:
            raise zipfile.BadZipFile(f"its directory has more than {MAX_DIRECTORY_BYTES} bytes")
        return self._file.read(size)


def _read_directory(file: BinaryIO, where: str) -> tuple[list[zipfile.ZipInfo], int]:
    try:
        with zipfile.ZipFile(cast("BinaryIO", _Sparing(file))) as archive:
            infos, directory_at = archive.infolist(), archive.start_dir
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, struct.error) as error:
        raise _refusal(1, f"is not a zip archive ({error})", where) from error
    if len(infos) > MAX_MEMBERS:
        raise _refusal(1, f"has more than {MAX_MEMBERS} members", where)
    return infos, directory_at


def _check_entry(info: zipfile.ZipInfo, where: str) -> None:
    name = info.orig_filename
    if info.flag_bits & _ENCRYPTED:
        raise _refusal(1, f"{name!r} is encrypted", where)
    if info.compress_type not in (STORED, DEFLATED):
        raise _refusal(1, f"{name!r} has compression method {info.compress_type}", where)
    if not (name.isascii() or info.flag_bits & _UTF8):
        raise _refusal(2, f"{name!r} is not marked as UTF-8", where)
    parts = name.removesuffix("/").split("/")
    if _UNSAFE.search(name) or any(part in ("", ".", "..") for part in parts) or re.match(r"[A-Za-z]:", name):
        raise _refusal(2, f"{name!r} is not a safe name", where)
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR) or (kind == stat.S_IFDIR) > name.endswith("/"):
        raise _refusal(3, f"{name!r} is neither a file nor a directory", where)
    if name.endswith("/") and info.file_size:
        raise _refusal(3, f"{name!r} is a directory with contents", where)


def _check_sizes(infos: list[zipfile.ZipInfo], where: str) -> None:
    for info in infos:
        if info.compress_type == STORED and info.file_size != info.compress_size:
            raise _refusal(4, f"{info.filename!r} is stored with two different sizes", where)
        if info.file_size > BOMB_BYTES and info.file_size > BOMB_RATIO * info.compress_size:
            raise _refusal(4, f"{info.filename!r} inflates more than {BOMB_RATIO} times", where)
    if sum(info.file_size for info in infos) > MAX_TOTAL_BYTES:
        raise _refusal(4, f"installs more than {MAX_TOTAL_BYTES >> 30} GiB", where)


def _data_offset(file: BinaryIO, info: zipfile.ZipInfo, where: str) -> int:
    """Return where a member's bytes begin, having compared its local header with the directory's entry."""
    # zipfile corrects offsets by the length of what precedes an archive: a harmed one can come out negative.
    file.seek(max(0, info.header_offset))
    raw = file.read(_LOCAL_HEADER.size) if info.header_offset >= 0 else b""
    if len(raw) != _LOCAL_HEADER.size:
        raise _refusal(5, f"{info.filename!r} has no local header", where)
    magic, _, flags, method, _, _, crc, packed, size, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(raw)
    name = info.orig_filename.encode("utf-8")
    same = magic == b"PK\x03\x04" and method == info.compress_type and file.read(name_bytes) == name
    if not flags & _HAS_DESCRIPTOR:
        stated = [(crc, info.CRC), (packed, info.compress_size), (size, info.file_size)]
        same = same and all(local in (central, _ZIP64) for local, central in stated)
    if not same or flags & _ENCRYPTED:
        raise _refusal(5, f"{info.filename!r} has a local header that disagrees", where)
    return info.header_offset + _LOCAL_HEADER.size + int(name_bytes) + int(extra_bytes)


def _check_overlaps(members: list[tuple[zipfile.ZipInfo, int]], directory_at: int, where: str) -> None:
    spans = sorted((info.header_offset, offset + info.compress_size) for info, offset in members)
    spans.append((directory_at, directory_at))
    for (_, end), (start, _) in itertools.pairwise(spans):
        if end > start:
            raise _refusal(5, "has members that share bytes", where)


def _check_contents(file: BinaryIO, info: zipfile.ZipInfo, offset: int, where: str) -> None:
    """Inflate one member a piece at a time: no more memory than a piece, whatever the archive says."""
    file.seek(offset)
    left, size, crc = info.compress_size, 0, 0
    inflater = zlib.decompressobj(-zlib.MAX_WBITS) if info.compress_type == DEFLATED else None
    try:
        while left > 0 and size <= info.file_size:
            piece = file.read(min(_PIECE_BYTES, left))
            left -= len(piece) or left
            while piece and size <= info.file_size:
                out = inflater.decompress(piece, _PIECE_BYTES) if inflater else piece
                piece = inflater.unconsumed_tail if inflater else b""
                size, crc = size + len(out), zlib.crc32(out, crc)
        # What flush can still give is bounded only once all input is consumed.
        out = inflater.flush() if inflater and size <= info.file_size else b""
    except zlib.error as error:
        raise _refusal(7, f"{info.filename!r} does not inflate ({error})", where) from error
    complete = inflater is None or (inflater.eof and not inflater.unused_data)
    if size + len(out) != info.file_size or zlib.crc32(out, crc) != info.CRC or not complete:
        raise _refusal(7, f"{info.filename!r} is not what its size and checksum say", where)


def _layout(members: list[tuple[zipfile.ZipInfo, int]], where: str) -> tuple[WheelMember, ...]:
    names = [info.orig_filename for info, _ in members]
    stems = {
        name.partition("/")[0].removesuffix(".dist-info") for name in names if re.match(r"[^/]+\.dist-info/", name)
    }
    if len(stems) != 1:
        raise _refusal(6, f"has {len(stems)} .dist-info directories", where)
    data = f"{stems.pop()}.data"
    files: dict[str, WheelMember] = {}
    for info, offset in members:
        path = _installed_path(info.orig_filename, data)
        if path is None:
            continue
        if path in files:
            raise _refusal(6, f"installs {path!r} twice", where)
        files[path] = _file(path, info, offset)
    parents = {str(parent) for path in files for parent in PurePosixPath(path).parents} - {"."}
    if clash := parents & files.keys():
        raise _refusal(6, f"installs {min(clash)!r} as a file and as a directory", where)
    return tuple(sorted([*files.values(), *map(_directory, parents)], key=lambda member: member.path.encode()))


def _installed_path(name: str, data: str) -> str | None:
    """Return where a member goes, or None for a directory entry and for scripts, headers and data files."""
    if name.endswith("/"):
        return None
    top, _, rest = name.partition("/")
    if top != data:
        return name
    category, _, path = rest.partition("/")
    return path if category in ("purelib", "platlib") and path else None


def _file(path: str, info: zipfile.ZipInfo, offset: int) -> WheelMember:
    return WheelMember(
        path=path,
        size=info.file_size,
        compressed_size=info.compress_size,
        offset=offset,
        method=info.compress_type,
        is_dir=False,
    )


def _directory(path: str) -> WheelMember:
    return WheelMember(path=path, size=0, compressed_size=0, offset=0, method=STORED, is_dir=True)


def _refusal(check: int, problem: str, where: str) -> VerificationError:
    return VerificationError(f"{problem} (check {check} of wheels)", where=where, fix="do not use this wheel")

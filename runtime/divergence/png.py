"""What two PNG pictures differ in: their headers, their other chunks, their pixels.

Source: W3C, Portable Network Graphics (Third Edition), sections 5 (datastream), 9 (filtering), 11 (chunks). Pixels are
compared for 8 bits a sample without interlacing, which is what plots and photographs are; others by their chunks alone.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Final

PNG_MAGIC: Final = b"\x89PNG\r\n\x1a\n"
_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Colour type -> samples of a pixel."""
_HEADER_BYTES: Final = 13
_MOST_PIXEL_BYTES: Final = 8 << 20
"""Filters are undone byte by byte."""
_MOST_CHUNKS: Final = 100_000
Chunks = dict[str, list[bytes]]


def png_differences(one: bytes, two: bytes) -> Iterator[str] | None:
    """Return what two pictures differ in, None if one cannot be read."""
    left, right = _chunks(one), _chunks(two)
    if left is None or right is None:
        return None
    return _differences(left, right)


def _differences(left: Chunks, right: Chunks) -> Iterator[str]:
    for name in sorted((set(left) | set(right)) - {"IDAT"}):
        ours, theirs = left.get(name, []), right.get(name, [])
        for number in range(max(len(ours), len(theirs))):  # plots have several texts
            a, b = (some[number] if number < len(some) else None for some in (ours, theirs))
            if a != b:
                yield f"chunk {name}: {_described(name, a)} against {_described(name, b)}"
    if left["IHDR"] != right["IHDR"]:
        return
    pixels = _pixels(left), _pixels(right)
    if pixels[0] is None or pixels[1] is None:
        if left.get("IDAT") != right.get("IDAT"):
            yield "the compressed pixels differ"
        return
    width, _, _, channels = _header(left)
    yield from _pixel_differences(pixels[0], pixels[1], width, channels)
    if pixels[0] == pixels[1] and left.get("IDAT") != right.get("IDAT"):
        yield "the same pixels, compressed otherwise"


def _pixel_differences(one: bytes, two: bytes, width: int, channels: int) -> Iterator[str]:
    """Yield how many pixels differ, by how much, and where."""
    count, most, total = 0, 0, 0
    left, top, right, bottom = width, len(one), -1, -1
    row_bytes = width * channels
    for row in range(len(one) // row_bytes if row_bytes else 0):
        a, b = one[row * row_bytes : (row + 1) * row_bytes], two[row * row_bytes : (row + 1) * row_bytes]
        if a == b:
            continue
        for column in range(width):
            gaps = [
                abs(x - y)
                for x, y in zip(a[column * channels :][:channels], b[column * channels :][:channels], strict=True)
            ]
            if any(gaps):
                count, most, total = count + 1, max(most, *gaps), total + sum(gaps)
                left, right = min(left, column), max(right, column)
                top, bottom = min(top, row), max(bottom, row)
    if count:
        pixels = len(one) // channels
        yield (
            f"{count} of {pixels} pixels differ, by at most {most} of 255, {total / (count * channels):.3g} on average;"
            f" within x {left} to {right}, y {top} to {bottom}"
        )


def _chunks(data: bytes) -> Chunks | None:
    """Return the chunks by name; None if they are malformed."""
    found: Chunks = {}
    at = len(PNG_MAGIC)
    for _ in range(_MOST_CHUNKS):
        if at + 12 > len(data):
            break
        (length,) = struct.unpack(">I", data[at : at + 4])
        name = data[at + 4 : at + 8].decode("latin-1")
        found.setdefault(name, []).append(data[at + 8 : at + 8 + length])
        at += 12 + length
        if name == "IEND":
            break
    header = found.get("IHDR", [b""])[0]
    return found if len(header) == _HEADER_BYTES and "IEND" in found else None


def _header(chunks: Chunks) -> tuple[int, int, int, int]:
    """Return width, height, bits of a sample, samples of a pixel; zero samples where pixels cannot be compared."""
    width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", chunks["IHDR"][0])
    channels = _CHANNELS.get(colour, 0) if depth == 8 and interlace == 0 else 0
    return width, height, depth, channels


def _pixels(chunks: Chunks) -> bytes | None:
    width, height, _, channels = _header(chunks)
    size = (width * channels + 1) * height
    if channels == 0 or width == 0 or size > _MOST_PIXEL_BYTES:
        return None
    inflater = zlib.decompressobj()
    try:
        raw = inflater.decompress(b"".join(chunks.get("IDAT", [])), size + 1)
    except zlib.error:
        return None
    return _unfiltered(raw, width * channels, height, channels) if len(raw) == size else None


def _unfiltered(raw: bytes, row_bytes: int, height: int, step: int) -> bytes | None:
    out = bytearray()
    before = bytes(row_bytes)
    for row in range(height):
        kind = raw[row * (row_bytes + 1)]
        line = bytearray(raw[row * (row_bytes + 1) + 1 : (row + 1) * (row_bytes + 1)])
        if kind > 4:
            return None
        for at in range(row_bytes) if kind else ():
            left = line[at - step] if at >= step else 0
            corner = before[at - step] if at >= step else 0
            line[at] = (line[at] + _predicted(kind, left, before[at], corner)) & 0xFF
        before = bytes(line)
        out += before
    return bytes(out)


def _predicted(kind: int, left: int, above: int, corner: int) -> int:
    """Return what a filter predicts of a byte: 1 sub, 2 up, 3 average, 4 Paeth."""
    if kind < 4:
        return (left, above, (left + above) // 2)[kind - 1]
    gaps = (abs(above - corner), abs(left - corner), abs(left + above - 2 * corner))
    return left if gaps[0] <= gaps[1] and gaps[0] <= gaps[2] else above if gaps[1] <= gaps[2] else corner


def _described(name: str, data: bytes | None) -> str:
    if data is None:
        return "none"
    if name == "IHDR" and len(data) == _HEADER_BYTES:
        width, height, depth = struct.unpack(">IIB", data[:9])
        return f"{width} by {height} of {depth} bits"
    return repr(data[:60].decode("latin-1")) if name in ("tEXt", "iTXt") else data[:16].hex(" ")

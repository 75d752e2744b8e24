"""CAR archives: roots and blocks in one stream. Version 1 is written, versions 1 and 2 are read.

Reading trusts nothing: sizes are bounded, every block is checked against its CID, every error names its byte. It does
not tell whether a DAG is complete; `dag_walk.walk` does. Source: ipld/specs CARv1, CARv2.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Final

from storage import dag_cbor
from storage.byte_counter import ByteCounter
from storage.cid import CID, cid_text, split_cid, verify_block
from storage.errors import VerificationError
from storage.varint import encode_varint

MAX_HEADER_BYTES: Final = 1 << 20
"""About 25,000 roots."""
MAX_SECTION_BYTES: Final = 8 << 20
"""One block with its CID; the default bound of other implementations."""

_V2_PRAGMA: Final = bytes.fromhex("a16776657273696f6e02")
_V2_HEADER: Final = struct.Struct("<16sQQQ")
"""Characteristics, offset and size of the version 1 archive inside, offset of the index (not used here)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Car:
    """An archive being read."""

    roots: tuple[CID, ...]
    blocks: Iterator[tuple[CID, bytes]]
    """Checked blocks, in the order of the stream; to be consumed once, while the stream is open."""
    version: int
    """1, or 2: of what is around version 1 there (offsets, padding, an index) nothing was checked."""


def write_car(stream: BinaryIO, roots: Sequence[CID], blocks: Iterable[tuple[CID, bytes]]) -> None:
    """Write a CARv1. The same roots and blocks in the same order give the same bytes.

    Raises:
        VerificationError: a block too large for readers to accept.
    """
    stream.writelines(car_pieces(roots, blocks))


def car_pieces(roots: Sequence[CID], blocks: Iterable[tuple[CID, bytes]]) -> Iterator[bytes]:
    """Yield the bytes of a CARv1 as `write_car` writes them: the header, then a length with its CID, then a block, ….

    Raises:
        VerificationError: a block too large for readers to accept.
    """
    header = dag_cbor.encode({"roots": list(roots), "version": 1})
    yield encode_varint(len(header)) + header
    for cid, data in blocks:
        if len(cid) + len(data) > MAX_SECTION_BYTES:
            raise VerificationError("block is too large for a CAR", where=cid_text(cid))
        yield encode_varint(len(cid) + len(data)) + cid
        yield data


def read_car(stream: BinaryIO) -> Car:
    """Read the header of a CAR; its blocks follow as `Car.blocks` is consumed.

    Raises:
        VerificationError: (here or from `blocks`) not a CAR, truncated, malformed, too large, or a block that does not
            match its CID; `where` names the byte.
    """
    source = ByteCounter(stream)
    header = _header(source)
    end = None
    if header == _V2_PRAGMA:
        end = _enter_v2(source)
        header = _header(source)
    roots = _roots(header, source.offset - len(header))
    return Car(roots=roots, blocks=_blocks(source, end), version=1 if end is None else 2)


def _header(source: ByteCounter) -> bytes:
    start = source.offset
    size = source.varint()
    if size is None or not 0 < size <= MAX_HEADER_BYTES:
        raise VerificationError("not a CAR: bad header length", where=f"byte {start}")
    return source.read(size)


def _enter_v2(source: ByteCounter) -> int:
    """Go to the version 1 archive inside a version 2 one and return the offset of its end."""
    start = source.offset
    _, data_offset, data_size, _ = _V2_HEADER.unpack(source.read(_V2_HEADER.size))
    if data_offset < source.offset or data_size == 0 or data_offset + data_size >= 1 << 63:
        raise VerificationError("CARv2 header has bad offsets", where=f"byte {start}")
    source.skip(data_offset - source.offset)
    return int(data_offset + data_size)


def _roots(header: bytes, start: int) -> tuple[CID, ...]:
    try:
        node = dag_cbor.decode(header)
    except VerificationError as error:
        raise VerificationError(f"CAR header is {error.problem}", where=f"byte {start}") from error
    if not isinstance(node, dict) or set(node) != {"roots", "version"} or node["version"] != 1:
        raise VerificationError("not the header of a CAR of version 1 or 2", where=f"byte {start}")
    roots = node["roots"]
    if not isinstance(roots, list) or not all(isinstance(root, bytes) for root in roots):
        raise VerificationError("CAR's roots are not a list of links", where=f"byte {start}")
    return tuple(CID(root) for root in roots)


def _blocks(source: ByteCounter, end: int | None) -> Iterator[tuple[CID, bytes]]:
    while end is None or source.offset < end:
        start = source.offset
        size = source.varint()
        if size is None:
            if end is not None:
                raise VerificationError("stream is truncated", where=f"byte {start}")
            return
        if not 0 < size <= MAX_SECTION_BYTES or (end is not None and source.offset + size > end):
            raise VerificationError(f"CAR section has a bad length of {size}", where=f"byte {start}")
        yield _block(source.read(size), start)
    if source.offset != end:
        raise VerificationError("CAR's last section runs over its end", where=f"byte {end}")


def _block(section: bytes, start: int) -> tuple[CID, bytes]:
    try:
        cut = split_cid(section).end
        cid, data = CID(section[:cut]), section[cut:]
        verify_block(cid, data)
    except VerificationError as error:
        about = f": {error.where}" if error.where else ""
        raise VerificationError(error.problem + about, where=f"byte {start}") from error
    return cid, data

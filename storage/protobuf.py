"""The part of the protobuf wire format that DAG-PB and UnixFS use: varint and length-delimited fields.

Source: protobuf encoding guide; ipld/specs DAG-PB ("protobuf strictness").
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias

from storage.errors import VerificationError
from storage.varint import decode_varint, encode_varint

VARINT: Final = 0
LENGTH_DELIMITED: Final = 2
_FIXED_BYTES: Final = {1: 8, 5: 4}
"""Length of the values of the two fixed wire types."""

Field: TypeAlias = tuple[int, int, int | bytes]
"""Field number, wire type, value: a number for varints, else the bytes."""


def varint_field(number: int, value: int) -> bytes:
    """Encode a field that holds a number."""
    return encode_varint(number << 3 | VARINT) + encode_varint(value)


def bytes_field(number: int, value: bytes) -> bytes:
    """Encode a field that holds bytes, text or a message."""
    return encode_varint(number << 3 | LENGTH_DELIMITED) + encode_varint(len(value)) + value


def fields(data: bytes) -> Iterator[Field]:
    """Yield the fields of a message in the order they stand.

    Raises:
        VerificationError: truncated, a non-minimal varint, or a wire type that does not exist.
    """
    at = 0
    while at < len(data):
        tag, at = decode_varint(data, at)
        wire = tag & 7
        if wire == VARINT:
            value, at = decode_varint(data, at)
            yield tag >> 3, wire, value
            continue
        length, at = _length(data, at, wire)
        if length > len(data) - at:
            raise VerificationError("protobuf field is truncated", where=f"byte {at}")
        yield tag >> 3, wire, data[at : at + length]
        at += length


def _length(data: bytes, at: int, wire: int) -> tuple[int, int]:
    if wire == LENGTH_DELIMITED:
        return decode_varint(data, at)
    if wire in _FIXED_BYTES:
        return _FIXED_BYTES[wire], at
    raise VerificationError(f"protobuf wire type {wire} is unknown", where=f"byte {at}")

"""Unsigned varints of the multiformats: 7 bits a byte, least significant first, at most 9 bytes, minimal.

Source: multiformats/unsigned-varint README.
"""

from __future__ import annotations

from storage.errors import VerificationError

MAX_BYTES = 9
"""The specification's practical limit: 63 bits."""

_ONE_BYTE = tuple(bytes([value]) for value in range(0x80))


def encode_varint(value: int) -> bytes:
    """Encode a number of 0 to 2**63 - 1."""
    if 0 <= value < 0x80:
        return _ONE_BYTE[value]
    if 0 <= value < 1 << 14:
        return bytes((value & 0x7F | 0x80, value >> 7))
    if not 0 <= value < 1 << 63:
        raise ValueError(f"varint out of range: {value}")
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def decode_varint(data: bytes | memoryview, start: int = 0) -> tuple[int, int]:
    """Return the number at `start` and the index of the first byte after it.

    Raises:
        VerificationError: truncated, longer than 9 bytes, or not minimal.
    """
    value = 0
    for index in range(start, min(start + MAX_BYTES, len(data))):
        byte = data[index]
        value |= (byte & 0x7F) << 7 * (index - start)
        if byte < 0x80:
            if byte == 0 and index > start:
                raise VerificationError("varint is not minimal", where=f"byte {index}")
            return value, index + 1
    raise VerificationError("varint is truncated or too long", where=f"byte {start}")

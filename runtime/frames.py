"""Frames between the parent and a worker: the Python half of js_host/frames.mjs. Channels of a cluster have them too.

u32le header length, u32le payload length, header (JSON object with `type`), payload. What a worker sends is not
trusted: lengths are bounded, headers must be objects with a type.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Any, BinaryIO

from storage.errors import VerificationError

MAX_HEADER_BYTES = 1 << 20
"""Of what a worker sends; a start frame may be larger, because it lists every file of every wheel."""
MAX_PAYLOAD_BYTES = 1 << 20
"""Pieces are at most 1 MiB."""

_LENGTHS = struct.Struct("<II")


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One message."""

    header: dict[str, Any]
    payload: bytes = b""

    @property
    def type(self) -> str:
        """The kind of message."""
        return str(self.header["type"])


def write_frame(stream: BinaryIO, frame: Frame) -> None:
    """Write one frame and flush."""
    header = json.dumps(frame.header, ensure_ascii=False, separators=(",", ":")).encode()
    stream.write(_LENGTHS.pack(len(header), len(frame.payload)) + header)
    stream.write(frame.payload)
    stream.flush()


def read_frame(
    stream: BinaryIO, max_payload_bytes: int = MAX_PAYLOAD_BYTES, max_header_bytes: int = MAX_HEADER_BYTES
) -> Frame:
    """Read one frame.

    Raises:
        EOFError: the other side is gone.
        VerificationError: it sent something that is not a frame.
    """
    header_bytes, payload_bytes = _LENGTHS.unpack(_read_exactly(stream, _LENGTHS.size))
    if header_bytes > max_header_bytes or payload_bytes > max_payload_bytes:
        raise VerificationError("frame from the worker is too large")
    try:
        header = json.loads(_read_exactly(stream, header_bytes))
    except (ValueError, RecursionError) as error:
        raise VerificationError("frame from the worker is not JSON") from error
    if not isinstance(header, dict) or not isinstance(header.get("type"), str):
        raise VerificationError("frame from the worker has no type")
    return Frame(header=header, payload=_read_exactly(stream, payload_bytes))


def _read_exactly(stream: BinaryIO, length: int) -> bytes:
    data = stream.read(length)
    if len(data) != length:
        raise EOFError("the worker closed its pipe")
    return data

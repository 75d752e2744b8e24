"""Several messages to one peer as one payload of the transport: each payload costs it more than most messages do.

A bundle is a zero byte, with which no message begins (each is a map), then each message behind its length (4 bytes,
big-endian). A message alone travels as it is. Nothing is known of what the messages say.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from network.protocol_errors import RemoteProtocolError
from verifier.peer_id import PeerId

MAX_MESSAGES: Final = 256
"""In one bundle."""
SURE_BYTES: Final = 15 << 10
"""Of a bundle that every peer is sure of a place for, however full a node is (`transport_budget.OWN_BYTES`)."""
MAX_BYTES: Final = 60 << 10
"""Of any other."""
_HEAD: Final = b"\0"
_LENGTH: Final = struct.Struct(">I")


def fits(size: int, count: int, more: int, limit: int = MAX_BYTES) -> bool:
    """Tell whether a message of `more` bytes may join `count` of `size` bytes together."""
    return count < MAX_MESSAGES and size + more <= limit


def join(messages: Sequence[bytes]) -> bytes:
    """Return messages as one payload."""
    if len(messages) == 1:
        return messages[0]
    return _HEAD + b"".join(_LENGTH.pack(len(message)) + message for message in messages)


def split(payload: bytes, sender: PeerId) -> list[bytes]:
    """Return the messages of a payload.

    Raises:
        RemoteProtocolError: it is no bundle that `join` makes.
    """
    if not payload.startswith(_HEAD):
        return [payload]
    messages: list[bytes] = []
    at = len(_HEAD)
    while at < len(payload):
        start = at + _LENGTH.size
        if start > len(payload) or len(messages) >= MAX_MESSAGES:
            raise RemoteProtocolError("sent a malformed bundle of messages", peer=sender)
        (length,) = _LENGTH.unpack_from(payload, at)
        at = start + length
        messages.append(payload[start:at])
    if at != len(payload) or len(messages) < 2 or any(message.startswith(_HEAD) for message in messages):
        raise RemoteProtocolError("sent a malformed bundle of messages", peer=sender)
    return messages

"""The random bytes of a task: the ChaCha20 key stream of its entropy key (docs/determinism.md), for hosts without one.

js_host/entropy.mjs is the same stream in JavaScript; a test compares the two.
"""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

MAX_DRAWN_BYTES: Final = 1 << 20
"""At a time."""


class EntropyStream:
    """The stream from its beginning."""

    def __init__(self, key: str) -> None:
        """Begin. key: 32 bytes, hex."""
        # Counter (64 bits) and nonce, all zero: RFC 8439 with a counter that goes on.
        self._encryptor = Cipher(ChaCha20(bytes.fromhex(key), bytes(16)), mode=None).encryptor()

    def draw(self, count: int) -> bytes:
        """Return the next bytes.

        Raises:
            ValueError: more than `MAX_DRAWN_BYTES` at a time.
        """
        if not 0 <= count <= MAX_DRAWN_BYTES:
            raise ValueError(f"{count} bytes cannot be drawn at a time")
        return self._encryptor.update(bytes(count))

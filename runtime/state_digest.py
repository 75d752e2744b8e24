"""The state digest of docs/determinism.md: one hash over a linear memory. js_host/state_digest.mjs is the same."""

from __future__ import annotations

import hashlib
from typing import Final

PAGE_BYTES: Final = 4096
_PREFIX: Final = b"bacalhau-state/2\0"


def state_digest(memory: memoryview) -> str:
    """Return the digest of a memory, a multiple of 4,096 bytes, in lower-case hex; pages of zeros are hashed once."""
    zeros = bytes(PAGE_BYTES)
    of_zeros = hashlib.sha256(zeros).digest()
    digest = hashlib.sha256(_PREFIX + (len(memory) // PAGE_BYTES).to_bytes(4, "little"))
    for at in range(0, len(memory), PAGE_BYTES):
        page = memory[at : at + PAGE_BYTES].tobytes()
        digest.update(of_zeros if page == zeros else hashlib.sha256(page).digest())
    return digest.hexdigest()

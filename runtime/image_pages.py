"""The sha-256 of each part of a memory, read from its file: of its pages for state digests, of blocks to check it.

Read, not mapped: a file that is cut short while it is mapped would end the process.
"""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

HASH_BYTES: Final = 32
STATE_PAGE_BYTES: Final = 4096
"""What state digests are made of (js_host/state_digest.mjs)."""
BLOCK_BYTES: Final = 1 << 20
"""What a file is checked by: pages are so small that the calls would take longer than the hashing."""

_PIECE_BYTES: Final = 1 << 20
"""Read at once: a whole number of parts."""
_THREADS: Final = 2
"""hashlib lets other threads run; more than two would take cores from the workers that wait for nothing."""
_ALONE_BYTES: Final = 4 << 20
"""Below this starting threads takes longer than it saves."""


def hash_parts(descriptor: int, size: int, part_bytes: int) -> bytes:
    """Return the hashes of the first `size` bytes, one after the other; fewer if the file ends before.

    part_bytes: a divisor of 1 MiB; the last part may be shorter. The descriptor's position is neither used nor moved.
    """
    if size <= _ALONE_BYTES:
        return _hash_range(descriptor, part_bytes, (0, size))
    middle = size // _PIECE_BYTES // 2 * _PIECE_BYTES
    with ThreadPoolExecutor(_THREADS) as pool:
        return b"".join(pool.map(partial(_hash_range, descriptor, part_bytes), ((0, middle), (middle, size))))


def _hash_range(descriptor: int, part_bytes: int, span: tuple[int, int]) -> bytes:
    start, end = span
    piece = memoryview(bytearray(min(_PIECE_BYTES, end - start)))
    hashes: list[bytes] = []
    while start < end:
        wanted = piece[: end - start]
        found = _read_fully(descriptor, wanted, start)
        hashes.extend(
            hashlib.sha256(wanted[at : min(at + part_bytes, found)]).digest() for at in range(0, found, part_bytes)
        )
        if found < len(wanted):
            break
        start += found
    return b"".join(hashes)


def _read_fully(descriptor: int, buffer: memoryview, offset: int) -> int:
    done = 0
    while done < len(buffer) and (count := os.preadv(descriptor, [buffer[done:]], offset + done)):
        done += count
    return done

"""The sha-256 of each page of a memory, read from its file.

Read, not mapped: a file that is cut short while it is mapped would end the process.
"""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from runtime.image_model import PAGE_BYTES

HASH_BYTES: Final = 32

_PIECE_BYTES: Final = 16 * PAGE_BYTES
"""Read at once: large enough to make the calls cheap, small enough to stay in a core's cache."""
_THREADS: Final = 2
"""hashlib lets other threads run; more than two would take cores from the workers that wait for nothing."""
_ALONE_BYTES: Final = 4 << 20
"""Below this starting threads takes longer than it saves."""


def hash_pages(descriptor: int, size: int) -> bytes:
    """Return the hashes of the first `size` bytes, one after the other; fewer if the file ends before.

    size: bytes, a multiple of 64 KiB. The descriptor's position is neither used nor moved.
    """
    if size <= _ALONE_BYTES:
        return _hash_range(descriptor, (0, size))
    middle = size // PAGE_BYTES // 2 * PAGE_BYTES
    with ThreadPoolExecutor(_THREADS) as pool:
        return b"".join(pool.map(partial(_hash_range, descriptor), ((0, middle), (middle, size))))


def _hash_range(descriptor: int, span: tuple[int, int]) -> bytes:
    start, end = span
    piece = memoryview(bytearray(min(_PIECE_BYTES, end - start)))
    hashes: list[bytes] = []
    while start < end:
        wanted = piece[: end - start]
        found = _read_fully(descriptor, wanted, start)
        hashes.extend(
            hashlib.sha256(wanted[at : min(at + PAGE_BYTES, found)]).digest() for at in range(0, found, PAGE_BYTES)
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

"""The statements that write rows of the block store, many rows by one.

For each statement SQLite saves the page of `state`, which costs more than a small block; and each lets go of Python's
lock and has to wait for it afterwards, while somebody else makes the next blocks.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final

from storage.blocks import block_key
from storage.cid import CID, DAG_CBOR, DAG_PB, RAW, SHA2_256, inline_data

_COMMON_HEADS: Final = frozenset(bytes([1, codec, SHA2_256, 32]) for codec in (RAW, DAG_PB, DAG_CBOR))
"""How nearly every CID begins whose digest follows; the rules for all of them give the same, slower."""
_ROWS_AT_ONCE: Final = 64
"""Blocks put by one statement."""
_SMALL_BYTES: Final = 64 << 10
"""Blocks up to this size are put together: SQLite holds a copy of all of a statement's."""
_DIGESTS_AT_ONCE: Final = 256
"""The same of digests, which take no room."""


def _put(rows: int) -> str:
    """Return the statement that stores blocks; its values: digest and data of each."""
    places = ", ".join(["(?, ?)"] * rows)
    return (
        f"INSERT INTO blocks(digest, data) VALUES{places} ON CONFLICT(digest) DO UPDATE"
        " SET data = excluded.data WHERE data IS NOT excluded.data"
    )


def _touch(digests: int) -> str:
    """Return the statement that notes digests as put lately; its values: the generation, then each digest."""
    places = ", ".join(f"(?{place}, ?1)" for place in range(2, digests + 2))
    return (
        f"INSERT INTO touched(digest, generation) VALUES{places} ON CONFLICT(digest) DO UPDATE"
        " SET generation = excluded.generation WHERE generation < excluded.generation"
    )


_PUT_ONE: Final = _put(1)
_PUT_MANY: Final = _put(_ROWS_AT_ONCE)
_TOUCH_MANY: Final = _touch(_DIGESTS_AT_ONCE)


def put_rows(connection: sqlite3.Connection, blocks: Iterable[tuple[CID, bytes]]) -> list[bytes]:
    """Store blocks, small ones several at a time; return the digests of all that are stored, old and new.

    Raises:
        VerificationError: a CID with a hash function other than sha2-256 or identity.
    """
    digests: list[bytes] = []
    together: list[bytes] = []
    for cid, data in blocks:
        if len(cid) == 36 and cid[:4] in _COMMON_HEADS:
            digest = cid[4:]
        elif inline_data(cid) is None:
            digest = block_key(cid)
        else:
            continue
        digests.append(digest)
        if len(data) > _SMALL_BYTES:
            connection.execute(_PUT_ONE, (digest, data))
            continue
        together += (digest, data)
        if len(together) == 2 * _ROWS_AT_ONCE:
            connection.execute(_PUT_MANY, together)
            together.clear()
    if together:
        connection.execute(_put(len(together) // 2), together)
    return digests


def touch_rows(connection: sqlite3.Connection, digests: Sequence[bytes], generation: int) -> None:
    """Note digests as put lately, by a lease of a generation."""
    for start in range(0, len(digests), _DIGESTS_AT_ONCE):
        some = digests[start : start + _DIGESTS_AT_ONCE]
        connection.execute(_TOUCH_MANY if len(some) == _DIGESTS_AT_ONCE else _touch(len(some)), (generation, *some))

"""Read a whole block store and say what is wrong with it. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from storage.cid import CID, RAW, cid_of_digest, split_cid
from storage.counting import counted
from storage.dag_walk import links_of
from storage.errors import UnavailableError, VerificationError
from storage.sqlite_block_store import SqliteBlockStore
from storage.sqlite_pins import has_links

_TOLD_EVERY: Final = 1024
"""Blocks between two words of progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What was read and what was found."""

    blocks: int
    bytes: int
    corrupt: tuple[CID, ...]
    """Blocks whose bytes are not what their digest says, under the CID of a raw block; the store keeps no codecs."""
    missing: tuple[CID, ...]
    """Blocks that are not here, or cannot be read for links, and that a pinned DAG has."""


def verify(store: SqliteBlockStore, pinned: Iterable[CID], progress: Callable[[str], None]) -> Verified:
    """Read every block and check it against its digest; then check that everything below `pinned` is here.

    Blocks that are put or removed meanwhile may be read or not.

    Raises:
        UnavailableError: the database itself is damaged or cannot be read.
    """
    corrupt: list[CID] = []
    blocks = size = 0
    for digest in store.digests():
        cid = cid_of_digest(RAW, digest)
        try:
            size += len(store.get(cid))
        except VerificationError:
            corrupt.append(cid)
        except UnavailableError:
            if store.has(cid):
                raise
            continue  # removed since it was listed
        blocks += 1
        if blocks % _TOLD_EVERY == 0:
            progress(f"read {counted(blocks, 'block')}, {size >> 20} MiB")
    return Verified(blocks=blocks, bytes=size, corrupt=tuple(corrupt), missing=_missing(store, pinned, corrupt))


def _missing(store: SqliteBlockStore, pinned: Iterable[CID], corrupt: Iterable[CID]) -> tuple[CID, ...]:
    known = {digest_of(cid) for cid in corrupt}
    todo = list(dict.fromkeys(pinned))
    seen, missing = set(todo), []
    while todo:
        cid = todo.pop()
        if digest_of(cid) in known:
            continue  # it is told as corrupt
        try:
            links = links_of(cid, store.get(cid)) if has_links(cid) else ()
        except (UnavailableError, VerificationError):
            missing.append(cid)
            continue
        if not store.has(cid):
            missing.append(cid)
        for link in links:
            if link not in seen:
                seen.add(link)
                todo.append(link)
    return tuple(missing)


def digest_of(cid: CID) -> bytes:
    """Return the digest at the end of a CID."""
    return split_cid(cid).digest

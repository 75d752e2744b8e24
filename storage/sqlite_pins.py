"""Pins: names for DAGs that stay in the store until they are unpinned, and holds, which end with their process.

A pin is recursive: everything below its CID stays. A pin is made only of a DAG that is whole, and made durable before
the call returns. Who holds first and looks afterwards cannot be overtaken by a collection, so that is the order.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from storage.blocks import BlockStore, block_missing
from storage.cid import CID, DAG_CBOR, DAG_PB, codec_of
from storage.counting import counted
from storage.dag_walk import links_of
from storage.errors import UnavailableError, UserError
from storage.sqlite_block_store import SqliteBlockStore

MAX_NAME_CHARACTERS: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One pin."""

    name: str
    """Unique; by default the CID's text."""
    cid: CID
    profile: str | None
    """The UnixFS profile it was imported with; None if it was not imported here."""
    created_at: float
    """Seconds since 1970, UTC; as the caller says."""


def pin(store: SqliteBlockStore, new: Pin) -> None:
    """Keep everything below a CID; a pin of the same name is moved to it.

    Raises:
        UserError: the name is empty, too long or not printable.
        UnavailableError: a block below the CID is not here. Nothing is pinned then.
        VerificationError: a block is damaged or malformed. Nothing is pinned then.
    """
    if not new.name or len(new.name) > MAX_NAME_CHARACTERS or not new.name.isprintable():
        raise UserError("is no name for a pin", where=repr(new.name[:80]), fix="name it with letters and digits")
    hold(store, new.cid)
    with store.durably_writing() as connection:
        connection.execute(
            "INSERT OR REPLACE INTO pins(name, cid, profile, created_at) VALUES(?, ?, ?, ?)",
            (new.name, new.cid, new.profile, new.created_at),
        )


def unpin(store: SqliteBlockStore, name: str) -> Pin:
    """Remove a pin and return it; the blocks go with the next collection if nothing else needs them.

    Raises:
        UserError: there is no pin of this name.
    """
    found = next((one for one in pins(store) if one.name == name), None)
    with store.durably_writing() as connection:
        removed = connection.execute("DELETE FROM pins WHERE name = ?", (name,)).rowcount
    if found is None or not removed:
        raise UserError("there is no pin of this name", where=repr(name), fix="see `bacalhau store pins`")
    return found


def pins(store: SqliteBlockStore) -> list[Pin]:
    """Return all pins, by name."""
    with store.reading() as connection:
        rows = connection.execute("SELECT name, cid, profile, created_at FROM pins ORDER BY name").fetchall()
    return [Pin(name=name, cid=CID(bytes(cid)), profile=profile, created_at=at) for name, cid, profile, at in rows]


def hold(store: SqliteBlockStore, cid: CID) -> None:
    """Keep everything below a CID until the store is closed, and make sure that it is all here.

    Raises:
        UnavailableError: a block below it is not here.
        VerificationError: a block is damaged or malformed.
    """
    hold_all(store, [cid])


def hold_all(store: SqliteBlockStore, cids: Collection[CID]) -> None:
    """Hold several in one transaction; see `hold`.

    Raises:
        UnavailableError, VerificationError: as `hold`. All are held then, and it is not said which are whole.
    """
    with store.writing() as connection:
        lease = store.lease(connection)
        rows = [(lease.id, cid) for cid in cids]
        connection.executemany("INSERT OR IGNORE INTO holds(lease, cid) VALUES(?, ?)", rows)
    # What this lease holds and was whole once cannot have gone: neither the input of a task nor its function, which
    # many tasks share, is walked again with the task.
    seen = seen_below(store, cids, known=lease.whole)
    lease.whole |= {cid for cid in seen if codec_of(cid) == DAG_CBOR}
    lease.whole.update(cids)


def known_whole(store: SqliteBlockStore) -> Collection[CID]:
    """Return what the store's lease holds and was found to be whole: below these nothing needs to be looked at."""
    with store.writing() as connection:
        return store.lease(connection).whole


def check_whole(
    store: BlockStore, roots: Iterable[CID], *, known: Collection[CID] = (), max_blocks: int | None = None
) -> None:
    """Make sure that every block below `roots` is here. Blocks without links are looked up, not read.

    known: roots below which nothing needs to be looked at. max_blocks: gives up when there are more of them; None looks
    for all.

    Raises:
        UnavailableError: a block is not here, or there are too many.
        VerificationError: a block with links is damaged or malformed.
    """
    seen_below(store, roots, known=known, max_blocks=max_blocks)


def seen_below(
    store: BlockStore, roots: Iterable[CID], *, known: Collection[CID] = (), max_blocks: int | None = None
) -> set[CID]:
    """Do as `check_whole`, and return the blocks that were looked for: all below `roots` but for those below `known`.

    Raises:
        UnavailableError, VerificationError: as `check_whole`.
    """
    todo = [root for root in roots if root not in known]
    seen = set(todo)
    while todo:
        if max_blocks is not None and len(seen) > max_blocks:
            raise UnavailableError(f"has more than {counted(max_blocks, 'block')}, which is more than are looked for")
        cid = todo.pop()
        if has_links(cid):
            fresh = dict.fromkeys(
                link for link in links_of(cid, store.get(cid)) if link not in seen and link not in known
            )
            seen.update(fresh)
            todo.extend(fresh)
        elif not store.has(cid):
            raise block_missing(cid)
    return seen


def has_links(cid: CID) -> bool:
    """Tell whether a block can have links that this program follows; of other codecs the block alone is kept."""
    return codec_of(cid) in (DAG_PB, DAG_CBOR)

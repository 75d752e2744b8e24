"""Files and directories as the pages show them: a listing, or the bytes of a file, bounded."""

from __future__ import annotations

from itertools import islice
from typing import Any, Final

from bacalhau.content_row import content_row
from storage.blocks import BlockStore
from storage.cid import CID, DAG_CBOR, cid_text, codec_of
from storage.errors import UserError
from storage.ipld_path import check_unixfs, content_at, links_of
from storage.unixfs_read import UnixfsReader

MAX_ENTRIES: Final = 1000
"""Of one answer."""
MAX_FILE_BYTES: Final = 8 << 20
"""What a page is given of a file."""


def listing(store: BlockStore, root: CID, path: str, *, skip: int = 0) -> dict[str, Any]:
    """Return what is at a path: a file's size, or up to MAX_ENTRIES entries of a directory, or the links of data.

    Raises:
        UserError: there is nothing.
        UnavailableError, VerificationError: a block on the way is not here, or damaged.
    """
    cid = content_at(store, root, path)
    reader = UnixfsReader(store)
    head = {"cid": cid_text(cid), "path": path, "skipped": skip}
    if codec_of(cid) == DAG_CBOR:
        pairs = list(islice(links_of(store, cid), skip, skip + MAX_ENTRIES + 1))
        rows = [content_row(reader, name, link) for name, link in pairs]
        return {**head, "kind": "data", "size": None, "entries": rows[:MAX_ENTRIES], "more": len(rows) > MAX_ENTRIES}
    check_unixfs(store, cid, cid_text(cid))
    stat = reader.stat(cid)
    if stat.kind != "directory":
        return {**head, "kind": stat.kind, "size": stat.size, "entries": [], "more": False}
    entries = islice(reader.entries(cid), skip, skip + MAX_ENTRIES + 1)
    rows = [content_row(reader, name, link.cid) for name, link in entries]
    return {**head, "kind": "directory", "size": None, "entries": rows[:MAX_ENTRIES], "more": len(rows) > MAX_ENTRIES}


def head_of_file(store: BlockStore, root: CID, path: str) -> tuple[bytes, int]:
    """Return the first MAX_FILE_BYTES of a file, and its size.

    Raises:
        UserError: it is no file.
        UnavailableError, VerificationError: a block is not here, or damaged.
    """
    cid = content_at(store, root, path)
    check_unixfs(store, cid, cid_text(cid))
    reader = UnixfsReader(store)
    stat = reader.stat(cid)
    if stat.kind != "file":
        raise UserError(f"is a {stat.kind}", where=cid_text(cid), fix="list it")
    with reader.open(cid) as stream:
        return stream.read(MAX_FILE_BYTES), stat.size

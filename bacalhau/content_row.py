"""One entry of a directory, or one link of data, as `ls` prints it and the pages show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storage.cid import CID, DAG_CBOR, cid_text, codec_of
from storage.errors import UnavailableError

if TYPE_CHECKING:
    from storage.unixfs_read import UnixfsReader


def content_row(reader: UnixfsReader, name: str, cid: CID) -> dict[str, Any]:
    """Return one row; of an entry whose block is not here only the name and the CID are known."""
    if codec_of(cid) == DAG_CBOR:
        return {"name": name, "kind": "data", "size": None, "cid": cid_text(cid)}
    try:
        stat = reader.stat(cid)
    except UnavailableError:
        return {"name": name, "kind": None, "size": None, "cid": cid_text(cid)}
    size = None if stat.kind == "directory" else stat.size
    return {"name": name, "kind": stat.kind, "size": size, "cid": cid_text(cid)}

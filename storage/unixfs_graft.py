"""Put one DAG into another at a path: a new directory, as if it had been imported like that.

Reads and writes the directory nodes along the path alone; what is grafted and what it hides stay where they are, and no
leaf is read, so a graft costs the same whatever the sizes.
"""

from __future__ import annotations

from storage.blocks import BlockStore
from storage.cid import CID, DAG_PB, cid_text, codec_of, inline_data
from storage.dag_pb import decode_node
from storage.errors import UserError, VerificationError
from storage.unixfs_import import Entry, Importer
from storage.unixfs_names import MAX_DEPTH, check_name
from storage.unixfs_read import UnixfsReader
from storage.unixfs_write import MAX_TSIZE


def graft(store: BlockStore, root: CID, path: str, content: CID) -> CID:
    """Return the directory `root` with `content` at `path`; directories on the way are made, what is there is replaced.

    path: names joined by '/', at least one.

    Raises:
        UserError: the path leads through a file or a symlink, or is too deep.
        UnavailableError: a directory on the way, or the root block of `content`, is not here.
        VerificationError: a block on the way is malformed, or a name is unsafe.
    """
    names = [check_name(name) for name in path.split("/")]
    if len(names) > MAX_DEPTH:
        raise UserError(f"is more than {MAX_DEPTH} directories deep", where=path[:80], fix="mount it at a shorter path")
    return _grafted(UnixfsReader(store), Importer(store), root, names, finished_entry(store, content)).cid


def _grafted(reader: UnixfsReader, importer: Importer, root: CID | None, names: list[str], content: Entry) -> Entry:
    """Return a directory with `content` below it; `root`: what is there so far."""
    head, *rest = names
    entries: dict[str, Entry] = {}
    if root is not None:
        _check_directory(reader, root, head)
        # A link says no size of content, and nobody asks: an entry's `size` is not part of any block.
        entries = {name: Entry(cid=link.cid, size=0, tsize=link.tsize) for name, link in reader.entries(root)}
    if rest:
        below = entries.get(head)
        content = _grafted(reader, importer, None if below is None else below.cid, rest, content)
    return importer.directory(entries | {head: content})


def _check_directory(reader: UnixfsReader, cid: CID, name: str) -> None:
    kind = reader.stat(cid).kind
    if kind != "directory":
        problem = f"is a {kind}: {name!r} cannot be put below it"
        raise UserError(problem, where=cid_text(cid), fix="choose a path that leads through directories")


def finished_entry(store: BlockStore, cid: CID) -> Entry:
    """Return an entry for a DAG that is in the store, to be linked; what it says of sizes is its root's word.

    Raises:
        UnavailableError: its root block is not here.
        VerificationError: it is malformed.
    """
    block = inline_data(cid)
    block = store.get(cid) if block is None else block
    tsize = len(block)
    if codec_of(cid) == DAG_PB:
        tsize += sum(link.tsize for link in decode_node(block).links)
    if tsize >= MAX_TSIZE:
        raise VerificationError("claims more bytes than there can be", where=cid_text(cid))
    return Entry(cid=cid, size=0, tsize=tsize)

"""Follow a path from a CID: field names and list indices through DAG-CBOR; from where UnixFS begins, names in it.

The one place where a path that somebody wrote becomes a CID: for `cat`, `ls`, `fetch`, inputs and the gateway. Reads
the blocks on the way and no others: of a large directory the shards that lead to the name, of the end nothing. Symlinks
are not followed. Source: IPLD data model, pathing (ipld.io/docs/data-model/pathing); IPFS specifications, path gateway.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from storage import dag_cbor, hamt
from storage.blocks import BlockStore
from storage.cid import CID, DAG_CBOR, DAG_PB, cid_text, codec_of
from storage.errors import UserError, VerificationError
from storage.unixfs_load import DagNode, NodeLoader, is_raw
from storage.unixfs_names import check_name
from storage.unixfs_node import NodeType
from storage.unixfs_read import UnixfsReader

SHOWN_NAMES: Final = 12
"""Of what there is instead of a name that is not there."""
_SHOWN_CHARACTERS: Final = 60
"""Of each: names are strangers'."""
_INDEX_DIGITS: Final = 9
"""A block of 2 MiB has fewer items."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """Where a path leads."""

    end: CID
    """The block in which it ends."""
    inside: tuple[str, ...]
    """The last names, if they lead to no link but into the end's own block."""
    roots: tuple[CID, ...]
    """What it leads to link by link, from the root on."""
    proof: tuple[CID, ...]
    """The blocks that show it, without the end's; each as often as it is passed."""


def path_names(path: str) -> list[str]:
    """Return the names of a path; slashes around it and repeated ones do not count."""
    return [name for name in path.split("/") if name]


def follow(store: BlockStore, root: CID, names: Sequence[str]) -> Followed:
    """Follow names below `root`.

    Raises:
        UserError: a name is not there; says which, in which block, and what there is instead.
        UnavailableError: a block is not here.
        VerificationError: a block is malformed.
    """
    at, roots, proof, left = root, [root], list[CID](), list(names)
    try:
        while left:
            passed, link, taken = _enter(store, at, left)
            if link is None:
                break
            at, left = link, left[taken:]
            roots.append(at)
            proof += passed
    except UserError as error:
        raise UserError(error.problem, where=_written(root, names), fix=error.fix) from error
    return Followed(end=at, inside=tuple(left), roots=tuple(roots), proof=tuple(proof))


def content_at(store: BlockStore, root: CID, path: str) -> CID:
    """Return what a path below `root` leads to; it may be elsewhere.

    Raises:
        UserError: as `follow` does; or it is a value inside a block, and no block.
        UnavailableError, VerificationError: as `follow` does.
    """
    names = path_names(path)
    found = follow(store, root, names)
    if found.inside:
        value = _node(store, found.end)
        for name in found.inside:
            value = _child(value, name)
        problem = f"is {_kind(value)} inside the block {cid_text(found.end)}, and no link to content"
        raise UserError(problem, where=_written(root, names), fix=_fix_of_links(value))
    return found.end


def links_of(store: BlockStore, cid: CID) -> Iterator[tuple[str, CID]]:
    """Yield the path and the target of each link in a DAG-CBOR block, in the order in which it is written.

    Raises:
        UnavailableError: the block is not here.
        VerificationError: it is malformed.
    """
    yield from _links(_node(store, cid))


def check_unixfs(store: BlockStore, cid: CID, where: str) -> None:
    """Refuse what cannot be a file, directory or symlink, by its CID alone.

    Raises:
        UserError: it is data; says what it links to, if it is here.
    """
    if codec_of(cid) == DAG_PB or is_raw(cid):
        return
    is_known = codec_of(cid) == DAG_CBOR and store.has(cid)
    fix = _fix_of_links(_node(store, cid)) if is_known else "name what it links to: CID/NAME"
    raise UserError("is data, not a file or directory", where=where, fix=fix)


def _enter(store: BlockStore, cid: CID, names: Sequence[str]) -> tuple[list[CID], CID | None, int]:
    """Return the blocks passed, the link found, and how many names led to it; no link if all of them end in the block.

    `where` of the errors is left to the caller, who knows the whole path.
    """
    if codec_of(cid) == DAG_CBOR:
        return [cid], *_enter_data(_node(store, cid), cid, names)
    return *_enter_directory(store, cid, names[0]), 1


def _enter_data(node: Any, cid: CID, names: Sequence[str]) -> tuple[CID | None, int]:
    at = node
    for taken, name in enumerate(names, 1):
        try:
            at = _child(at, name)
        except LookupError as error:
            place = f"{cid_text(cid)}{''.join('/' + _shown(before) for before in names[: taken - 1])}"
            raise UserError(f"{name!r} is not there: {place} is {_kind(at)}", fix=_fix_of_names(at)) from error
        if isinstance(at, bytes):
            return CID(at), taken
    return None, len(names)


def _child(value: Any, name: str) -> Any:
    """Return a field of a map or an item of a list.

    Raises:
        LookupError: it is not there, or nothing can be.
    """
    if isinstance(value, dict):
        return value[name]
    if isinstance(value, list) and name.isascii() and name.isdecimal() and len(name) <= _INDEX_DIGITS:
        return value[int(name)]
    raise KeyError(name)


def _enter_directory(store: BlockStore, cid: CID, name: str) -> tuple[list[CID], CID]:
    if is_raw(cid):
        raise _no_directory(cid, name, "file")
    loader = _Recording(store)
    node = loader.node(cid)
    try:
        check_name(name)
    except VerificationError as error:
        problem = f"{name!r} is not a name that a directory can hold"
        raise UserError(problem, fix="write the path from the CID on") from error
    if node.fs.type is NodeType.SHARD:
        link = hamt.find_entry(loader.node, cid, name.encode("utf-8"))
    elif node.fs.type is NodeType.DIRECTORY:
        link = UnixfsReader(store).find(cid, name)
    else:
        raise _no_directory(cid, name, UnixfsReader(store).stat(cid).kind)
    if link is None:
        problem = f"{name!r} is not there: {cid_text(cid)} is a directory without it"
        raise UserError(problem, fix=f"list the directory with `bacalhau ls {cid_text(cid)}`")
    return list(loader.loaded), link.cid


class _Recording(NodeLoader):
    """Remembers which nodes were asked for."""

    def __init__(self, store: BlockStore) -> None:
        super().__init__(store)
        self.loaded: dict[CID, None] = {}

    def node(self, cid: CID) -> DagNode:
        self.loaded[cid] = None
        return super().node(cid)


def _node(store: BlockStore, cid: CID) -> Any:
    try:
        return dag_cbor.decode(store.get(cid))
    except VerificationError as error:
        raise VerificationError(error.problem, where=error.where or cid_text(cid)) from error


def _no_directory(cid: CID, name: str, kind: str) -> UserError:
    problem = f"{name!r} is not there: {cid_text(cid)} is not a directory but a {kind}"
    return UserError(problem, fix="write the path only as far as that")


def _written(root: CID, names: Sequence[str]) -> str:
    return "/".join((cid_text(root), *names))


def _kind(value: Any) -> str:
    """Say what a value inside of a block is."""
    if isinstance(value, dict):
        return "a map"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, str):
        return "a text"
    if value is None or isinstance(value, bool):
        return "null" if value is None else f"{value}".lower()
    return "a number"


def _fix_of_names(value: Any) -> str:
    if isinstance(value, dict):
        return f"it has {_listed(iter(value))}"
    if isinstance(value, list) and value:
        return f"it has items 0 to {len(value) - 1}"
    return "write the path only as far as that"


def _fix_of_links(value: Any) -> str:
    names = _listed(path for path, _ in _links(value))
    return f"name one of its links: {names}" if names else "name something with a link"


def _links(value: Any) -> Iterator[tuple[str, CID]]:
    """Yield paths and targets of links in a value, in the order in which it is written."""
    todo = [("", value)]
    while todo:
        path, item = todo.pop()
        if isinstance(item, bytes):
            yield path, CID(item)
        pairs = item.items() if isinstance(item, dict) else enumerate(item) if isinstance(item, list) else ()
        todo += reversed([(f"{path}/{name}" if path else str(name), child) for name, child in pairs])


def _listed(names: Iterator[str]) -> str:
    first = [_shown(name) for name in islice(names, SHOWN_NAMES + 1)]
    return ", ".join((*first[:SHOWN_NAMES], *(["…"] if len(first) > SHOWN_NAMES else [])))


def _shown(name: str) -> str:
    return f"{name[:_SHOWN_CHARACTERS]}…" if len(name) > _SHOWN_CHARACTERS else name

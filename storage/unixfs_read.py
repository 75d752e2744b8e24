"""Read UnixFS content out of a store: what it is, what is in it, its bytes.

Trusts no block: names, sizes, depths and shapes are checked as they are met. Memory is bounded by one leaf, a few
nodes and, for a listing, one directory. Not for several threads at once: make a reader for each.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO, Final, Literal, TypeAlias

from storage import hamt
from storage.blocks import BlockStore
from storage.cid import CID, cid_text
from storage.dag_pb import Link
from storage.errors import UserError, VerificationError
from storage.unixfs_file import FILE_TYPES, UnixfsFile, file_size
from storage.unixfs_load import DagNode, NodeLoader, is_raw
from storage.unixfs_names import check_name
from storage.unixfs_node import NodeType

MAX_ENTRIES: Final = 1 << 20
"""Names in one directory: listing sorts them in memory, about 230 bytes each."""
_BUFFER_BYTES: Final = 64 << 10

Kind: TypeAlias = Literal["file", "directory", "symlink"]

_DIRECTORY_TYPES: Final = (NodeType.DIRECTORY, NodeType.SHARD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stat:
    """What a CID is."""

    kind: Kind
    size: int
    """Bytes of the file or of the symlink's target; 0 for a directory."""
    executable: bool = False
    """A file with an execute bit in its UnixFS mode; profiles without modes never have one."""


class UnixfsReader:
    """Reads UnixFS DAGs from `store`.

    Every method raises UnavailableError for a block that is not here, and VerificationError for one that breaks the
    rules of UnixFS or is no UnixFS at all.
    """

    def __init__(self, store: BlockStore) -> None:
        self._loader = NodeLoader(store)
        self._last_listed: tuple[CID, dict[str, Link]] | None = None

    def stat(self, cid: CID) -> Stat:
        """Tell what `cid` is, from its root block alone."""
        if is_raw(cid):
            return Stat(kind="file", size=file_size(self._loader, cid))
        node = self._loader.node(cid)
        if node.fs.type in FILE_TYPES:
            return Stat(kind="file", size=node.size, executable=bool((node.fs.mode or 0) & 0o111))
        if node.fs.type in _DIRECTORY_TYPES:
            return Stat(kind="directory", size=0)
        if node.fs.type is NodeType.SYMLINK:
            return Stat(kind="symlink", size=len(node.inline))
        raise VerificationError("UnixFS metadata nodes are not content", where=cid_text(cid))

    def entries(self, cid: CID) -> Iterator[tuple[str, Link]]:
        """Return the entries of a directory, sorted by the UTF-8 bytes of their names; each link carries its name.

        Raises:
            UserError: not a directory.
        """
        # Names become text when they are asked for: of a million entries, texts and pairs take as much as the rest.
        return ((link.name.decode("utf-8"), link) for link in self.listing(cid))

    def listing(self, cid: CID) -> list[Link]:
        """Return the entries of a directory as links, sorted by name; every name is UTF-8 and fit for a directory.

        Raises:
            UserError: not a directory.
        """
        node = self._directory(cid)
        links = sorted(self._links(cid, node), key=lambda link: link.name)
        for link in links:
            _check_entry_name(cid, link)
        repeated = next((link.name for link, after in pairwise(links) if link.name == after.name), None)
        if repeated is not None:
            raise VerificationError(f"directory has a name twice: {repeated.decode('utf-8')!r}", where=cid_text(cid))
        return links

    def resolve(self, cid: CID, path: str) -> CID:
        """Return what a path of names below `cid` leads to; slashes around it are ignored, symlinks not followed.

        For trees known to be UnixFS; `ipld_path` follows what people write.

        Raises:
            UserError: a name is missing, is '.' or '..', or stands below something that is no directory.
        """
        root = cid
        for name in [name for name in path.split("/") if name]:
            _check_wanted(path, name)
            link = self.find(cid, name)
            if link is None:
                raise UserError(
                    f"{name!r} is not there",
                    where=f"{cid_text(root)}/{path}",
                    fix="list the directory with `bacalhau ls`",
                )
            cid = link.cid
        return cid

    def find(self, cid: CID, name: str) -> Link | None:
        """Return one entry of a directory, None if it is not there.

        A basic directory is checked whole, a sharded one along the way to the name.

        Raises:
            UserError: not a directory.
        """
        node = self._directory(cid)
        if node.fs.type is NodeType.SHARD:
            return hamt.find_entry(self._loader.node, cid, name.encode("utf-8"))
        # Whoever looks for one name mostly looks for the others too: checking all of them each time is quadratic.
        if self._last_listed is None or self._last_listed[0] != cid:
            self._last_listed = (cid, dict(self.entries(cid)))
        return self._last_listed[1].get(name)

    def open(self, cid: CID) -> BinaryIO:
        """Open a file for reading; it seeks, and loads blocks only as they are read.

        Raises:
            UserError: not a file.
        """
        return io.BufferedReader(UnixfsFile(self._loader, cid), _BUFFER_BYTES)

    def read_bytes(self, cid: CID, limit: int) -> bytes:
        """Return a whole file of at most `limit` bytes.

        Raises:
            UserError: not a file, or larger.
        """
        size = file_size(self._loader, cid)
        if size > limit:
            raise UserError(f"file has {size} bytes, the limit is {limit}", where=cid_text(cid))
        with self.open(cid) as stream:
            return stream.read()

    def read_link(self, cid: CID) -> str:
        """Return a symlink's target.

        Raises:
            UserError: not a symlink.
        """
        if self.stat(cid).kind != "symlink":
            raise UserError("is not a symlink", where=cid_text(cid))
        try:
            return self._loader.node(cid).inline.decode("utf-8")
        except UnicodeDecodeError as error:
            raise VerificationError("symlink target is not UTF-8", where=cid_text(cid)) from error

    def _directory(self, cid: CID) -> DagNode:
        if self.stat(cid).kind != "directory":
            raise UserError("is not a directory", where=cid_text(cid), fix="read it with `bacalhau cat`")
        return self._loader.node(cid)

    def _links(self, cid: CID, node: DagNode) -> Iterator[Link]:
        links = hamt.list_entries(self._loader.node, cid) if node.fs.type is NodeType.SHARD else iter(node.links)
        for count, link in enumerate(links):
            if count >= MAX_ENTRIES:
                raise VerificationError(f"directory has more than {MAX_ENTRIES} entries", where=cid_text(cid))
            yield link


def _check_wanted(path: str, name: str) -> None:
    try:
        check_name(name)
    except VerificationError as error:
        raise UserError(
            f"{name!r} is not a name that a directory can hold", where=repr(path), fix="write the path from the CID on"
        ) from error


def _check_entry_name(cid: CID, link: Link) -> None:
    try:
        check_name(link.name)
    except VerificationError as error:
        raise VerificationError(f"{error.problem}: {error.where}", where=cid_text(cid)) from error

"""A UnixFS file as a seekable Python file, read leaf by leaf."""

from __future__ import annotations

import io
from bisect import bisect_right
from typing import TYPE_CHECKING, Final

from storage.cid import CID, cid_text
from storage.errors import UserError, VerificationError
from storage.unixfs_load import DagNode, NodeLoader, is_raw
from storage.unixfs_node import NodeType

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAX_FILE_DEPTH: Final = 64
"""Levels of one file's tree. Ours have at most 7; chains would only cost a hostile sender bytes."""
FILE_TYPES: Final = (NodeType.FILE, NodeType.RAW)


class UnixfsFile(io.RawIOBase):
    """Reads one file; holds one leaf in memory, whatever the file's size.

    Every leaf and every node is checked against the size that the node above claims, when it is reached.
    """

    def __init__(self, loader: NodeLoader, cid: CID) -> None:
        super().__init__()
        self._loader = loader
        self._cid = cid
        self.size = file_size(loader, cid)
        """Bytes of the file."""
        self._position = 0
        self._leaf: bytes = b""
        self._leaf_start = 0

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that it can seek."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move, also behind the end, where there is nothing to read."""
        self._position = sought(offset, whence, self._position, self.size)
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read up to the end of the current leaf.

        Raises:
            UnavailableError: a block is not here.
            VerificationError: a block is not what its CID or the node above says.
        """
        view = memoryview(buffer).cast("B")
        if self._position >= self.size or not view:
            return 0
        if not self._leaf_start <= self._position < self._leaf_start + len(self._leaf):
            self._leaf, self._leaf_start = self._find_leaf(self._position)
        start = self._position - self._leaf_start
        part = memoryview(self._leaf)[start : start + len(view)]
        view[: len(part)] = part
        self._position += len(part)
        return len(part)

    def _find_leaf(self, position: int) -> tuple[bytes, int]:
        """Return the leaf that holds `position`, and where it starts."""
        cid, start, size = self._cid, 0, self.size
        for _ in range(MAX_FILE_DEPTH):
            if is_raw(cid):
                return _sized(self._loader.leaf(cid), size, cid), start
            node = self._file_node(cid, size)
            inline = node.inline
            if position < start + len(inline):
                return inline, start
            index = bisect_right(node.ends, position - start)
            before = node.ends[index - 1] if index else len(inline)
            cid, start, size = node.links[index].cid, start + before, node.ends[index] - before
        raise VerificationError(f"file tree is more than {MAX_FILE_DEPTH} levels deep", where=cid_text(self._cid))

    def _file_node(self, cid: CID, size: int) -> DagNode:
        node = self._loader.node(cid)
        if node.fs.type not in FILE_TYPES:
            raise VerificationError("part of a file is not a file", where=cid_text(cid))
        if node.size != size:
            raise VerificationError("node's size is not the one its parent claims", where=cid_text(cid))
        return node


def file_size(loader: NodeLoader, cid: CID) -> int:
    """Return the bytes of a file, as its root block says.

    Raises:
        UserError: it is a directory or a symlink.
    """
    if is_raw(cid):
        return len(loader.leaf(cid))
    node = loader.node(cid)
    if node.fs.type not in FILE_TYPES:
        raise UserError(
            "is not a file", where=cid_text(cid), fix="name a file inside it, or list it with `bacalhau ls`"
        )
    return node.size


def sought(offset: int, whence: int, position: int, size: int) -> int:
    """Return the position that `seek(offset, whence)` moves to.

    Raises:
        ValueError: before the start, or an unknown `whence`.
    """
    if whence not in (io.SEEK_SET, io.SEEK_CUR, io.SEEK_END):
        raise ValueError(f"invalid whence: {whence}")
    target = offset + {io.SEEK_SET: 0, io.SEEK_CUR: position, io.SEEK_END: size}[whence]
    if target < 0:
        raise ValueError(f"negative seek position: {target}")
    return target


def _sized(leaf: bytes, size: int, cid: CID) -> bytes:
    if len(leaf) != size:
        raise VerificationError("leaf's size is not the one its parent claims", where=cid_text(cid))
    return leaf

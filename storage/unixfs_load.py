"""Load and decode UnixFS nodes, keeping the recent ones."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from storage.blocks import BlockStore
from storage.cid import CID, DAG_PB, RAW, cid_text, codec_of
from storage.dag_pb import Link, decode_node
from storage.errors import VerificationError
from storage.unixfs_node import NodeType, UnixfsNode, decode_unixfs

CACHE_BYTES: Final = 4 << 20
"""Encoded bytes of the nodes kept, the largest two or so (2 MiB each); decoded ones take up to 30 times as much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DagNode:
    """A decoded DAG-PB block that is UnixFS."""

    links: tuple[Link, ...]
    fs: UnixfsNode
    ends: tuple[int, ...]
    """For a file node: where the part below each link ends, counted from the start of the node's own bytes."""

    @property
    def inline(self) -> bytes:
        """The bytes the node itself holds."""
        return self.fs.data or b""

    @property
    def size(self) -> int:
        """Bytes of the file in and below this node."""
        return self.ends[-1] if self.ends else len(self.inline)


class NodeLoader:
    """Decoded nodes by CID, out of a store. Not for several threads at once."""

    def __init__(self, store: BlockStore) -> None:
        self._store = store
        self._recent: OrderedDict[CID, tuple[DagNode, int]] = OrderedDict()
        self._recent_bytes = 0
        self._last_leaf: tuple[CID, bytes] | None = None

    def leaf(self, cid: CID) -> bytes:
        """Return the bytes of a raw leaf.

        The last one is kept: a file of one block is asked for its size before it is read.
        """
        if self._last_leaf is None or self._last_leaf[0] != cid:
            self._last_leaf = None  # before the next is here, so that there are never two
            self._last_leaf = (cid, self._store.get(cid))
        return self._last_leaf[1]

    def node(self, cid: CID) -> DagNode:
        """Return the node that `cid` names.

        Raises:
            UnavailableError: its block is not here.
            VerificationError: it is not a UnixFS node, or its sizes contradict each other.
        """
        if cid in self._recent:
            self._recent.move_to_end(cid)
            return self._recent[cid][0]
        if codec_of(cid) != DAG_PB:
            raise VerificationError(f"not UnixFS: codec 0x{codec_of(cid):x}", where=cid_text(cid))
        block = self._store.get(cid)
        node = _decode(cid, block)
        self._keep(cid, node, len(block))
        return node

    def _keep(self, cid: CID, node: DagNode, size: int) -> None:
        self._recent[cid] = (node, size)
        self._recent_bytes += size
        while self._recent_bytes > CACHE_BYTES and len(self._recent) > 1:
            self._recent_bytes -= self._recent.popitem(last=False)[1][1]


def is_raw(cid: CID) -> bool:
    """Tell whether `cid` names a raw leaf."""
    return codec_of(cid) == RAW


def _decode(cid: CID, block: bytes) -> DagNode:
    try:
        return _decode_block(block)
    except VerificationError as error:
        raise VerificationError(error.problem, where=cid_text(cid)) from error


def _decode_block(block: bytes) -> DagNode:
    node = decode_node(block)
    if node.data is None:
        raise VerificationError("DAG-PB node without UnixFS data")
    fs = decode_unixfs(node.data)
    ends = _file_ends(fs, len(node.links)) if fs.type in (NodeType.FILE, NodeType.RAW) else ()
    return DagNode(links=node.links, fs=fs, ends=ends)


def _file_ends(fs: UnixfsNode, links: int) -> tuple[int, ...]:
    """Return the running sums of a file node's sizes; a size of 0 could hide bytes that other readers would show."""
    inline = len(fs.data or b"")
    if len(fs.blocksizes) != links or 0 in fs.blocksizes:
        raise VerificationError("UnixFS block sizes do not fit the links")
    ends = tuple(accumulate(fs.blocksizes, initial=inline))[1:]
    if fs.filesize is not None and fs.filesize != (ends[-1] if ends else inline):
        raise VerificationError("UnixFS file size is not the sum of its parts")
    if ends and ends[-1] >= 1 << 63:
        raise VerificationError("UnixFS file is larger than any file can be")
    return ends

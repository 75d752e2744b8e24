"""How large a DAG is before anything of it is fetched: what its roots say of what lies below them. Reads no leaf.

A link of a DAG-PB node carries the bytes of all blocks below it (Tsize). That is a claim of whoever made the node and
nobody checks it; blocks that are linked to twice count twice. Whoever reserves room by it bounds what comes by the same
number (`reserved_block_store`).
"""

from __future__ import annotations

from typing import Final

from storage.blocks import BlockStore
from storage.cid import CID, DAG_CBOR, DAG_PB, codec_of, inline_data
from storage.dag_pb import decode_node
from storage.dag_walk import VisitKey, links_of, visit_key

MAX_BYTES: Final = (1 << 63) - 1
"""The largest answer: claims add up to anything."""


def claimed_bytes(store: BlockStore, root: CID) -> int:
    """Return the bytes of all blocks below a CID, its own included, as they are claimed; at most `MAX_BYTES`.

    DAG-CBOR nodes say nothing of sizes: their links are followed, each once, down to files and directories.

    Raises:
        UnavailableError: the block of a root, or of a DAG-CBOR node, is not here.
        VerificationError: a block is malformed.
    """
    total, seen, todo = 0, set[VisitKey](), [root]
    while todo:
        cid = todo.pop()
        if visit_key(cid) in seen:
            continue
        seen.add(visit_key(cid))
        block = store.get(cid)
        if inline_data(cid) is None:
            total += len(block)
        if codec_of(cid) == DAG_PB:
            total += sum(link.tsize for link in decode_node(block).links)
        elif codec_of(cid) == DAG_CBOR:
            todo.extend(links_of(cid, block))
    return min(total, MAX_BYTES)

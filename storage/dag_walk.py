"""Visit every block of a DAG: for CAR files, for completeness, for garbage collection."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TypeAlias

from storage import dag_cbor
from storage.blocks import BlockStore
from storage.cid import CID, DAG_CBOR, DAG_PB, RAW, cid_text, split_cid
from storage.dag_pb import decode_node
from storage.errors import VerificationError

VisitKey: TypeAlias = tuple[int, int, bytes]
"""Codec, hash function and digest: the same bytes under another codec have other links."""


def walk(store: BlockStore, root: CID, *, skip: Collection[VisitKey] = ()) -> Iterator[tuple[CID, bytes]]:
    """Yield every block reachable from `root` once: depth first, parents before children, in the order of the links.

    A walk that ends without an error proves the DAG complete. skip: blocks that are not looked at, with all below them.

    Raises:
        UnavailableError: a block is not here.
        VerificationError: a block is not what its CID says, malformed, or of a codec that cannot be read for links.
    """
    seen = set(skip)
    todo = [root]
    while todo:
        cid = todo.pop()
        key = visit_key(cid)
        if key in seen:
            continue
        seen.add(key)
        data = store.get(cid)
        yield cid, data
        todo.extend(reversed(links_of(cid, data)))


def visit_key(cid: CID) -> VisitKey:
    """Return what makes two CIDs one node: the bytes and how they are read, whatever the CID's version."""
    parts = split_cid(cid)
    return parts.codec, parts.hash_code, parts.digest


def links_of(cid: CID, data: bytes) -> tuple[CID, ...]:
    """Return the links of one block in their order, repeated ones included.

    Raises:
        VerificationError: malformed, or a codec other than raw, DAG-PB and DAG-CBOR.
    """
    codec = split_cid(cid).codec
    try:
        if codec == RAW:
            return ()
        if codec == DAG_PB:
            return tuple(link.cid for link in decode_node(data).links)
        if codec == DAG_CBOR:
            return tuple(dag_cbor.links(dag_cbor.decode(data)))
    except VerificationError as error:
        raise VerificationError(error.problem, where=cid_text(cid)) from error
    raise VerificationError(f"codec 0x{codec:x} is not known, so its links are not", where=cid_text(cid))

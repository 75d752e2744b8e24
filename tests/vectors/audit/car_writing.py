"""CAR files for the audit's vectors: written by hand, so that each of their bytes can be wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from storage import dag_cbor
from storage.cid import CID, IDENTITY, split_cid
from storage.dag_walk import links_of
from storage.errors import VerificationError
from storage.varint import encode_varint

Block = tuple[CID, bytes]


def reachable(blocks: Mapping[CID, bytes], roots: Sequence[CID]) -> list[Block]:
    """Return what the roots lead to, of what is there: parents first, in the order of the links."""
    found: dict[CID, bytes] = {}
    todo = list(reversed(roots))
    while todo:
        cid = todo.pop()
        if cid in found or cid not in blocks or split_cid(cid).hash_code == IDENTITY:
            continue
        found[cid] = blocks[cid]
        todo.extend(reversed(_links(cid, blocks[cid])))
    return list(found.items())


def _links(cid: CID, data: bytes) -> tuple[CID, ...]:
    try:
        return links_of(cid, data)
    except VerificationError:
        return ()


def header(roots: Sequence[CID], version: int = 1) -> bytes:
    return framed(dag_cbor.encode({"roots": list(roots), "version": version}))


def framed(section: bytes) -> bytes:
    return encode_varint(len(section)) + section


def car(roots: Sequence[CID], blocks: Sequence[Block]) -> bytes:
    return header(roots) + b"".join(framed(cid + data) for cid, data in blocks)

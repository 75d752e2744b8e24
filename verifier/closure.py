"""Visit every block that a record rests on, whatever is wrong with some of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from storage import dag_cbor, dag_pb
from storage.blocks import BlockStore
from storage.cid import CID, DAG_CBOR, DAG_PB, RAW, cid_text, codec_of
from storage.errors import BacalhauError, UnavailableError, VerificationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One block that was looked at."""

    cid: CID
    size: int
    """Bytes; 0 if it could not be read."""
    error: BacalhauError | None
    """UnavailableError: not here. VerificationError: not what its CID says, or malformed."""


def visit_trees(store: BlockStore, roots: Iterable[CID]) -> Iterator[Visit]:
    """Visit all blocks below `roots`, each once. Goes on after a bad block, without what only that one leads to."""
    pending = list(roots)
    seen = set(pending)
    while pending:
        cid = pending.pop()
        try:
            data = store.get(cid)
            children = links_of(cid, data)
        except (UnavailableError, VerificationError) as error:
            yield Visit(cid=cid, size=0, error=error)
            continue
        yield Visit(cid=cid, size=len(data), error=None)
        for child in children:
            if child not in seen:
                seen.add(child)
                pending.append(child)


def links_of(cid: CID, data: bytes) -> list[CID]:
    """Return the links of a block.

    Raises:
        VerificationError: malformed, or of a codec that UnixFS and our nodes do not use.
    """
    codec = codec_of(cid)
    try:
        if codec == RAW:
            return []
        if codec == DAG_PB:
            return [link.cid for link in dag_pb.decode_node(data).links]
        if codec == DAG_CBOR:
            return list(dag_cbor.links(dag_cbor.decode(data)))
    except VerificationError as error:
        raise VerificationError(error.problem, where=cid_text(cid)) from error
    raise VerificationError(f"codec 0x{codec:x} is not supported", where=cid_text(cid))

"""Visit every block that a record rests on, whatever is wrong with some of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from storage.blocks import BlockStore
from storage.cid import CID
from storage.dag_walk import links_of
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

"""The records that a record comes from, as far as their blocks are here: the way that `parents` lead.

Records of every tier are on it, as `verifier.graph_reading` reads them: of one that is not `record/1` only what the way
needs; that it is sound in itself is not claimed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from storage.blocks import BlockStore
from storage.cid import CID, cid_text
from storage.errors import BacalhauError, UnavailableError, VerificationError
from verifier.graph_reading import RecordFacts, read_facts

MAX_ANCESTORS: Final = 100_000
"""Records of one walk."""
MAX_GENERATIONS: Final = 10_000
"""Steps from the record to its oldest ancestor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A record on the way, or why it cannot be had."""

    cid: CID
    generation: int
    """Fewest steps from where the walk began: 1 for a parent, 0 for a record that was to be begun with."""
    found: RecordFacts | BacalhauError


def walk_ancestors(store: BlockStore, records: Sequence[CID]) -> Iterator[Step]:
    """Yield every ancestor of some records once: nearer ones first, those of a generation by their CIDs.

    None of the records is an ancestor, whatever they name; one that cannot be read is a step of generation 0. Where a
    bound is met the walk ends, with an UnavailableError in its last step.
    """
    seen = set(records)
    most = len(seen) + MAX_ANCESTORS
    generation, level = 0, sorted(seen)
    while level:
        parents: set[CID] = set()
        for cid in level:
            if len(seen) > most or generation > MAX_GENERATIONS:
                problem = f"was not looked at: more than {MAX_ANCESTORS} ancestors, or {MAX_GENERATIONS} generations"
                yield Step(cid=cid, generation=generation, found=UnavailableError(problem, where=cid_text(cid)))
                return
            found = _tried(store, cid)
            if isinstance(found, RecordFacts):
                parents.update(found.parents)
            if generation or not isinstance(found, RecordFacts):
                yield Step(cid=cid, generation=generation, found=found)
        level = sorted(parents - seen)
        seen.update(level)
        generation += 1


def _tried(store: BlockStore, cid: CID) -> RecordFacts | BacalhauError:
    try:
        return read_facts(store, cid)
    except (UnavailableError, VerificationError) as error:
        return error

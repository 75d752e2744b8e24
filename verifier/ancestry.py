"""The records that a record comes from, as far as their blocks are here: the way that `parents` lead.

An ancestor is a `record/1`, or an `unverified-record/1`: what a tier gave for which nobody vouches. Of the latter only
what the way needs is read here; that it is sound in itself is not claimed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from storage import dag_cbor
from storage.blocks import BlockStore
from storage.cid import CID, DAG_CBOR, cid_text, codec_of
from storage.errors import BacalhauError, UnavailableError, VerificationError
from verifier.bounds import MAX_NODES
from verifier.model import Record

UNVERIFIED_RECORD: Final = "unverified-record/1"
MAX_ANCESTORS: Final = 100_000
"""Records of one walk."""
MAX_GENERATIONS: Final = 10_000
"""Steps from the record to its oldest ancestor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ancestor:
    """What a walk needs of a record."""

    tier: str
    output: CID
    parents: tuple[CID, ...]
    """Ascending."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A record on the way, or why it cannot be had."""

    cid: CID
    generation: int
    """Fewest steps from where the walk began: 1 for a parent, 0 for a record that was to be begun with."""
    found: Ancestor | BacalhauError


def load_ancestor(store: BlockStore, cid: CID) -> Ancestor:
    """Read a record of any tier.

    Raises:
        UnavailableError: the block is not here.
        VerificationError: it is no record.
    """
    if codec_of(cid) != DAG_CBOR:
        raise VerificationError("is not a record", where=cid_text(cid))
    data = store.get(cid)
    try:
        return _read(dag_cbor.decode(data))
    except VerificationError as error:
        raise VerificationError(error.problem, where=f"{cid_text(cid)} {error.where}".strip()) from error


def _read(node: Any) -> Ancestor:
    if isinstance(node, dict) and node.get("v") == UNVERIFIED_RECORD:
        return _unverified(node)
    record = Record.from_node(node)
    return Ancestor(tier=record.tier, output=record.output, parents=record.parents)


def _unverified(node: dict[str, Any]) -> Ancestor:
    """Read what the way needs; in a decoded node all `bytes` are links."""
    output, parents = node.get("output"), node.get("parents")
    if node.get("tier") != "unverified":
        raise VerificationError("tier must be 'unverified'", where=UNVERIFIED_RECORD)
    if not isinstance(output, bytes):
        raise VerificationError("output must be a link", where=UNVERIFIED_RECORD)
    named = parents if isinstance(parents, list) and all(isinstance(one, bytes) for one in parents) else None
    if named is None or named != sorted(set(named)) or len(named) > MAX_NODES:
        raise VerificationError(f"parents must be at most {MAX_NODES} ascending links", where=UNVERIFIED_RECORD)
    return Ancestor(tier="unverified", output=CID(output), parents=tuple(map(CID, named)))


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
            if isinstance(found, Ancestor):
                parents.update(found.parents)
            if generation or not isinstance(found, Ancestor):
                yield Step(cid=cid, generation=generation, found=found)
        level = sorted(parents - seen)
        seen.update(level)
        generation += 1


def _tried(store: BlockStore, cid: CID) -> Ancestor | BacalhauError:
    try:
        return load_ancestor(store, cid)
    except (UnavailableError, VerificationError) as error:
        return error

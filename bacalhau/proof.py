"""A record with everything that its audit reads, as one CAR: proof that can be checked offline by anyone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, Final

from storage.blocks import BlockStore
from storage.car import read_car, write_car
from storage.car_block_store import CarBlockStore
from storage.cid import CID
from storage.dag_walk import VisitKey, visit_key
from storage.errors import UserError, VerificationError
from storage.sqlite_block_store import SqliteBlockStore
from verifier.closure import visit_trees
from verifier.evidence import Evidence
from verifier.graph_reading import read_facts

_BLOCKS_PER_PUT: Final = 64
"""16 MiB of leaves in one transaction."""
_FIX: Final = "give a CAR made by `bacalhau get` or `bacalhau publish`"


def write_proof(store: BlockStore, record: CID, stream: BinaryIO) -> None:
    """Write the record's closure as a CAR whose root is the record; as `write_proofs`."""
    write_proofs(store, [record], stream)


def write_proofs(store: BlockStore, records: Sequence[CID], stream: BinaryIO) -> None:
    """Write the closures of records as a CAR whose roots they are. The same records give the same bytes.

    Raises:
        UnavailableError: a block of them is not here.
        VerificationError: a block is not what it should be.
    """
    write_car(stream, records, proof_blocks(store, *records))


def proof_blocks(store: BlockStore, *records: CID) -> Iterator[tuple[CID, bytes]]:
    """Yield the blocks of the closures of records, each once, the first record first.

    Raises:
        UnavailableError, VerificationError: as `write_proofs`.
    """
    written: set[VisitKey] = set()
    trees: dict[CID, None] = {}
    for record in records:
        evidence = Evidence(store=store, cid=record)
        for cid in dict.fromkeys(cid for cid, _ in evidence.nodes()):
            if _is_new(cid, written):
                yield cid, store.get(cid)
        trees.update(dict.fromkeys(evidence.trees()))
        # The audit looks for this task's inputs among what the parents gave.
        trees.update((read_facts(store, cid).output, None) for cid in evidence.record.parents)
    for visit in visit_trees(store, trees):
        if visit.error is not None:
            raise visit.error
        if _is_new(visit.cid, written):
            yield visit.cid, store.get(visit.cid)


def _is_new(cid: CID, written: set[VisitKey]) -> bool:
    """Note a block; one that is linked by CIDs of two versions is one block, and an audit refuses it twice."""
    key = visit_key(cid)
    is_new = key not in written
    written.add(key)
    return is_new


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedProof:
    """The blocks of a CAR, and nothing else."""

    store: BlockStore
    roots: tuple[CID, ...]
    damage: str
    """What is wrong with the file, from where on nothing of it was read; empty if nothing is."""


@contextmanager
def open_car(path: Path) -> Iterator[CarBlockStore]:
    """Read a CAR where it is, for an audit; what is wrong with it, the store says.

    Raises:
        UserError: the file cannot be read.
    """
    with _opened(path) as stream:
        if not stream.seekable():
            raise UserError("is no file that can be read twice", where=str(path), fix="save it first")
        yield CarBlockStore(stream)


@contextmanager
def open_proof(path: Path) -> Iterator[OpenedProof]:
    """Read a CAR into a store of its own, to which more can be put, and which is gone afterwards.

    Raises:
        UserError: the file cannot be read, or is no CAR.
    """
    with (
        _opened(path) as stream,
        TemporaryDirectory(prefix="bacalhau-car-") as folder,
        SqliteBlockStore(Path(folder) / "blocks.sqlite") as store,
    ):
        yield _read(stream, path, store)


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UserError(f"cannot be read: {reason}", where=str(path), fix=_FIX) from error


def _read(stream: BinaryIO, path: Path, store: SqliteBlockStore) -> OpenedProof:
    try:
        car = read_car(stream)
    except VerificationError as error:
        raise UserError(str(error), where=str(path), fix=_FIX) from error
    damage = ""
    try:
        while batch := list(islice(car.blocks, _BLOCKS_PER_PUT)):
            store.put_many(batch)
    except VerificationError as error:
        damage = f"{path.name}: {error}"
    return OpenedProof(store=store, roots=car.roots, damage=damage)

"""What a step of a flow takes: content that was there before, what other steps gave, and what is put together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from runtime.content_givers import ContentGivers
from runtime.flow_types import Content, Literal, Reference, Step, Tree
from runtime.flow_values import ValueReader
from runtime.mounts import check_places, nest
from storage.blocks import BlockStore
from storage.cid import CID
from storage.errors import UserError, VerificationError
from storage.unixfs_graft import finished_entry
from storage.unixfs_import import Importer
from storage.unixfs_read import UnixfsReader
from storage.unixfs_tree import TreeBuilder
from verifier.model import Volume


class Given(Protocol):
    """Content that a step takes, and where it comes from."""

    @property
    def cid(self) -> CID:
        """The content."""
        ...

    def records(self, taken: CID) -> set[CID]:
        """Return the records that `taken` comes from: the content, or a directory with some of what is in it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenLiteral:
    """Content that was there before the flow began."""

    cid: CID
    parents: frozenset[CID]
    """Records here whose outputs it is, or was taken from."""
    givers: ContentGivers | None = None
    """Tells which of them gave a part of it; None: there are none."""

    def records(self, taken: CID) -> set[CID]:
        """Return the same for all of it, or those that gave something of a part."""
        return set(self.parents) if taken == self.cid or self.givers is None else set(self.givers.of(taken))


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenValue:
    """Content that another step gave."""

    cid: CID
    path: str
    reader: ValueReader

    def records(self, taken: CID) -> set[CID]:
        """Return those of the tasks that it comes from."""
        return self.reader.records(self.path, taken)


Find: TypeAlias = Callable[[Literal | Reference], Given]
"""Returns a content that a step takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepInputs:
    """What a step takes."""

    data: Given | None
    """Of a map or reduce: the directory that is split."""
    volumes: tuple[Volume, ...]
    volume_records: frozenset[CID]
    """Records that the volumes come from."""


def find_step_inputs(step: Step, outputs: Sequence[str], find: Find, store: BlockStore) -> StepInputs:
    """Return what a step takes; directories that are put together are in `store` then.

    outputs: guest paths that are collected.

    Raises:
        UserError: a reference leads nowhere, or contents stand in each other's way.
        UnavailableError, VerificationError: content is not here or malformed.
    """
    data = None if step.data is None else _found(step, step.data, find, store)
    given = [(path, find(content)) for path, content in step.volumes]
    place = None if data is None else data_place(data.cid, store)
    try:
        check_places([path for path, _ in given], data=place, outputs=outputs)
        volumes = nest([Volume(path=path, cid=content.cid) for path, content in given], store)
    except UserError as error:
        problem = f"step {step.name}: {error.where}: {error.problem}"
        raise UserError(problem, where=step.at, fix=error.fix) from error
    records = frozenset(record for _, content in given for record in content.records(content.cid))
    return StepInputs(data=data, volumes=volumes, volume_records=records)


def data_place(data: CID, store: BlockStore) -> str:
    """Return the guest path at which data is found."""
    return "/inputs" if UnixfsReader(store).stat(data).kind == "directory" else "/inputs/data"


def _found(step: Step, content: Content, find: Find, store: BlockStore) -> Given:
    if not isinstance(content, Tree):
        return find(content)
    builder, parents = TreeBuilder(Importer(store)), set[CID]()
    for path, each in content.entries:
        given = find(each)
        parents |= given.records(given.cid)
        try:
            builder.add_entry(path, finished_entry(store, given.cid))
        except VerificationError as error:
            problem = f"step {step.name}: data: {error.where}: {error.problem}"
            raise UserError(problem, where=content.at, fix="give each content a plain path of its own") from error
    return given_literal(builder.finish().cid, parents, store)


def given_literal(cid: CID, parents: Iterable[CID], store: BlockStore) -> GivenLiteral:
    """Return content that comes from records; which parts of it come from which is looked up when it is split."""
    named = frozenset(parents)
    givers = ContentGivers(store, named, whole=cid) if named else None
    return GivenLiteral(cid=cid, parents=named, givers=givers)

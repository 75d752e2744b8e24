"""What steps gave: found by reference, and traced back to the records that it comes from.

The output of a step of several tasks is the directory of a job over shards: `shards/<i>/…` and, in one tree,
`outputs/…`. What lies below `shards/<i>` comes of task i; what lies below `outputs`, of the first task that wrote it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from runtime.flow_types import Reference
from storage.blocks import BlockStore
from storage.cid import CID
from storage.errors import UserError
from storage.unixfs_load import is_raw
from storage.unixfs_read import UnixfsReader

_SHARDS: Final = "shards"
_OUTPUTS: Final = "outputs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one verified task gave."""

    output: CID
    record: CID


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """What a step gave."""

    output: CID
    """Its output directory; of a step of several tasks, the one over what they gave."""
    parts: tuple[Part, ...]
    """One for each task whose output is in it, by number. With `is_merged`, `shards/<i>` is what part i gave."""
    is_merged: bool


@dataclass(slots=True)
class ValueReader:
    """Reads one value; lists the directories below `outputs` once, when somebody first takes a part of them."""

    value: Value
    store: BlockStore
    _writers: dict[CID, CID] | None = field(default=None, init=False)
    """Content below `outputs` -> the record of the first task that wrote it."""

    def find(self, reference: Reference) -> CID:
        """Return what a reference to this value names.

        Raises:
            UserError: it is not there, or a symlink.
            UnavailableError, VerificationError: a directory on the way is not here or malformed.
        """
        reader = UnixfsReader(self.store)
        try:
            found = reader.resolve(self.value.output, reference.path)
        except UserError as error:
            problem = f"{reference} is not there: step {reference.step} gave no {reference.path!r} ({error.problem})"
            fix = f"see what it gave with `bacalhau ls {error.where.partition('/')[0]}`"
            raise UserError(problem, where=reference.at, fix=fix) from error
        if reader.stat(found).kind == "symlink":
            problem = f"{reference} is a symlink to {reader.read_link(found)!r}"
            raise UserError(problem, where=reference.at, fix="name what it points to")
        return found

    def records(self, path: str, taken: CID) -> set[CID]:
        """Return the records that something comes from.

        taken: what is at a path of this value, or a directory with some of what is there, under the same names.

        Raises:
            UnavailableError, VerificationError: a directory is not here or malformed.
        """
        if not self.value.is_merged:
            return {part.record for part in self.value.parts}
        names = [name for name in path.split("/") if name]
        return set(self._records(UnixfsReader(self.store), names, taken))

    def _records(self, reader: UnixfsReader, names: list[str], taken: CID) -> Iterator[CID]:
        if taken == self.value.output and not names:
            yield from (part.record for part in self.value.parts)
        elif len(names) >= 2 and names[0] == _SHARDS:
            yield self.value.parts[int(names[1])].record
        elif names and names[0] == _OUTPUTS:
            yield from self._of_outputs(reader, taken)
        else:
            for name, link in reader.entries(taken):
                yield from self._records(reader, [*names, name], link.cid)

    def _of_outputs(self, reader: UnixfsReader, taken: CID) -> Iterator[CID]:
        """Yield the records of content below `outputs`; directories that several tasks share are in no one's output."""
        if self._writers is None:
            self._writers = dict(self._written(reader))
        todo, seen = [taken], {taken}
        while todo:
            cid = todo.pop()
            if cid in self._writers:
                yield self._writers[cid]
            elif not is_raw(cid) and reader.stat(cid).kind == "directory":
                fresh = [link.cid for _, link in reader.entries(cid) if link.cid not in seen]
                seen.update(fresh)
                todo += fresh

    def _written(self, reader: UnixfsReader) -> Iterator[tuple[CID, CID]]:
        seen: set[CID] = set()
        for part in self.value.parts:
            link = reader.find(part.output, _OUTPUTS)
            todo = [] if link is None else [link.cid]
            while todo:
                cid = todo.pop()
                if cid in seen:
                    continue
                seen.add(cid)
                yield cid, part.record
                if not is_raw(cid) and reader.stat(cid).kind == "directory":
                    todo += [below.cid for _, below in reader.entries(cid)]

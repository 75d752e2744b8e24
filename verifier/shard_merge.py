"""The output of a job over shards: every shard's own, and what all of them wrote in one tree.

    shards/<i>/…   the output of shard i, as its record names it
    outputs/…      the paths of all shards' outputs/, as far as they do not contradict each other

Two shards that wrote the same path do not contradict each other if both wrote the same content (the same CID), or if
both made a directory of it, which is then merged in turn. Anything else is a conflict: the path is in no merged tree,
every version stays in its shard, and the conflict is listed. Nothing is ever overwritten, and nobody's version wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from storage.blocks import BlockStore
from storage.cid import CID, cid_text
from storage.dag_pb import Link
from storage.errors import UserError, VerificationError
from storage.unixfs_graft import finished_entry
from storage.unixfs_import import Entry, Importer
from storage.unixfs_load import is_raw
from storage.unixfs_names import MAX_DEPTH
from storage.unixfs_read import UnixfsReader

MAX_ENTRIES: Final = 1 << 21
"""Entries of all directories that are merged name by name: what is in one shard alone is linked, not looked into."""
MAX_CONFLICTS: Final = 1000
"""Conflicts that are listed; all are counted."""
MAX_VERSIONS: Final = 8
"""Versions that are listed of one conflict."""


@dataclass(slots=True)
class MergeRoom:
    """How much may be looked at yet, of one merge or several: few blocks, linked many times, are a tree of any size."""

    left: int

    def spend(self, count: int) -> None:
        """Count what is looked at next.

        Raises:
            UserError: there is no room for it.
        """
        self.left -= count
        if self.left < 0:
            problem = f"shards have more than {MAX_ENTRIES} entries in directories that they share"
            fix = "let each write into a directory of its own, or pack small files together"
            raise UserError(problem, where="outputs", fix=fix)


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One of the contents that a path has."""

    cid: CID
    shard: int
    """The first shard that wrote it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """A path that shards gave different contents; it is not in the merged tree."""

    path: str
    """Below `outputs/`."""
    versions: tuple[Version, ...]
    """By shard; two at least."""
    has_more: bool
    """There are versions that are not listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """The output of a job."""

    output: CID
    conflicts: tuple[Conflict, ...]
    """By path, names by their UTF-8 bytes."""
    conflict_count: int
    numbers: frozenset[int] = frozenset()
    """Of the shards whose outputs are in it."""


@dataclass(slots=True)
class _Placed:
    """Content that all shards which have the path agree on so far."""

    link: Link
    shard: int


@dataclass(slots=True)
class _Directory:
    """Directories of several shards, merged."""

    children: dict[bytes, _Node] = field(default_factory=dict)
    versions: dict[CID, int] = field(default_factory=dict)
    """The first MAX_VERSIONS contents, each with its first shard; `has_more`: there are others."""
    has_more: bool = False


@dataclass(slots=True)
class _Clash:
    """Contents that contradict each other."""

    versions: dict[CID, int]
    has_more: bool


_Node: TypeAlias = _Placed | _Directory | _Clash


def merge_shards(store: BlockStore, outputs: Mapping[int, CID], room: MergeRoom | None = None) -> Merged:
    """Return the output of a job, its directories in `store`; the same for the same outputs in whatever order.

    outputs: of each shard that has one, by index; one without a directory `outputs` adds nothing to the merged tree.
    room: what this and other merges may look at together, None for one of its own.

    Raises:
        UserError: too many entries to merge.
        UnavailableError: a directory is not here.
        VerificationError: one is malformed, or too deep.
    """
    merge = _Merge(UnixfsReader(store), Importer(store), room or MergeRoom(MAX_ENTRIES))
    for shard in sorted(outputs):
        merge.add(shard, outputs[shard])
    # Once each: one output under many numbers is a small file, and a root of 2 MiB takes half a second.
    entries = {cid: finished_entry(store, cid) for cid in dict.fromkeys(outputs.values())}
    shards = {str(shard): entries[cid] for shard, cid in outputs.items()}
    return replace(merge.finish(shards), numbers=frozenset(outputs))


class _Merge:
    """One merge: shards are added in order."""

    def __init__(self, reader: UnixfsReader, importer: Importer, room: MergeRoom) -> None:
        self._reader = reader
        self._importer = importer
        self._root = _Directory()
        self._room = room
        self._conflicts: list[Conflict] = []
        self._conflict_count = 0

    def add(self, shard: int, output: CID) -> None:
        link = self._reader.find(output, "outputs")
        if link is None:
            return
        if not self._is_directory(link):
            raise VerificationError("'outputs' is not a directory", where=cid_text(output))
        self._fill(self._root, link.cid, shard, 1)

    def finish(self, shards: Mapping[str, Entry]) -> Merged:
        outputs = self._made(self._root, "")
        root = self._importer.directory({"outputs": outputs, "shards": self._importer.directory(shards)})
        return Merged(output=root.cid, conflicts=tuple(self._conflicts), conflict_count=self._conflict_count)

    def _fill(self, directory: _Directory, cid: CID, shard: int, depth: int) -> None:
        """Merge what is in a directory of one shard into a merged one."""
        if depth > MAX_DEPTH:
            raise VerificationError(f"outputs are more than {MAX_DEPTH} directories deep", where=cid_text(cid))
        if cid in directory.versions:
            return
        _note(directory, cid, shard)
        links = self._reader.listing(cid)
        self._room.spend(len(links))
        for link in links:
            there = directory.children.get(link.name)
            directory.children[link.name] = (
                _Placed(link, shard) if there is None else self._joined(there, link, shard, depth)
            )

    def _joined(self, there: _Node, link: Link, shard: int, depth: int) -> _Node:
        """Return what is at a path now that one more shard has it."""
        if isinstance(there, _Placed):
            if there.link.cid == link.cid:
                return there
            if not (self._is_directory(there.link) and self._is_directory(link)):
                return _Clash({there.link.cid: there.shard, link.cid: shard}, has_more=False)
            merged = _Directory()
            self._fill(merged, there.link.cid, there.shard, depth + 1)
            self._fill(merged, link.cid, shard, depth + 1)
            return merged
        if isinstance(there, _Directory):
            if self._is_directory(link):
                self._fill(there, link.cid, shard, depth + 1)
                return there
            # A conflict of the path itself: what was found below it does not matter any more.
            there = _Clash(there.versions, has_more=there.has_more)
        _note(there, link.cid, shard)
        return there

    def _made(self, directory: _Directory, prefix: str) -> Entry:
        entries: dict[str, Entry] = {}
        for key in sorted(directory.children):
            name, node = key.decode("utf-8"), directory.children[key]
            if isinstance(node, _Placed):
                entries[name] = Entry(cid=node.link.cid, size=0, tsize=node.link.tsize)
            elif isinstance(node, _Directory):
                entries[name] = self._made(node, f"{prefix}{name}/")
            else:
                self._list(prefix + name, node)
        return self._importer.directory(entries)

    def _list(self, path: str, clash: _Clash) -> None:
        self._conflict_count += 1
        if len(self._conflicts) < MAX_CONFLICTS:
            versions = tuple(Version(cid=cid, shard=shard) for cid, shard in clash.versions.items())
            self._conflicts.append(Conflict(path=path, versions=versions, has_more=clash.has_more))

    def _is_directory(self, link: Link) -> bool:
        return not is_raw(link.cid) and self._reader.stat(link.cid).kind == "directory"


def _note(node: _Directory | _Clash, cid: CID, shard: int) -> None:
    """Keep a version if there is room, or that there are more."""
    if len(node.versions) < MAX_VERSIONS:
        node.versions.setdefault(cid, shard)
    node.has_more |= cid not in node.versions

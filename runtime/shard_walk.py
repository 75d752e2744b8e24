"""Walk a UnixFS directory by a sharding pattern: opens the directories that can hold a pick, and never a file.

What an entry is, is read from its own root block, and only where the pattern has to know: of a raw leaf the CID tells
it. Memory: the listings of the directories that the walk stands in, which together are bounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from runtime.shard_match import ShardMatcher, State
from runtime.shard_pattern import ShardPattern
from storage.cid import CID, DAG_PB, cid_text, codec_of
from storage.dag_pb import Link
from storage.errors import UserError, VerificationError
from storage.unixfs_load import is_raw
from storage.unixfs_names import MAX_DEPTH
from storage.unixfs_read import UnixfsReader

MAX_HELD: Final = 1 << 21
"""Entries of all directories that the walk is in at once: twice what one may have, about 500 MB."""
MAX_LOOKED_AT: Final = 1 << 24
"""Entries of one walk; a few blocks linked many times could stand for 2**100 of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """One entry that a pattern picks."""

    path: str
    """From the base directory on; empty for the base directory itself."""
    cid: CID
    tsize: int
    """Bytes of its blocks, as the link to it claims; 0 for the base directory."""


def picks(reader: UnixfsReader, base: CID, pattern: ShardPattern) -> Iterator[Pick]:
    """Yield what a pattern picks below a directory; of a pick and what is below it, the pick alone.

    The order is that of archives and exports: names by their UTF-8 bytes, a directory's content in its place.

    Raises:
        UserError: `base` is not a directory.
        UnavailableError: a directory on the way, or the root block of something whose kind matters, is not here.
        VerificationError: one is malformed, an entry is not UnixFS, or the tree is too deep or too large.
    """
    _check_directory(reader, base)
    matcher = ShardMatcher(pattern)
    if matcher.start.picks_directories:
        yield Pick(path="", cid=base, tsize=0)
    elif matcher.start.goes_on:
        yield from _Walk(reader, base, matcher).run()


class _Walk:
    """One walk: its stack of open directories, and its bounds."""

    def __init__(self, reader: UnixfsReader, base: CID, matcher: ShardMatcher) -> None:
        self._reader = reader
        self._base = base
        self._matcher = matcher
        self._stack: list[tuple[str, State, list[Link]]] = []
        """Path with a slash behind it, state, and entries that are still to come, the next one last."""
        self._held = 0
        self._looked_at = 0

    def run(self) -> Iterator[Pick]:
        self._open("", self._matcher.start, self._base)
        while self._stack:
            prefix, state, links = self._stack[-1]
            if not links:
                self._stack.pop()
                continue
            link = links.pop()
            self._held -= 1
            name = link.name.decode("utf-8")
            below = self._matcher.step(state, name)
            if self._is_picked(below, link):
                yield Pick(path=prefix + name, cid=link.cid, tsize=link.tsize)
            elif below.goes_on and self._is_directory(link):
                self._open(f"{prefix}{name}/", below, link.cid)

    def _open(self, prefix: str, state: State, cid: CID) -> None:
        if len(self._stack) >= MAX_DEPTH:
            raise VerificationError(f"tree is more than {MAX_DEPTH} directories deep", where=cid_text(self._base))
        if state.names is None:
            links = self._reader.listing(cid)
        else:
            # Looked up one by one: in a sharded directory that reads one shard a level, whatever its size.
            found = (self._reader.find(cid, name) for name in state.names)
            links = [link for link in found if link is not None]
        links.reverse()
        self._held += len(links)
        self._looked_at += len(links)
        if self._held > MAX_HELD or self._looked_at > MAX_LOOKED_AT:
            bound = f"{MAX_HELD} entries in directories inside one another, or {MAX_LOOKED_AT} in all"
            raise VerificationError(f"tree has more than {bound}", where=cid_text(self._base))
        self._stack.append((prefix, state, links))

    def _is_picked(self, state: State, link: Link) -> bool:
        if state.picks_files and state.picks_directories:
            _check_codec(link.cid)
            return True
        if not (state.picks_files or state.picks_directories):
            return False
        return state.picks_directories if self._is_directory(link) else state.picks_files

    def _is_directory(self, link: Link) -> bool:
        _check_codec(link.cid)
        return not is_raw(link.cid) and self._reader.stat(link.cid).kind == "directory"


def _check_codec(cid: CID) -> None:
    if not is_raw(cid) and codec_of(cid) != DAG_PB:
        problem = f"is no file, directory or symlink: codec 0x{codec_of(cid):x}"
        raise VerificationError(problem, where=cid_text(cid))


def _check_directory(reader: UnixfsReader, base: CID) -> None:
    kind = reader.stat(base).kind
    if kind != "directory":
        fix = "give a directory to split, or leave the sharding flags out"
        raise UserError(f"is a {kind}: only a directory can be split into shards", where=cid_text(base), fix=fix)

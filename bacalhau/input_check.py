"""The check of `--require-verified` where a job is accepted: what its inputs come from, whatever the submitter says.

A submitter names the records that it knows its inputs to come from, and may leave one out. So what is filed here of
each input, and of what is in it, is looked at as well: content that only tainted records here gave is tainted. What
nobody here gave is a raw input, of which nothing is known and nothing claimed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from bacalhau.graph_view import producers_of
from bacalhau.taint_report import FLAG
from network.lineage_index import Filer
from network.lineage_store import LineageStore
from network.shard_list import ShardList, load_shards
from storage.blocks import BlockStore
from storage.cid import CID, cid_text, parse_cid
from storage.counting import counted
from storage.errors import BacalhauError, UnavailableError, VerificationError
from storage.unixfs_load import is_raw
from storage.unixfs_read import UnixfsReader
from verifier.audit_edges import EMPTY
from verifier.model import Input, Task, load_node, version_of
from verifier.taint import find_taint

MAX_LOOKED: Final = 20_000
"""Contents of the inputs of one job, the outer ones first; a few seconds. Of what is beyond, nothing can be told."""
_MOST: Final = 20
"""Records of one content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputCheck:
    """What was found."""

    is_verified: bool | None
    """None: it cannot be told."""
    parents: int
    """Records that the submitter named."""
    contents: int
    """Contents that were looked up here."""
    is_cut: bool
    """There are more than were looked up."""
    reason: str
    """Why it is not so, or cannot be told; empty if it is."""

    def to_json(self) -> dict[str, Any]:
        """Return the key `require_verified` of a report."""
        return {
            "ok": self.is_verified,
            "parents": self.parents,
            "contents": self.contents,
            "cut": self.is_cut,
            "reason": self.reason or None,
        }

    def refuse_unless_verified(self) -> None:
        """Refuse inputs that come from something unverified.

        Raises:
            VerificationError: they do. UnavailableError: it cannot be told.
        """
        if self.is_verified is False:
            fix = "leave the flag out, or make this input with a tier that is verified"
            raise VerificationError(f"an input is tainted: {self.reason}", where=FLAG, fix=fix)
        if self.is_verified is None:
            fix = "fetch it with `bacalhau fetch`, or leave the flag out"
            raise UnavailableError(f"whether an input is tainted cannot be told: {self.reason}", where=FLAG, fix=fix)


def contents_of(root: CID, store: BlockStore) -> list[CID]:
    """Return the data and the volumes of a task, or of what a list of shards splits.

    Raises:
        UnavailableError, VerificationError: they cannot be read.
    """
    split: CID | None = None
    if version_of(store, root) == ShardList.VERSION:
        listed, shards = load_shards(store, root)
        root, split = shards[0].task, parse_cid(listed.data)
    input_ = load_node(store, load_node(store, root, Task).input, Input)
    data = split or input_.data
    return [*([] if data is None else [data]), *(volume.cid for volume in input_.volumes)]


def check_inputs(
    contents: Iterable[CID], parents: Iterable[CID], store: BlockStore, lineage: LineageStore
) -> InputCheck:
    """Look at what inputs come from: at the records that are named, and at what is filed here of the contents.

    Raises:
        UnavailableError: what is filed here cannot be read.
    """
    named = frozenset(parents)
    taint = find_taint(store, named)
    Filer(store, lineage).catch_up()
    found = _look(contents, store, lineage)
    unknown = found.unknown or (
        f"more than {counted(found.looked, 'content')} are in the inputs" if found.is_cut else ""
    )
    is_verified = False if taint.is_tainted or found.tainted else None if taint.is_tainted is None or unknown else True
    return InputCheck(
        is_verified=is_verified,
        parents=len(named),
        contents=found.looked,
        is_cut=found.is_cut,
        reason=(taint.reason if taint.is_tainted else "") or found.tainted or taint.reason or unknown,
    )


@dataclass(slots=True)
class _Found:
    """What is filed here of contents."""

    looked: int = 0
    is_cut: bool = False
    tainted: str = ""
    """Which content only tainted records gave; empty if none is known."""
    unknown: str = ""
    """Which content no record gave that is known to be clean; the first one."""


def _look(contents: Iterable[CID], store: BlockStore, lineage: LineageStore) -> _Found:
    reader, found = UnixfsReader(store), _Found()
    level = list(dict.fromkeys(contents))
    seen = set(level)
    while level:
        below: list[CID] = []
        for cid in level:
            if found.looked == MAX_LOOKED:
                found.is_cut = True
                return found
            found.looked += 1
            gave = [] if cid in EMPTY else producers_of(cid, lineage, limit=_MOST)
            taints = [find_taint(store, [record]) for record in gave]
            if gave and all(taint.is_tainted for taint in taints):
                found.tainted = f"{cid_text(cid)} was given by tainted records alone: {taints[0].reason}"
                return found
            if gave and not any(taint.is_tainted is False for taint in taints):
                why = next(taint.reason for taint in taints if taint.is_tainted is None)
                found.unknown = found.unknown or f"{cid_text(cid)} was given by records of which it cannot: {why}"
            if not gave:
                fresh = dict.fromkeys(one for one in _entries(cid, reader) if one not in seen)
                seen.update(fresh)
                below += fresh
        level = below
    return found


def _entries(cid: CID, reader: UnixfsReader) -> list[CID]:
    try:
        if is_raw(cid) or reader.stat(cid).kind != "directory":
            return []
        return [link.cid for link in reader.listing(cid)]
    except BacalhauError:  # not here, or no UnixFS: whoever executes finds out
        return []

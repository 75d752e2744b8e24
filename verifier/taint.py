"""Taint: a record is tainted when it, or any record that its inputs come from, is of the tier "unverified".

It is derived by walking `parents`, and stored nowhere: what a record's block does not say cannot be left out of it by
whoever makes the next one. The walk is as good as the links: an output that went through a file on somebody's disk has
none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from storage.blocks import BlockStore
from storage.cid import CID, cid_text
from storage.counting import counted
from storage.errors import UnavailableError, VerificationError
from verifier.ancestry import walk_ancestors
from verifier.graph_reading import RecordFacts, read_facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Taint:
    """What a walk found, the nearest first."""

    unverified: tuple[CID, ...] = ()
    """Records of the tier "unverified"."""
    unknown: tuple[CID, ...] = ()
    """What could not be read: not here, or no record."""

    @property
    def is_tainted(self) -> bool | None:
        """True, False, or None where it cannot be told: unknown is never taken for clean."""
        if self.unverified:
            return True
        return None if self.unknown else False

    @property
    def reason(self) -> str:
        """Say why it is tainted or unknown, in words; empty if it is neither."""
        if self.unverified:
            return _said(self.unverified, "is of the tier unverified", "are of the tier unverified")
        if self.unknown:
            return _said(self.unknown, "cannot be read here", "cannot be read here")
        return ""


def find_taint(store: BlockStore, records: Iterable[CID]) -> Taint:
    """Look at records and all above them, as far as `walk_ancestors` goes; never raises for what the store holds."""
    roots = sorted(set(records))
    unverified = [cid for cid in roots if _is_unverified(store, cid)]
    unknown: list[CID] = []
    for step in walk_ancestors(store, roots):  # roots that cannot be read are steps
        if not isinstance(step.found, RecordFacts):
            unknown.append(step.cid)
        elif not step.found.is_verified:
            unverified.append(step.cid)
    return Taint(unverified=tuple(unverified), unknown=tuple(unknown))


def _is_unverified(store: BlockStore, cid: CID) -> bool:
    try:
        return not read_facts(store, cid).is_verified
    except (UnavailableError, VerificationError):
        return False  # a step of the walk


def _said(cids: tuple[CID, ...], one: str, many: str) -> str:
    if len(cids) == 1:
        return f"record {cid_text(cids[0])} {one}"
    return f"{counted(len(cids), 'record')}, the nearest {cid_text(cids[0])}, {many}"

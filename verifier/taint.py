"""Taint: a record is tainted when it, or any record that its inputs come from, is of the tier "unverified".

It is derived by walking `parents`, and stored nowhere: what a record's block does not say cannot be left out of it by
whoever makes the next one. The walk is as good as the links: an output that went through a file on somebody's disk has
none.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from storage.blocks import BlockStore
from storage.cid import CID, cid_text
from storage.errors import UnavailableError, VerificationError
from verifier.unverified_types import UnverifiedRecord, load_any_record

MAX_RECORDS: Final = 1 << 16
"""Looked at in one walk; what lies beyond is unknown. Records are read one by one, some 10,000 a second."""


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
    """Look at records and all above them; never raises for anything that the store holds or lacks."""
    unverified: list[CID] = []
    unknown: list[CID] = []
    pending = deque(dict.fromkeys(records))
    seen = set(pending)
    looked_at = 0
    while pending:
        cid = pending.popleft()
        looked_at += 1
        if looked_at > MAX_RECORDS:
            unknown.append(cid)
            break
        try:
            record = load_any_record(store, cid)
        except (UnavailableError, VerificationError):
            unknown.append(cid)
            continue
        if isinstance(record, UnverifiedRecord):
            unverified.append(cid)
        fresh = [parent for parent in record.parents if parent not in seen]
        seen.update(fresh)
        pending.extend(fresh)
    return Taint(unverified=tuple(unverified), unknown=tuple(unknown))


def _said(cids: tuple[CID, ...], one: str, many: str) -> str:
    if len(cids) == 1:
        return f"record {cid_text(cids[0])} {one}"
    return f"{len(cids)} records, the nearest {cid_text(cids[0])}, {many}"

"""What a record says of its place in the graph, whatever kind of record it is.

A `record/1` or an `unverified-record/1`, read strictly; that it is sound in itself is not claimed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from storage.blocks import BlockStore
from storage.cid import CID
from verifier.model import Record
from verifier.unverified_types import load_any_record

VERIFIED: Final = "verified"
UNVERIFIED: Final = "unverified"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFacts:
    """A record's place in the graph."""

    cid: CID
    tier: str
    """`verified` (a `record/1`) or `unverified`."""
    task: CID
    function: CID
    input: CID
    output: CID
    receipts: int
    dissent: int
    parents: tuple[CID, ...]

    @property
    def is_verified(self) -> bool:
        """Tell whether it claims to be verified; whether that is so, an audit says."""
        return self.tier == VERIFIED


def read_facts(store: BlockStore, cid: CID) -> RecordFacts:
    """Read a record's block.

    Raises:
        UnavailableError: it is not here.
        VerificationError: it is damaged, or no record.
    """
    record = load_any_record(store, cid)
    return RecordFacts(
        cid=cid,
        tier=VERIFIED if isinstance(record, Record) else UNVERIFIED,
        task=record.task,
        function=record.function,
        input=record.input,
        output=record.output,
        receipts=len(record.receipts) if isinstance(record, Record) else 0,
        dissent=len(record.dissent) if isinstance(record, Record) else 0,
        parents=record.parents,
    )

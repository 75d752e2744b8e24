"""Which of many records an auditor looks at, when not at all of them.

The choice follows from the auditor's seed, what is audited, and each record's CID, so that anybody repeats it; and who
made the records cannot steer it, as long as they were made before the seed was known. So a seed is drawn afresh for
each audit, told with the result, and never a constant. For each record

    rank = sha2-256("bacalhau-audit-sample/1" 0x00 seed subject record)

with the binary CIDs of what is audited and of the record; those of the lowest ranks are chosen, ceil(n * part) of n.
"""

from __future__ import annotations

import hashlib
import heapq
import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Final

from storage import dag_cbor
from storage.cid import CID, DAG_CBOR, make_cid
from storage.errors import UserError

DOMAIN: Final = b"bacalhau-audit-sample/1\0"
SEED_BYTES: Final = 32
_PERCENT: Final = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?)%", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """How much to look at, and by which seed."""

    part: Fraction
    """Above 0, at most 1."""
    seed: bytes
    """SEED_BYTES."""

    def choose(self, records: Iterable[CID], subject: CID) -> frozenset[CID]:
        """Return which of the records to look at; subject: what is audited, a record, a job's output."""
        unique = set(records)
        head = DOMAIN + self.seed + subject
        ranked = ((hashlib.sha256(head + record).digest(), record) for record in unique)
        return frozenset(record for _, record in heapq.nsmallest(ceil(len(unique) * self.part), ranked))

    def percent(self) -> str:
        """Return the part as it is written."""
        return f"{float(self.part * 100):.6f}".rstrip("0").rstrip(".") + "%"


def list_subject(records: Iterable[CID]) -> CID:
    """Return what stands for several records as the subject of a sample: the CID of the DAG-CBOR list of them."""
    return make_cid(DAG_CBOR, dag_cbor.encode(list(records)))


def parse_part(text: str) -> Fraction:
    """Read `5%`, `0.5%`, `100%`.

    Raises:
        UserError: another form, or not above 0 and at most 100.
    """
    match = _PERCENT.fullmatch(text)
    part = Fraction(match[1]) / 100 if match else Fraction(0)
    if not 0 < part <= 1:
        raise UserError("must be above 0% and at most 100%", where=repr(text), fix="write it like 5% or 0.5%")
    return part


def parse_seed(text: str) -> bytes:
    """Read a seed of 64 hex digits.

    Raises:
        UserError: it is none.
    """
    if not re.fullmatch("[0-9a-f]{64}", text):
        raise UserError("must be 64 lower-case hex digits", where=repr(text), fix="leave it out, and one is drawn")
    return bytes.fromhex(text)


def chance_of_missing(chosen: int, total: int, bad: int) -> float:
    """Return how likely a sample of `chosen` of `total` records has none of `bad` bad ones.

    The hypergeometric distribution at zero: C(total - bad, chosen) / C(total, chosen).
    """
    chance = 1.0
    for drawn in range(min(chosen, total)):
        good = total - bad - drawn
        if good <= 0:
            return 0.0
        chance *= good / (total - drawn)
    return chance

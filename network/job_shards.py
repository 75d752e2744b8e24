"""One shard of a finished job as a value and as a row of `shards`.

Everything that a report says of a shard is here, so that the job's own row stays small however many shards it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from storage.cid import CID, check_cid

MAX_FIRST_CHARACTERS: Final = 256
"""Of a path; what tells shards apart is their number."""
MAX_REASON_CHARACTERS: Final = 400
SHARD_COLUMNS: Final = "number, task, output, record, verdict, exit_code, first, picks, input, fuel, receipts, reason"
INSERT_SHARD: Final = (
    f"INSERT INTO shards(job, {SHARD_COLUMNS}) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT(job, number) DO NOTHING"
)
"""Adds one of `shard_row`, unless it is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobShard:
    """One shard of a finished job: a task with a verdict of its own."""

    number: int
    """From 0."""
    task: CID
    output: CID | None
    """None unless agreed, like `record` and `exit_code`."""
    record: CID | None
    verdict: str
    """Of its session, or `cached`."""
    exit_code: int | None
    first: str = ""
    """The path of its first pick, at most MAX_FIRST_CHARACTERS of it; empty if it is the base directory itself."""
    picks: int = 0
    input: CID | None = None
    fuel: int | None = None
    """None unless all agreeing receipts say the same."""
    receipts: int = 0
    """How many, those that dissent included."""
    reason: str = ""
    """Why it is not verified; empty if it is."""

    def __post_init__(self) -> None:
        if len(self.first) > MAX_FIRST_CHARACTERS or len(self.reason) > MAX_REASON_CHARACTERS:
            raise ValueError("a shard's texts are bounded")


def shard_row(job: str, one: JobShard) -> tuple[object, ...]:
    """Return a shard as the values of `INSERT_SHARD`."""
    named = (one.number, one.task, one.output, one.record, one.verdict, one.exit_code)
    return (job, *named, one.first, one.picks, one.input, one.fuel, one.receipts, one.reason)


def read_shard(row: Sequence[Any]) -> JobShard:
    """Return the shard of a row of `SHARD_COLUMNS`.

    Raises:
        VerificationError, ValueError, TypeError: it is damaged.
    """
    number, task, output, record, verdict, exit_code, first, picks, input_, fuel, receipts, reason = row
    return JobShard(
        number=number,
        task=check_cid(bytes(task)),
        output=optional_cid(output),
        record=optional_cid(record),
        verdict=verdict,
        exit_code=exit_code,
        first=first,
        picks=picks,
        input=optional_cid(input_),
        fuel=fuel,
        receipts=receipts,
        reason=reason,
    )


def optional_cid(value: bytes | None) -> CID | None:
    """Return the CID of a column that may be NULL.

    Raises:
        VerificationError: it is no CID.
    """
    return None if value is None else check_cid(bytes(value))

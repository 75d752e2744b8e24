"""What came of a shard, as the datastore keeps it until the job has ended: strict DAG-CBOR, one small entry each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from network.node.outcome import Outcome, as_outcome_now
from network.requester_entries import write
from storage import dag_cbor
from verifier.bounds import Count, ExitCode, Link
from verifier.schema import Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardEntry(Schema):
    """A shard that has ended; the blocks that its outcome names are in the store."""

    VERSION: ClassVar[str] = "shard-entry/3"
    """1 and 2 had outcomes of their times."""

    number: Count
    """From 0."""
    exit_code: ExitCode | None
    """As agreed; None without agreement."""
    record: Link | None
    """None without agreement, or if it could not be made."""
    outcome: Outcome

    @property
    def has_failed(self) -> bool:
        """Tell whether there is no agreed output, or the function itself failed; one given up has not."""
        return self.exit_code != 0 and not self.outcome.cancelled


def shards_of(job: str) -> str:
    """Return what the keys of a job's shards begin with."""
    return f"{job}/"


def shard_key(job: str, number: int) -> str:
    """Return where what came of a shard is kept: in the order of shards."""
    return f"{shards_of(job)}{number:06}"


def write_shard(entry: ShardEntry) -> bytes:
    """Return the bytes to keep."""
    return write(entry)


def read_shard(data: bytes) -> ShardEntry:
    """Return what was kept.

    Raises:
        VerificationError: the datastore holds something else.
    """
    node = dag_cbor.decode(data)
    if isinstance(node, dict) and node.get("v") in ("shard-entry/1", "shard-entry/2"):
        node = {**node, "outcome": as_outcome_now(node.get("outcome")), "v": ShardEntry.VERSION}
    return ShardEntry.from_node(node)

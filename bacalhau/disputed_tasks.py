"""What contradicts the tasks of a job over shards or a flow, as the report of a single run has it of its one task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from bacalhau.known_report import Before
from bacalhau.terminal_text import one_line
from network.job_shards import JobShard
from storage.blocks import BlockStore
from storage.counting import counted

MAX_LISTED: Final = 1000
"""Contradicting records of one report; all are counted."""
_SHOWN: Final = 20
"""Of those, lines for a person."""


def disputes_of(rows: Iterable[JobShard], before: Before, store: BlockStore) -> dict[str, Any]:
    """Return the keys `disputes` and `dispute_count` of a report: records of its tasks that have another output.

    Raises:
        UnavailableError: what was verified before cannot be read.
    """
    found: list[dict[str, Any]] = []
    count = 0
    for row in rows:
        for rival in before.disputes(row.task, row.output, store, own=row.record):
            count += 1
            if len(found) < MAX_LISTED:
                found.append({"index": row.number, "first": row.first, **rival})
    return {"disputes": found, "dispute_count": count}


def print_disputes(console: Console, report: Mapping[str, Any], *, of_flow: bool = False) -> None:
    """Name the records that say something else; a report of an earlier release has none."""
    listed = report.get("disputes", ())
    for one in listed[:_SHOWN]:
        which = f"task {one['first']}" if of_flow else f"shard {one['index']}"
        said = f"DISPUTED: {which}: record {one['record']} of the same task has another output, {one['output']}"
        console.print(Text(one_line(said), "bold red"))
    if len(listed) > _SHOWN:
        console.print(f"… {counted(report['dispute_count'], 'dispute')} in all; --json lists them")

"""What the functions of a job over shards wrote, shard by shard."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from bacalhau.output_texts import read_texts
from bacalhau.terminal_text import clean
from network.job_shards import JobShard
from storage.blocks import BlockStore
from storage.unixfs_read import UnixfsReader

MAX_LOG_CHARACTERS: Final = 16 << 20
"""Of all shards in one JSON object."""


def shard_logs(store: BlockStore, rows: Iterable[JobShard]) -> Iterator[dict[str, Any]]:
    """Yield `index`, `stdout`, `stderr` and `cut` of each shard that has an output; the texts as in a report.

    Raises:
        UnavailableError, VerificationError: an output is not here, or malformed.
    """
    reader = UnixfsReader(store)
    for row in rows:
        if row.output is not None:
            texts = read_texts(reader, row.output)
            said = {"stdout": texts.stdout, "stderr": texts.stderr}
            cut = [name for name, one in said.items() if one.is_cut]
            yield {"index": row.number, **{name: one.text() for name, one in said.items()}, "cut": cut}


def bounded_logs(logs: Iterable[dict[str, Any]]) -> tuple[list[dict[str, Any]], bool]:
    """Return the first logs, up to MAX_LOG_CHARACTERS, and whether there are more."""
    listed: list[dict[str, Any]] = []
    room = MAX_LOG_CHARACTERS
    for one in logs:
        room -= len(one["stdout"]) + len(one["stderr"])
        if room < 0:
            return listed, True
        listed.append(one)
    return listed, False


def prefixed(index: int, text: str) -> str:
    """Return a text fit for a terminal, each line behind the number of its shard."""
    return "\n".join(f"{index}: {line}" for line in clean(text).rstrip("\n").split("\n"))

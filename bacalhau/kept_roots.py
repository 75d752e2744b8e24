"""What a garbage collection keeps besides pins: everything that a job of this home, or a node on it, needs or names.

And what was verified here lately: a job that was killed takes it up where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from network.job_store import Job, JobStore
from network.node.datastore import KeptJob, Machine
from network.node.outcome import Outcome, read_outcome
from network.node.shard_entry import ShardEntry, read_shard
from network.node.sqlite_datastore import SqliteDatastore
from network.node.trust_entries import DISSENT, read_trust
from network.node_state import NodeEntry, Stage, read_node_entry
from network.requester_entries import read_prior
from network.requester_memory import PRIOR
from network.result_store import ResultStore
from storage.cid import CID, is_cid_text, parse_cid

_ALL: Final = -1
_LONGEST_CID_TEXT: Final = 256
"""Characters; output that happens to be a report's text is not searched."""


class JobRoots:
    """The CIDs that jobs keep; asked for again and again while a collection runs, and then as cheap as a number."""

    def __init__(
        self,
        jobs: JobStore,
        datastore: SqliteDatastore,
        results: ResultStore,
        *,
        since: float,
        published: Callable[[], Iterable[CID]] = tuple,
    ) -> None:
        """Make it of what is open on one file.

        since: results kept then or later stay, in seconds since 1970, UTC; published: the graphs that were made here
        or merged.
        """
        self._published = published
        self._jobs = jobs
        self._datastore = datastore
        self._results = results
        self._since = since
        self._version = -1
        self._roots: tuple[CID, ...] = ()

    def __call__(self) -> tuple[CID, ...]:
        """Return what finished jobs, jobs under way and executions for others need.

        The version is read before them: what is committed in between is found the next time.
        """
        version = self._datastore.version()
        if version != self._version:
            self._roots = tuple(dict.fromkeys(self._all()))
            self._version = version
        return self._roots

    def _all(self) -> Iterator[CID]:
        for job in self._jobs.newest(_ALL):
            yield from roots_of(job)
        yield from self._jobs.roots_of_shards()
        yield from self._results.since(self._since)
        yield from self._published()
        for kept in self._datastore.unfinished():
            yield from roots_under_way(kept)
        for value in self._datastore.entries_below(Machine.REQUESTER, f"{PRIOR}/").values():
            yield read_prior(value).record
        for value in self._datastore.entries(Machine.SETTLEMENT).values():
            yield from _roots_of_shard(read_shard(value))
        for dissent in read_trust(self._datastore.entries_below(Machine.TRUST, f"{DISSENT}/")).dissents.values():
            yield from (cid for cid in (dissent.record, dissent.receipt) if cid is not None)
        for key, value in self._datastore.entries(Machine.COMPUTE).items():
            if key.startswith("node/"):
                yield from roots_of_execution(read_node_entry(value))


def roots_of(job: Job) -> Iterator[CID]:
    """Yield what one finished job keeps; the output of a dissenting or lone receipt is named by the report alone."""
    yield from (job.function, job.input)
    yield from (cid for cid in (job.task, job.output, job.record) if cid is not None)
    yield from _named(job.report)


def roots_under_way(kept: KeptJob) -> Iterator[CID]:
    """Yield what a job keeps that was given to a node and has not ended."""
    yield kept.submission.root
    yield from kept.submission.parents
    if kept.outcome:
        yield from _roots_of_outcome(read_outcome(kept.outcome))


def _roots_of_shard(entry: ShardEntry) -> Iterator[CID]:
    yield from _roots_of_outcome(entry.outcome)
    if entry.record is not None:
        yield entry.record


def _roots_of_outcome(outcome: Outcome) -> Iterator[CID]:
    yield from outcome.receipts
    yield from (cid for cid in (outcome.output, outcome.commitments, outcome.known) if cid is not None)
    if outcome.before is not None:
        yield outcome.before.record


def roots_of_execution(entry: NodeEntry) -> Iterator[CID]:
    """Yield what an execution for somebody else keeps, until its requester says that it is over."""
    if entry.stage != Stage.ENDED.value:
        yield entry.task
        if entry.made is not None:
            yield entry.made.output


def _named(value: Any) -> Iterator[CID]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _named(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _named(inner)
    elif isinstance(value, str) and 40 < len(value) <= _LONGEST_CID_TEXT and is_cid_text(value):
        yield parse_cid(value)

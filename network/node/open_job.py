"""A job of this requester that has not ended: its tasks, and how many of them have. In memory alone.

Made anew from the datastore after a restart, and whenever something could not be kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from network.node.datastore import Submission
from network.node.shard_entry import ShardEntry
from runtime.content_givers import ContentGivers
from storage.blocks import BlockStore
from storage.cid import CID
from verifier.model import Input, Task, load_node


@dataclass(slots=True)
class Tally:
    """Shards that have ended, counted."""

    ended: set[int] = field(default_factory=set)
    """Their numbers."""
    agreed: int = 0
    cached: int = 0
    """Of those that agreed: verified before."""
    failed: int = 0
    """Without agreement, or with another exit code than 0."""

    def add(self, entry: ShardEntry) -> None:
        """Count a shard; once."""
        if entry.number not in self.ended:
            self.ended.add(entry.number)
            self.agreed += entry.record is not None
            self.cached += entry.outcome.session is None
            self.failed += entry.has_failed


@dataclass(slots=True, kw_only=True)
class OpenJob:
    """One job."""

    submission: Submission
    tasks: tuple[CID, ...]
    """By number of the shard; one for a job without shards."""
    tally: Tally = field(default_factory=Tally)
    is_begun: bool = True
    """The machine has it. A job over shards is on disk before: what is known of it is looked up first."""
    is_cancelled: bool = False
    is_given_up: bool = False
    resumes: bool = False
    """Nodes may go on from checkpoints of their own: nobody said otherwise, and there can be some."""
    givers: ContentGivers | None = None
    """Of a job over shards whose data is known to come from records."""

    @property
    def has_shards(self) -> bool:
        """Tell whether it is over shards."""
        return self.submission.shards is not None

    @property
    def has_too_many_failures(self) -> bool:
        """Tell whether it is to be given up."""
        most = self.submission.max_failures
        return most is not None and self.tally.failed > most

    def parents_of(self, task: CID, store: BlockStore) -> tuple[CID, ...]:
        """Return the records that the inputs of one of its tasks come from, by CID. Blocks.

        Raises:
            UnavailableError, VerificationError: the task cannot be read.
            UserError: what it comes from has too much in it to be looked into.
        """
        if self.givers is None:
            return self.submission.parents
        data = load_node(store, load_node(store, task, Task).input, Input).data
        gave = () if data is None else self.givers.of(data)
        return tuple(sorted({*self.submission.parents, *gave}))

    def count(self, entries: Iterable[ShardEntry]) -> None:
        """Count shards that have ended."""
        for entry in entries:
            self.tally.add(entry)

    def progress(self) -> Mapping[str, Any]:
        """Return the counts as the detail of an event."""
        tally = self.tally
        return {
            "ended": len(tally.ended),
            "of": len(self.tasks),
            "agreed": tally.agreed,
            "cached": tally.cached,
            "failed": tally.failed,
        }

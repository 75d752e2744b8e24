"""What a run says of records that were here before it: since when, and whether one of them says something else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from network.embedded import SessionResult
from network.known_results import outputs_of
from network.lineage_store import LineageStore
from network.result_store import Nodes, ResultStore
from storage.blocks import BlockStore
from storage.cid import CID, cid_text
from storage.errors import BacalhauError
from verifier.blindness import blind_nodes, load_rounds
from verifier.graph_reading import VERIFIED

_MOST: Final = 1000
"""Records of one task that are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What is known of tasks. Safe for several threads."""

    results: ResultStore
    lineage: LineageStore
    nodes: Nodes
    """Whose receipts count as known."""

    def records(self, task: CID) -> list[CID]:
        """Return the records of a task that were made here, the newest first."""
        return self.results.records(task, nodes=self.nodes)

    def told(self, task: CID, session: SessionResult, store: BlockStore) -> dict[str, Any]:
        """Return the keys of a report that are about what was known."""
        return {
            "known": self._known(task, session),
            "blind": _blind(session, store),
            "disputes": self.disputes(task, session.output, store, own=session.record),
        }

    def _known(self, task: CID, session: SessionResult) -> dict[str, Any] | None:
        """Return since when evidence of a session was known (ISO 8601), and how many receipts; None if none was."""
        if not session.from_before:
            return None
        asked = [session.record] if session.cached and session.record is not None else self.records(task)
        times = self._times(task, asked) or self._times(task, self.records(task))
        since = datetime.fromtimestamp(min(times), UTC).isoformat(timespec="seconds") if times else None
        return {"since": since, "receipts": session.from_before}

    def _times(self, task: CID, records: Iterable[CID]) -> list[float]:
        return [at for record in records if (at := self.results.kept_at(task, record)) is not None]

    def disputes(
        self, task: CID, output: CID | None, store: BlockStore, *, own: CID | None = None
    ) -> list[dict[str, str]]:
        """Return the records of a task, made here or merged, whose output is another than the one agreed now.

        output: None if nothing was agreed, which nothing contradicts; own: the record of it, which is not read again.
        """
        if output is None:
            return []
        rivals = outputs_of(task, [one for one in self.records(task) if one != own], store)
        for row in self.lineage.records("task", task, limit=_MOST):
            if row.tier == VERIFIED:
                rivals.setdefault(row.output, row.record)
        rivals.pop(output, None)
        return [{"record": cid_text(record), "output": cid_text(output)} for output, record in sorted(rivals.items())]


def _blind(session: SessionResult, store: BlockStore) -> int | None:
    """Return how many of those that agree had committed before any receipt was signed; None: a round is not here."""
    try:
        blind = blind_nodes(session.receipts, load_rounds(session.receipts, store))
    except BacalhauError:
        return None
    return sum(receipt.node in blind for receipt in session.receipts if receipt not in session.dissent)

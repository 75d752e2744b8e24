"""One task of many: answered by what is known of it, or else verified, and kept as soon as it is. Reads the clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from network.embedded import SessionResult
from network.known_results import find_known
from network.result_store import Nodes, ResultStore
from network.trust_terms import TrustTerms
from runtime.engine import Plan
from storage.sqlite_block_store import SqliteBlockStore
from verifier.model import Rule, Verdict

SESSIONS: Final = 2
"""Of one task, if hosts fail: the first has asked twice as many nodes as are needed already. Not after a split, since a
function that gives something else each time would do so once more, nor if a function failed, which is an outcome."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSession:
    """Verifies tasks; safe for several threads."""

    store: SqliteBlockStore
    results: ResultStore
    rule: Rule
    run: Callable[[Plan], SessionResult]
    """A session, mostly `run_embedded` with all its arguments."""
    terms: TrustTerms | None = None
    """What an answer has to reach besides."""
    asks_first: bool = True
    """Whether a result that is known is taken."""
    clock: Callable[[], float] = time.time
    """Seconds since 1970, UTC."""

    def __call__(self, plan: Plan) -> SessionResult:
        """Return what a task gave, now or before.

        Raises:
            UnavailableError: results cannot be read or kept. Whatever `run` raises.
        """
        known = self._known(plan) if self.asks_first else None
        if known is not None:
            return known
        session = self.run(plan)
        for _ in range(SESSIONS - 1):
            if session.verdict is Verdict.TOO_FEW:
                session = self.run(plan)
        if session.record is not None:
            self.results.add(plan.task, session.record, nodes=Nodes.EMBEDDED, at=self.clock())
        return session

    def _known(self, plan: Plan) -> SessionResult | None:
        records = self.results.records(plan.task, nodes=Nodes.EMBEDDED)
        return find_known(plan.task, self.rule, records, self.store, terms=self.terms)

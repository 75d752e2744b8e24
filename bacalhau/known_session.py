"""One task of many: answered by what is known of it, or else verified, and kept as soon as it is. Reads the clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

from network.embedded import SessionResult
from network.known_results import find_known, find_prior, with_parents
from network.result_store import Nodes, ResultStore
from network.session_state import Prior
from network.trust_terms import TrustTerms
from runtime.engine import Plan
from storage.cid import CID
from storage.sqlite_block_store import SqliteBlockStore
from verifier.model import Rule, Verdict

SESSIONS: Final = 2
"""Of one task, if hosts fail: the first has asked twice as many nodes as are needed already. Not after a split, since a
function that gives something else each time would do so once more, nor if a function failed, which is an outcome."""


class RunSession(Protocol):
    """Runs a session, mostly `run_embedded` with all its other arguments."""

    def __call__(self, plan: Plan, /, *, prior: Prior | None = None) -> SessionResult:
        """Return what it gave; prior: what it goes on from."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSession:
    """Verifies tasks; safe for several threads."""

    store: SqliteBlockStore
    results: ResultStore
    rule: Rule
    run: RunSession
    sessions: int = SESSIONS
    parents: tuple[CID, ...] = ()
    """Records whose outputs are inputs of the task: a known record is taken with those that it does not name yet."""
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
        prior: Prior | None = None
        if self.asks_first:
            records = self.results.records(plan.task, nodes=Nodes.EMBEDDED)
            known = find_known(plan.task, self.rule, records, self.store, terms=self.terms)
            if known is not None:
                return self._with_parents(plan, known)
            prior = find_prior(plan.task, records, self.store)
        session = self._run(plan, prior)
        for _ in range(self.sessions - 1):
            if session.verdict is Verdict.TOO_FEW:
                session = self._run(plan, prior)
        if session.record is not None:
            self.results.add(plan.task, session.record, nodes=Nodes.EMBEDDED, at=self.clock())
        return session

    def _run(self, plan: Plan, prior: Prior | None) -> SessionResult:
        return self.run(plan) if prior is None else self.run(plan, prior=prior)

    def _with_parents(self, plan: Plan, known: SessionResult) -> SessionResult:
        if known.record is None or not self.parents:
            return known
        record = with_parents(known.record, self.parents, self.store)
        if record != known.record:
            at = self.results.kept_at(plan.task, known.record)
            self.results.add(plan.task, record, nodes=Nodes.EMBEDDED, at=self.clock() if at is None else at)
        return replace(known, record=record)

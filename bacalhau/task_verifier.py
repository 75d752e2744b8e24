"""Verifies tasks on the embedded nodes, and keeps each result at once. For several threads at the same time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Lock

from bacalhau.known_session import KnownSession
from bacalhau.trust_report import terms_among_own, trusted_session
from network.embedded import SessionResult, run_embedded
from network.known_results import find_known
from network.result_store import Nodes, ResultStore
from runtime.engine import Engine, Plan, Progress, silent
from storage.cid import CID
from storage.sqlite_block_store import SqliteBlockStore
from storage.sqlite_pins import hold
from verifier.credibility import TrustGoal
from verifier.model import Rule


@dataclass(kw_only=True)
class TaskVerifier:
    """What has tasks verified: one rule, one set of engines, many tasks."""

    store: SqliteBlockStore
    results: ResultStore
    engines: tuple[Engine, ...]
    """Nodes take them in turn; none: nothing can be run, and what is known can be asked for."""
    keys_dir: Path
    rule: Rule
    trust: TrustGoal | None = None
    """How far answers are to be trusted besides."""
    is_cached: bool = True
    """Take what was verified here before."""
    progress: Progress = silent
    _turns: dict[CID, Lock] = field(default_factory=dict)
    _held: set[CID] = field(default_factory=set)

    def stop(self) -> None:
        """End what is under way."""
        for engine in self.engines:
            engine.stop()

    def known(self, plan: Plan) -> SessionResult | None:
        """Return what a task gave before, None if that is not known."""
        if not self.is_cached:
            return None
        self._hold(plan)
        records = self.results.records(plan.task, nodes=Nodes.EMBEDDED)
        return find_known(plan.task, self.rule, records, self.store, terms=terms_among_own(self.trust))

    def verify(
        self,
        plan: Plan,
        parents: tuple[CID, ...],
        rule: Rule | None = None,
        timed: Callable[[tuple[Engine, ...]], tuple[Engine, ...]] = tuple,
    ) -> SessionResult:
        """Return what a task gives: known, or run now.

        parents: records that its inputs come from; rule: instead of this verifier's; timed: makes of the engines those
        that tell of executions.

        Raises:
            UserError, UnavailableError: as `run_embedded` and `KnownSession`.
        """
        self._hold(plan)
        rule = rule or self.rule
        engine, *others = timed(self.engines)
        run = partial(
            run_embedded,
            engine=engine,
            other_engines=tuple(others),
            store=self.store,
            keys_dir=self.keys_dir,
            rule=rule,
            parallel=min(rule.replication, os.cpu_count() or 1),
            progress=self.progress,
            parents=parents,
            **trusted_session(self.trust),
        )
        session = KnownSession(
            store=self.store,
            results=self.results,
            rule=rule,
            run=run,
            terms=terms_among_own(self.trust),
            parents=parents,
            asks_first=self.is_cached,
        )
        with self._turn(plan.task):
            return session(plan)

    def _hold(self, plan: Plan) -> None:
        """Have garbage collections leave a task alone from now on; what one has taken before is noticed now."""
        # What tasks have in common is held by itself first, and then not walked again with each of them.
        for shared in (plan.function_cid, *(volume.cid for volume in plan.input.volumes)):
            if shared not in self._held:
                hold(self.store, shared)
                self._held.add(shared)
        hold(self.store, plan.task)

    @contextmanager
    def _turn(self, task: CID) -> Iterator[None]:
        """Let two callers with one task not run it at the same time: the second finds what the first gave."""
        with self._turns.setdefault(task, Lock()):
            yield

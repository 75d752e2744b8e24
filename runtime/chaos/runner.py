"""Carries out trials: makes the watched task of each, has an engine execute it, and reads what it gave."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from runtime.chaos.trial import Outcome, Request, Trial
from runtime.engine import Engine, Plan
from runtime.plan import make_plan
from runtime.watch.hash_seed import with_hash_seed
from runtime.watch.wrapping import REPORT_DIR, malformed_report, read_report, watched_plan
from storage.blocks import BlockStore
from storage.cid import cid_text
from storage.unixfs_graft import finished_entry
from storage.unixfs_import import Importer
from storage.unixfs_read import UnixfsReader
from storage.unixfs_tree import TreeBuilder

_LEDGER: Final = "ledger"
_MORE_FUEL: Final = 20
"""A watched run spends more than the function alone; nobody wants its limit to be what differs."""
_MOST_FUEL: Final = 1 << 53
MOST_PARTS: Final = 8
"""Entries of the input that are tried as shards."""


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs trials of one plan."""

    plan: Plan
    """With a seed: the one that would follow from the task would be another in every trial."""
    engines: Mapping[str, Engine]
    """By name; the usual one's is empty."""
    store: BlockStore
    """Takes what trials give; nothing of it is kept by them."""

    def __call__(self, trial: Trial) -> Outcome:
        """Run a trial.

        Raises:
            UndeterminedError: the host, not the function, failed.
        """
        plan = self._placed(trial)
        settings = trial.settings(f"{REPORT_DIR}/{_LEDGER}")
        watched = watched_plan(plan, settings, self.store, reports=trial.is_traced)
        execution = self.engines[trial.engine].execute(watched, self.store)
        lines = read_report(execution.output, self.store, _LEDGER) if trial.is_traced else []
        return Outcome(
            output=cid_text(execution.output),
            exit_code=execution.exit_code,
            state_digest=execution.state_digest,
            requests=tuple(map(_request, lines)),
        )

    def plain(self) -> Outcome:
        """Run the function as it is, without a watch."""
        execution = self.engines[""].execute(self.plan, self.store)
        output = cid_text(execution.output)
        return Outcome(output=output, exit_code=execution.exit_code, state_digest=execution.state_digest)

    def _placed(self, trial: Trial) -> Plan:
        given, function = self.plan.input, self.plan.function
        fuel = given.limits.fuel
        limits = replace(given.limits, fuel=None if fuel is None else min(fuel * _MORE_FUEL, _MOST_FUEL))
        data = given.data
        if trial.part and data is not None:
            tree = TreeBuilder(Importer(self.store))
            tree.add_entry(trial.part, finished_entry(self.store, UnixfsReader(self.store).resolve(data, trial.part)))
            data = tree.finish().cid
        given = replace(
            given,
            data=data,
            seed=trial.seed or given.seed,
            epoch=given.epoch if trial.epoch is None else trial.epoch,
            limits=limits,
        )
        if trial.hash_seed:
            function = replace(function, runtime=with_hash_seed(function.runtime, trial.hash_seed, self.store))
        return replace(self.plan, input=given, function=function)


def _request(entry: object) -> Request:
    match entry:
        case [str(kind), str(what), str(file), int(line)]:
            return Request(kind=kind, what=what, file=file, line=line)
        case _:
            raise malformed_report()


def seeded(plan: Plan, store: BlockStore) -> Plan:
    """Return the plan with a seed of its own, if it had none."""
    if plan.input.seed is not None:
        return plan
    seed = hashlib.sha256(b"bacalhau chaos\0" + plan.task).hexdigest()
    return make_plan(
        plan.function, replace(plan.input, seed=seed), plan.lock, store=store, wall_clock_s=plan.wall_clock_s
    )


def parts_of(plan: Plan, store: BlockStore) -> tuple[str, ...]:
    """Return names of entries of the input, if it is a directory with several."""
    reader = UnixfsReader(store)
    if plan.input.data is None or reader.stat(plan.input.data).kind != "directory":
        return ()
    names = tuple(name for name, _ in reader.entries(plan.input.data))
    return names[:MOST_PARTS] if len(names) > 1 else ()


def is_tree(plan: Plan, store: BlockStore) -> bool:
    """Tell whether the input is a directory."""
    return plan.input.data is not None and UnixfsReader(store).stat(plan.input.data).kind == "directory"

"""How far an audit goes: whether tasks are run again, whether parents are followed, and of how many records."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from runtime.engine import Engine, Progress
from runtime.fitness import KnowsRuntime
from storage.cid import CID
from verifier.audit_deep import sample_check
from verifier.audit_report import Check
from verifier.audit_sample import Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """How to run a task again; None in its place means not to."""

    engine: Engine
    knows_runtime: KnowsRuntime
    wall_clock_s: float
    progress: Progress
    max_memory: int | None = None
    """Bytes that the task may ask for; None: as many as runs get."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What was asked for besides the numbered checks of the record itself."""

    replay: Replay | None = None
    deep: bool = False
    """Audit the records that it comes from too."""
    sample: Sample | None = None
    """Of many records: with `replay` those that are run again, and the evidence of all is checked; without it those
    whose evidence is checked."""

    @property
    def is_evidence_sampled(self) -> bool:
        """Some records may be left out altogether, so that the verdict cannot be `valid`."""
        return self.sample is not None and self.replay is None


class Selection:
    """What a demand means for each of many records."""

    def __init__(self, demand: Demand, records: Iterable[CID], subject: CID) -> None:
        """Choose. subject: what the records are of."""
        population = frozenset(records)
        self._demand = demand
        self._chosen = population if demand.sample is None else demand.sample.choose(population, subject)
        self._of = len(population)

    def is_looked_at(self, record: CID) -> bool:
        """Tell whether the record's evidence is checked."""
        return record in self._chosen or not self._demand.is_evidence_sampled

    def replay_for(self, record: CID) -> Replay | None:
        """Return how to run the record's task again, None if it is not."""
        return self._demand.replay if record in self._chosen else None

    def checks(self) -> list[Check]:
        """Return check 18 where records may have been left out."""
        sample = self._demand.sample
        if sample is None or not self._demand.is_evidence_sampled:
            return []
        return [sample_check(sample, len(self._chosen), self._of)]

    def to_json(self) -> dict[str, Any] | None:
        """Return the object `sample` of docs/cli.md."""
        return sample_json(self._demand, len(self._chosen), self._of)


def sample_json(demand: Demand, chosen: int, total: int) -> dict[str, Any] | None:
    """Return what was chosen of how many, and the seed that repeats it; None if nothing was."""
    if demand.sample is None:
        return None
    return {
        "of": "records" if demand.is_evidence_sampled else "reruns",
        "part": demand.sample.percent(),
        "seed": demand.sample.seed.hex(),
        "chosen": chosen,
        "total": total,
    }

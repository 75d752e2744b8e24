"""What a machine has to run things with, as values; `machine_facts_client` finds it out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from runtime.planner.rules import Condition, Origin, Rule
from runtime.planner.stack import ISOLATIONS_OF, EngineName, Isolation, Machine


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFacts:
    """One engine on this machine."""

    engine: EngineName
    absent: str = ""
    """Why it cannot be used, as a clause; empty if it can."""
    fix: str = ""
    isolations: tuple[Isolation, ...] = ()
    """What it can be run in here, tried or made of layers that hold."""
    lacking: str = ""
    """Why it cannot be run in others, as far as that was found out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineFacts:
    """What was found out about this machine."""

    machine: Machine
    engines: tuple[EngineFacts, ...]
    """One for each of EngineName, in its order."""


def machine_rules(facts: MachineFacts) -> Iterator[Rule]:
    """Yield what the machine has not, one rule for each engine: a clash names engines, not layers."""
    for one in facts.engines:
        this = Condition(key="engine", values=frozenset({one.engine.value}))
        if one.absent:
            yield Rule(
                words=one.absent, origin=Origin.MACHINE, where="this machine", fix=one.fix, when=(this,), never=True
            )
        elif set(one.isolations) != set(ISOLATIONS_OF[one.engine]):
            names = ", ".join(one.isolations)
            reason = f": {one.lacking}" if one.lacking else ""
            had = Condition(key="isolation", values=frozenset(isolation.value for isolation in one.isolations))
            yield Rule(
                words=f"here {one.engine} runs under {names}, and nothing else{reason}",
                origin=Origin.MACHINE,
                where="this machine",
                fix=one.fix,
                when=(this,),
                then=(had,),
            )

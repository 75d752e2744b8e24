"""Whether the steps of a flow fit together, which of them targets need, and in which order they come. Pure."""

from __future__ import annotations

import difflib
import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from runtime.flow_types import Flow, Step
from storage.errors import UserError


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """Steps that are needed, in order: none comes before what it needs; else as they were written."""

    steps: tuple[Step, ...]
    needs: Mapping[str, tuple[str, ...]]
    """Names of the steps that each takes something of, none twice, in the order in which it names them."""
    targets: tuple[str, ...]
    """What was asked for, as it was asked for."""


def make_graph(flow: Flow, targets: Sequence[str] = ()) -> Graph:
    """Return what is to be done for some targets.

    targets: names of steps; none: every step that no other takes anything of.

    Raises:
        UserError: a step or target that is not there, or steps that need each other; of the whole flow, needed or not.
    """
    known = {step.name: step for step in flow.steps}
    needs = {step.name: _needs(step, known) for step in flow.steps}
    order = _ordered(flow, needs)
    for target in targets:
        if target not in known:
            raise UserError(f"{flow.name} has no such step", where=f"--target {target}", fix=_fix(target, known))
    if not targets:
        taken = {name for names in needs.values() for name in names}
        targets = [step.name for step in flow.steps if step.name not in taken]
    targets = tuple(dict.fromkeys(targets))
    needed = _needed(targets, needs)
    return Graph(
        steps=tuple(known[name] for name in order if name in needed),
        needs={name: needs[name] for name in order if name in needed},
        targets=targets,
    )


def _needs(step: Step, known: Mapping[str, Step]) -> tuple[str, ...]:
    for reference in step.references():
        if reference.step not in known:
            problem = f"step {step.name} takes {reference}, and there is no step {reference.step!r}"
            raise UserError(problem, where=reference.at, fix=_fix(reference.step, known))
    return tuple(dict.fromkeys(reference.step for reference in step.references()))


def _fix(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    return f"did you mean {close[0]!r}?" if close else "name a step of this flow"


def _ordered(flow: Flow, needs: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Return all names so that none comes before what it needs; of several that can, the one written first."""
    places = {step.name: place for place, step in enumerate(flow.steps)}
    waits = {name: len(names) for name, names in needs.items()}
    takers: dict[str, list[str]] = {name: [] for name in needs}
    for name, names in needs.items():
        for needed in names:
            takers[needed].append(name)
    ready = [places[name] for name, count in waits.items() if not count]
    heapq.heapify(ready)
    order = []
    while ready:
        name = flow.steps[heapq.heappop(ready)].name
        order.append(name)
        for taker in takers[name]:
            waits[taker] -= 1
            if not waits[taker]:
                heapq.heappush(ready, places[taker])
    if len(order) < len(needs):
        raise _cycle(flow, {name: names for name, names in needs.items() if waits[name]})
    return order


def _cycle(flow: Flow, needs: Mapping[str, tuple[str, ...]]) -> UserError:
    """Return the error that names one circle of steps; needs: of steps that are in one, or wait for one."""
    at, seen = next(iter(needs)), dict[str, int]()
    while at not in seen:
        seen[at] = len(seen)
        at = next(name for name in needs[at] if name in needs)
    circle = list(seen)[seen[at] :]
    # Told from the step that was written first on, so that the same flow always gives the same message.
    steps = {step.name: place for place, step in enumerate(flow.steps)}
    first = min(range(len(circle)), key=lambda index: steps[circle[index]])
    circle = circle[first:] + circle[:first]
    step = flow.steps[steps[circle[0]]]
    next_one = circle[1 % len(circle)]
    where = next(reference.at for reference in step.references() if reference.step == next_one)
    shown = [*circle, circle[0]] if len(circle) <= 8 else [*circle[:4], "…", *circle[-3:], circle[0]]
    problem = f"steps need each other: {' -> '.join(shown)}"
    return UserError(problem, where=where, fix="let one of them take something else")


def _needed(targets: Iterable[str], needs: Mapping[str, tuple[str, ...]]) -> set[str]:
    found, waiting = set(targets), list(targets)
    while waiting:
        fresh = [name for name in needs[waiting.pop()] if name not in found]
        found.update(fresh)
        waiting += fresh
    return found

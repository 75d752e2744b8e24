"""The experiment: vary one factor at a time, then those without effect together, then one line at a time.

Pure but for `run`, which carries out a trial; the same trial gives the same outcome.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from runtime.chaos.bisection import smallest
from runtime.chaos.factors import LAYOUT, Factor
from runtime.chaos.trial import Outcome, Request, Trial
from storage.counting import agrees, counted

MOST_LINES: Final = 64
"""Lines that are tried one by one; each is a run."""
Run = Callable[[Trial], Outcome]
Progress = Callable[[str], None]


class Badge(StrEnum):
    """What a function's output depends on beside its input data and arguments."""

    PURE = "pure"
    SEEDED = "seeded"
    """Seed and epoch, which are part of the task."""
    LEAKY = "leaky"
    """What is no part of the task, or only pinned by the runtime."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A request, and whether its answer reached the output."""

    request: Request
    reached: bool | None
    """None: not tried."""

    def to_json(self) -> dict[str, Any]:
        """Return the entry of `ledger`."""
        one = self.request
        file, line = one.file or None, one.line or None
        return {"kind": one.kind, "what": one.what, "file": file, "line": line, "reached": self.reached}


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What varying something did."""

    factors: tuple[str, ...]
    """More than one: only together."""
    about: str
    runs: int
    changed: bool | None
    """None: the output changed, but so it does with any other memory layout, and a trial lays memory out anew."""
    is_input: bool
    output: str | None
    """Of the first run that differed."""
    lines: tuple[str, ...]
    """`file:line` of the requests that carried it, or may have."""

    def to_json(self) -> dict[str, Any]:
        """Return the entry of `factors`."""
        names = {"factors": list(self.factors), "about": self.about, "runs": self.runs, "changed": self.changed}
        return {**names, "output": self.output, "lines": list(self.lines)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What the experiment showed."""

    badge: Badge
    baseline: Outcome
    effects: tuple[Effect, ...]
    ledger: tuple[Entry, ...]
    skipped: tuple[str, ...]
    """What was not varied, and why."""


def experiment(
    run: Run,
    factors: tuple[Factor, ...],
    *,
    progress: Progress,
    parts: tuple[str, ...] = (),
    skipped: tuple[str, ...] = (),
) -> Findings:
    """Carry out all trials. parts: entries of the input that are given alone, as shards would be.

    Raises:
        UndeterminedError: a run had no outcome.
    """
    lab = _Lab(run, progress)
    baseline = lab.run(Trial(), "as it is")
    requests = lab.run(Trial(is_traced=True), "writing down who asks for what").requests
    effects = _told_apart([lab.vary(factor) for factor in factors], factors, requests)
    quiet = tuple(factor for factor, effect in zip(factors, effects, strict=True) if effect.changed is False)
    if not any(effect.changed and LAYOUT in effect.factors for effect in effects):
        effects += lab.together(quiet)
    if len(parts) > 1:
        effects.append(lab.shards(parts))
    effects.append(lab.again())
    ledger, more = lab.ledger(requests, factors, effects)
    named = tuple(_with_lines(effect, factors, ledger) for effect in effects)
    return Findings(badge=badge_of(named), baseline=baseline, effects=named, ledger=ledger, skipped=(*skipped, *more))


def badge_of(effects: tuple[Effect, ...]) -> Badge:
    """Return the badge for effects."""
    changed = [effect for effect in effects if effect.changed]
    if not changed:
        return Badge.PURE
    return Badge.SEEDED if all(effect.is_input for effect in changed) else Badge.LEAKY


class _Lab:
    """Carries out trials, and compares them with the first."""

    def __init__(self, run: Run, progress: Progress) -> None:
        self._run = run
        self._progress = progress
        self._base: Outcome | None = None

    def run(self, trial: Trial, about: str) -> Outcome:
        self._progress(f"running: {about}")
        outcome = self._run(trial)
        self._base = self._base or outcome
        return outcome

    def differs(self, trial: Trial, about: str) -> Outcome | None:
        """Return the outcome if it has another output."""
        outcome = self.run(trial, about)
        return outcome if self._base is not None and outcome.output != self._base.output else None

    def vary(self, factor: Factor) -> Effect:
        """Vary one factor until something changes."""
        other, runs = None, 0
        for trial in factor.trials:
            runs += 1
            other = self.differs(trial, f"another {factor.name}")
            if other is not None:
                break
        return _effect((factor.name,), factor.about, runs, other, is_input=factor.is_input)

    def together(self, quiet: tuple[Factor, ...]) -> list[Effect]:
        """Vary what had no effect alone all at once, and find the smallest part of it that has one."""
        if len(quiet) < 2:
            return []
        outcomes: dict[tuple[str, ...], Outcome | None] = {}

        def differs(some: tuple[Factor, ...]) -> bool:
            names = tuple(factor.name for factor in some)
            trial = Trial()
            for factor in some:
                trial = trial.merged(factor.trials[-1])
            outcomes[names] = self.differs(trial, f"another {', '.join(names)}")
            return outcomes[names] is not None

        if not differs(quiet):
            return []
        some = smallest(quiet, differs)
        names = tuple(factor.name for factor in some)
        return [
            _effect(names, "only together", len(outcomes), outcomes[names], is_input=all(one.is_input for one in some))
        ]

    def shards(self, parts: tuple[str, ...]) -> Effect:
        """Give the entries of the input alone, in order and from the end, to the same workers."""
        first = {part: self.run(Trial(part=part), f"{part} alone").output for part in parts}
        later = {part: self.run(Trial(part=part), f"{part} alone, from the end") for part in reversed(parts)}
        other = next((later[part] for part in parts if later[part].output != first[part]), None)
        return _effect(("shard order",), "which shard a worker runs first", 2 * len(parts), other, is_input=False)

    def again(self) -> Effect:
        """Run it as it is once more, in a worker that has run all the others."""
        outcome = self.run(Trial(), "as it is, once more")
        base = self._base
        same = base is not None and (outcome.output, outcome.state_digest) == (base.output, base.state_digest)
        about = "the same once more, in a worker that was used: output and memory"
        return _effect(("repetition",), about, 1, None if same else outcome, is_input=False)

    def ledger(
        self, requests: tuple[Request, ...], factors: tuple[Factor, ...], effects: list[Effect]
    ) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
        """Try the requests of each line apart, where a factor that they carry has an effect."""
        changed = {name for effect in effects if effect.changed for name in effect.factors}
        carried = {kind for factor in factors if factor.name in changed for kind in factor.kinds}
        if LAYOUT in changed:  # every trial changes the output: whose answer did it?
            return _suspects(requests, carried), ()
        reached: dict[tuple[str, str, int], bool | None] = {}
        for one in requests:
            key = (one.kind, one.file, one.line)
            if key in reached:
                continue
            if one.kind not in carried:
                reached[key] = False
            elif sum(value is not None for value in reached.values()) >= MOST_LINES:
                reached[key] = None
            else:
                trial = Trial(vary=((one.kind, ((one.file, one.line),)),))
                reached[key] = self.differs(trial, f"another answer at {one.place}") is not None
        entries = tuple(Entry(request=one, reached=reached[one.kind, one.file, one.line]) for one in requests)
        untried = sum(value is None for value in reached.values())
        lines = f"{counted(untried, 'line')} {agrees(untried, 'was', 'were')} not tried one by one"
        return entries, (f"{lines}: {MOST_LINES} are the most",) if untried else ()


def _told_apart(effects: list[Effect], factors: tuple[Factor, ...], requests: tuple[Request, ...]) -> list[Effect]:
    """Where the output follows the memory layout, say no more of what lays memory out anew than can be known.

    A factor by which nobody could have been reached had no effect of its own; of others it is not known.
    """
    if not any(effect.changed and LAYOUT in effect.factors for effect in effects):
        return effects
    asked = {request.kind for request in requests}
    return [
        effect
        if not effect.changed or LAYOUT in effect.factors or factor.is_input
        else replace(effect, changed=None if asked & set(factor.kinds) else False, output=None)
        for effect, factor in zip(effects, factors, strict=True)
    ]


def _suspects(requests: tuple[Request, ...], carried: set[str]) -> tuple[Entry, ...]:
    """Return the ledger where lines cannot be tried apart: a line that is alone in asking has done it."""
    lines = {(one.file, one.line) for one in requests if one.kind in carried}
    reached = True if len(lines) == 1 else None
    return tuple(Entry(request=one, reached=reached if one.kind in carried else False) for one in requests)


def _effect(names: tuple[str, ...], about: str, runs: int, other: Outcome | None, *, is_input: bool) -> Effect:
    changed, output = other is not None, None if other is None else other.output
    return Effect(factors=names, about=about, runs=runs, changed=changed, is_input=is_input, output=output, lines=())


def _with_lines(effect: Effect, factors: tuple[Factor, ...], ledger: tuple[Entry, ...]) -> Effect:
    kinds = {kind for factor in factors if factor.name in effect.factors for kind in factor.kinds}
    places = {
        one.request.place for one in ledger if effect.changed and one.reached is not False and one.request.kind in kinds
    }
    return replace(effect, lines=tuple(sorted(places)))

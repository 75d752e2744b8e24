"""The text of bench/RESULTS.md: numbers as people read them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.comparison import Row, Spread, Unit
from bench.goals import MB, Measure, Outcome, Verdict

_HEAD = ("| what | ours | compared with | ratio |", "|---|---|---|---|")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What the numbers depend on."""

    machine: str
    versions: str
    rounds: int
    is_reduced: bool


def results_text(
    setting: Setting,
    rows: Sequence[Row],
    outcomes: Sequence[Outcome],
    sections: Sequence[str] = (),
    failures: Sequence[tuple[str, str]] = (),
) -> str:
    """Return the whole file, in Markdown; failures: measurements that broke off, each with the reason."""
    rounds = (
        "one round" if setting.rounds == 1 else f"medians of {setting.rounds} alternating rounds, range in brackets"
    )
    size = " Quick: rows so marked are of reduced size." if setting.is_reduced else ""
    about = (
        f"`make bench`; {setting.machine}; {setting.versions}; {rounds};"
        f" ratios are ours over the other, taken round by round.{size} Only ratios mean something:"
        " the machine is shared."
    )
    parts = ["# Benchmark", about, "## Goals", goals_text(outcomes), "## Rows", table(rows)]
    if failures:
        parts += ["## Broken off", "\n".join(f"- {name}: {reason}" for name, reason in failures)]
    parts += sections
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def table(rows: Sequence[Row]) -> str:
    """Return all rows as one table."""
    return "\n".join([*_HEAD, *(line for row in rows for line in row_lines(row))])


def row_lines(row: Row) -> list[str]:
    """Return a row as lines of a table, one for each side that ours is compared with."""
    name = f"**{row.name}**{' (reduced size)' if row.is_reduced else ''}{f': {row.note}' if row.note else ''}"
    label = "" if row.ours.name == "ours" else f"{row.ours.name}: "
    ours = f"{label}{spread_text(row.ours.spread(), row.unit)}"
    others = [
        (f"{side.name}: {spread_text(side.spread(), row.unit)}", ratio_text(row.ratio(side))) for side in row.sides[1:]
    ]
    others += [(f"{name}: {reason}", "") for name, reason in row.absent]
    lines = []
    for other, ratio in others or [("", "")]:
        lines.append(f"| {name} | {ours} | {other} | {ratio} |")
        name = ours = ""
    return lines


def goals_text(outcomes: Sequence[Outcome]) -> str:
    """Return the goals as a list."""
    return "\n".join(f"- {outcome_text(outcome)}" for outcome in outcomes)


def outcome_text(outcome: Outcome) -> str:
    """Return one goal, with what became of it."""
    goal = outcome.goal
    reduced = " at a reduced size" if outcome.is_reduced else ""
    value = "" if outcome.value is None else f" (measured: {_value_text(outcome.value, goal.measure)})"
    return f"{outcome.verdict.value}{reduced}: {goal.row}, {goal.text}{value}"


def summary(outcomes: Sequence[Outcome]) -> str:
    """Return one line that says which goals fail the run."""
    failing = [outcome for outcome in outcomes if outcome.fails]
    if not failing:
        return f"no goal of {len(outcomes)} failed"
    names = [f"{one.goal.row}: {one.goal.text}" for one in failing if one.verdict is Verdict.MISSED]
    unknown = [one.goal.row for one in failing if one.verdict is Verdict.NOT_MEASURED]
    parts = [f"missed: {'; '.join(names)}"] if names else []
    parts += [f"not measured: {'; '.join(unknown)}"] if unknown else []
    return ". ".join(parts)


def spread_text(spread: Spread, unit: Unit) -> str:
    """Return a median with its range; a range of one value is left out."""
    if spread.least == spread.most:
        return _text(spread.median, unit)
    return f"{_text(spread.median, unit)} ({_text(spread.least, unit)} to {_text(spread.most, unit)})"


def ratio_text(spread: Spread) -> str:
    """Return a ratio with its range, to three digits."""
    if spread.least == spread.most:
        return _digits(spread.median)
    return f"{_digits(spread.median)} ({_digits(spread.least)} to {_digits(spread.most)})"


def _value_text(value: float, measure: Measure) -> str:
    if measure is Measure.GROWTH:
        return f"{value / MB:+.0f} MB"
    return f"{_digits(value)} a second per core" if measure is Measure.PER_CORE else _digits(value)


def _text(value: float, unit: Unit) -> str:
    if unit is Unit.SECONDS:
        return f"{value:.2f} s" if value >= 1 else f"{_digits(value * 1000)} ms"
    if unit is Unit.PER_SECOND:
        return f"{_digits(value)} a second"
    return f"{value:.0f} MiB/s" if unit is Unit.MIB_PER_SECOND else f"{value / MB:.0f} MB"


def _digits(value: float) -> str:
    """Return three significant digits, without an exponent."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.3g}"

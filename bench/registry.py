"""All rows there are, by the names that `--only` takes, in the order of the report."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bench.cold_rows import cold, first
from bench.comparison import Row
from bench.goals import HOOKS, TINY, TRACES
from bench.instrumentation_table import instrumentation
from bench.programs import HELLO, JSON, PANDAS
from bench.reset_row import reset
from bench.size_rows import shards, stream
from bench.storage_rows import export_file, export_files, import_file, import_files
from bench.telemetry_rows import traces
from bench.tiny_rows import tiny
from bench.verified_rows import verified
from bench.warm_rows import warm
from bench.workplace import Workplace


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """Something that is measured together."""

    name: str
    rows: tuple[str, ...]
    """The names of the rows it gives, as goals name them."""
    measure: Callable[[Workplace], Row | tuple[Row, ...] | str | None]
    """Gives rows, a section of text, or None: not measured."""


def _one(row: str, measure: Callable[[Workplace], Row | None]) -> Measurement:
    return Measurement(name=row.replace(" ", "-"), rows=(row,), measure=measure)


MEASUREMENTS: tuple[Measurement, ...] = (
    _one("cold hello", lambda workplace: cold(workplace, "hello")),
    _one("cold pandas", lambda workplace: cold(workplace, "pandas")),
    _one("first run of hello", lambda workplace: first(workplace, "hello")),
    _one("first run of pandas", lambda workplace: first(workplace, "pandas")),
    _one("warm hello", lambda workplace: warm(workplace, "warm hello", HELLO)),
    _one("warm json", lambda workplace: warm(workplace, "warm json", JSON)),
    _one("warm pandas", lambda workplace: warm(workplace, "warm pandas", PANDAS)),
    _one("reset", reset),
    _one("verified hello", lambda workplace: verified(workplace, "verified hello", HELLO)),
    _one("verified pandas", lambda workplace: verified(workplace, "verified pandas", PANDAS)),
    _one("import of one file", import_file),
    _one("import of small files", import_files),
    _one("export of one file", export_file),
    _one("export of small files", export_files),
    Measurement(name="shards", rows=("time per shard",), measure=shards),
    Measurement(name="tiny-shards", rows=(TINY,), measure=tiny),
    Measurement(name="traces", rows=(TRACES, HOOKS), measure=traces),
    Measurement(
        name="stream",
        rows=("stream, time", "stream, memory of the worker", "stream, memory of the parent"),
        measure=stream,
    ),
    Measurement(name="instrumentation", rows=(), measure=instrumentation),
)


def choose(wanted: Iterable[str]) -> tuple[Measurement, ...]:
    """Return the measurements whose names begin with one of the wanted words; all if there are none.

    Raises:
        ValueError: a word that no name begins with.
    """
    words = tuple(wanted)
    for word in words:
        if not any(one.name.startswith(word) for one in MEASUREMENTS):
            raise ValueError(f"no row begins with {word!r}; there are {', '.join(one.name for one in MEASUREMENTS)}")
    return tuple(one for one in MEASUREMENTS if not words or one.name.startswith(words))

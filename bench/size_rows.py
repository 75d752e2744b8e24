"""Cost against size: of one task among many, and of an input that is read as a stream."""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from functools import partial
from typing import IO, cast

from bench.comparison import Contestant, Row, Side, Unit, take_turns
from bench.peak_memory import watch
from bench.processes import ProgramFailedError, running
from bench.programs import READ_STREAM, SHARD
from bench.scale import MB
from bench.workplace import CORES, Workplace, on_all_cores
from runtime.engine import Plan
from storage.cid import cid_text
from storage.unixfs_import import Importer

_LONGEST_S = 600.0
"""A job of shards that would take longer than this is not run."""
_REPEATED_BYTES = 8 << 20
"""Repeated to make a large input: its blocks repeat too, so the store keeps each once."""


def shards(workplace: Workplace) -> Row:
    """Seconds of one shard in jobs of more and more shards, each a task of a tiny function with its own input."""
    function = workplace.function(SHARD)
    numbers = itertools.count()
    absent: list[tuple[str, str]] = []
    with workplace.engine() as engine:

        def per_shard(count: int) -> float:
            plans = [workplace.with_input(function, SHARD, number) for number in itertools.islice(numbers, count)]
            begin = time.perf_counter()
            on_all_cores(lambda plan: workplace.execute(engine, plan), plans)
            return (time.perf_counter() - begin) / count

        per_shard(2 * CORES)  # starts the workers
        pace = per_shard(10 * CORES)
        counts = []
        for count in workplace.scale.shards:
            if pace * count <= _LONGEST_S:
                counts.append(count)
            else:
                absent.append((of_shards(count), f"would take {pace * count / 3600:.1f} h"))
        contestants = [
            Contestant(name=of_shards(count), measure=partial(per_shard, count)) for count in reversed(counts)
        ]
        sides = take_turns(workplace.scale.rounds, contestants, warm_up=False)
    return Row(
        name="time per shard",
        unit=Unit.SECONDS,
        sides=sides,
        absent=tuple(absent),
        is_reduced=workplace.scale.is_reduced,
        note="ours is the largest job",
    )


def of_shards(count: int) -> str:
    """Return the name of a job's side."""
    return f"of {count:,} shard{'s' if count > 1 else ''}"


def stream(workplace: Workplace) -> tuple[Row, ...]:
    """Seconds and peak memory of a function that reads inputs of more and more bytes."""
    function = workplace.function(READ_STREAM)
    sizes = sorted(workplace.scale.stream_bytes, reverse=True)
    plans = {size: _with_stream(workplace, function, size) for size in sizes}
    measured: dict[str, dict[str, list[float]]] = {}
    _measure(workplace, plans[sizes[-1]])  # fills the caches
    for _ in range(workplace.scale.rounds):
        for size in sizes:
            for quantity, value in _measure(workplace, plans[size]).items():
                measured.setdefault(quantity, {}).setdefault(of_input(size), []).append(value)
    note = f"a file that repeats {_REPEATED_BYTES >> 20} MiB of random bytes; ours is the largest"
    return tuple(
        Row(
            name=f"stream, {quantity}",
            unit=Unit.SECONDS if quantity == "time" else Unit.BYTES,
            sides=tuple(Side(name=name, values=tuple(values)) for name, values in by_size.items()),
            is_reduced=workplace.scale.is_reduced,
            note=note,
        )
        for quantity, by_size in measured.items()
    )


def of_input(size: int) -> str:
    """Return the name of an input's side."""
    return f"{size // MB:,} MB of input"


def _measure(workplace: Workplace, plan: Plan) -> dict[str, float]:
    """Execute in a process of its own; the worker is the largest of its descendants."""
    command = [sys.executable, "-m", "bench.stream_probe", str(workplace.home), cid_text(plan.task)]
    with running(command) as probe, watch(probe.pid) as peaks:
        line = cast("IO[bytes]", probe.stdout).readline()
        if not line:
            raise ProgramFailedError("the process that reads a stream ended")
        seconds, exit_code = json.loads(line)
        peaks.look(probe.pid)
        cast("IO[bytes]", probe.stdin).close()
        probe.wait()
    if exit_code != 0:
        raise ProgramFailedError(f"the function that reads a stream ended with exit code {exit_code}")
    return {"time": seconds, "memory of the worker": float(peaks.descendant), "memory of the parent": float(peaks.own)}


class Repeated:
    """A stream of some bytes again and again, up to a size."""

    def __init__(self, piece: bytes, size: int) -> None:
        self._piece = piece
        self._left = size

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, up to the end of the piece."""
        at = -self._left % len(self._piece)
        part = self._piece[at : at + min(size, self._left)]
        self._left -= len(part)
        return part


def _with_stream(workplace: Workplace, function: Plan, size: int) -> Plan:
    data = Importer(workplace.store).file(Repeated(os.urandom(_REPEATED_BYTES), size)).cid
    return workplace.with_data(function, data)

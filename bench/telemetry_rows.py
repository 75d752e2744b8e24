"""What traces cost: processor time of the same tiny shards on a devstack that sends them to a collector, and on one
that does not; and what the hooks take of a job where tracing is off.

Tiny shards have the most spans for the least work, five for three executions that take some milliseconds.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench.comparison import Contestant, Row, Side, Unit, take_turns
from bench.goals import HOOKS, JOB_S, OFF, TRACES
from bench.processes import ProgramFailedError, end_group
from bench.processor_time import below_s
from bench.programs import TINY_SHARD
from bench.tiny_rows import NODES, Inputs, devstack, measure, run_shards
from bench.workplace import Workplace, on_all_cores

SHARDS = 100
"""Of one turn."""
_CALLS = 2_000


def traces(workplace: Workplace) -> tuple[Row, Row]:
    """Processor seconds of a tiny shard with traces, and without; and of the hooks where they are off."""
    inputs = Inputs(workplace.home)
    with _collector() as endpoint, devstack(workplace, {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}) as on:
        with devstack(workplace) as off:
            for stack in (on, off):
                run_shards(stack, inputs.folder(20))  # starts workers

            # Workers do the same with traces and without, and would add the chance of one that was started anew.
            workers_s = _workers_s(workplace)

            def of(stack: dict[str, Any]) -> float:
                spent = measure(stack, inputs.folder(SHARDS), SHARDS)
                return spent.nodes + spent.requester + workers_s

            sides = take_turns(
                workplace.scale.rounds,
                (Contestant(name="ours", measure=lambda: of(on)), Contestant(name=OFF, measure=lambda: of(off))),
                warm_up=False,
            )
        if not _received(endpoint):
            raise ProgramFailedError("the collector got no spans, so what was measured is nothing")
    hooks = tuple(_hooks_s() for _ in range(workplace.scale.rounds))
    return (
        Row(name=TRACES, unit=Unit.SECONDS, sides=sides, is_reduced=workplace.scale.is_reduced,
            note=f"processor time; {SHARDS} shards a turn, each on {NODES} nodes of a devstack; workers measured once"),
        Row(name=HOOKS, unit=Unit.SECONDS,
            sides=(Side(name="ours", values=hooks), Side(name=JOB_S, values=sides[1].values)),
            is_reduced=workplace.scale.is_reduced, note="processor time of all hooks of a job that runs here"),
    )  # fmt: skip


def _workers_s(workplace: Workplace) -> float:
    """Return the processor seconds of the workers of a shard, one on each node."""
    function = workplace.function(TINY_SHARD)
    plans = [workplace.with_input(function, TINY_SHARD, number) for number in range(SHARDS)]
    with workplace.engine() as engine:
        on_all_cores(lambda plan: workplace.execute(engine, plan), plans[:20])
        before = below_s(os.getpid())
        on_all_cores(lambda plan: workplace.execute(engine, plan), plans)
        return NODES * (below_s(os.getpid()) - before) / SHARDS


def _hooks_s() -> float:
    """Return the processor seconds of what a job calls for its spans where tracing is off."""
    from bacalhau.progress import Display
    from bacalhau.run_spans import run_tracing

    display = Display(step=lambda _phrase: None, transfer=lambda _what, _done, _total: None)
    report = {"verdict": "agreed", "record": None}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    began = time.process_time()
    for _ in range(_CALLS):
        with run_tracing(environment) as tracing:
            traced = tracing.begin()
            traced.watched(display)
            traced.prepared("")
            traced.timed(())
            traced.ended(report, 0.0)
    return (time.process_time() - began) / _CALLS


@contextmanager
def _collector() -> Iterator[str]:
    """Run what takes spans in a process of its own, whose time does not count; give its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.trace_collector"], stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        line = b"" if process.stdout is None else process.stdout.readline()
        if not line:
            raise ProgramFailedError("the collector did not start")
        yield line.decode().strip()
    finally:
        end_group(process)
        if process.stdout is not None:
            process.stdout.close()


def _received(endpoint: str) -> int:
    """Return the bytes of spans that a collector got."""
    with urllib.request.urlopen(endpoint) as answer:  # noqa: S310  our own address
        return int(answer.read())

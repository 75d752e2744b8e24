"""`python -m tests.adversary.simulator`: many seeds on all cores, or one with its trace."""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
from concurrent.futures import ProcessPoolExecutor

from tests.adversary.simulator.scenario import story
from tests.adversary.simulator.world import ViolationError

CHUNK = 200


def main() -> int:
    parser = argparse.ArgumentParser(prog="simulate", description="Run the protocol under faults and bad actors.")
    parser.add_argument("--seed", type=int, help="replay this one, with its trace")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()
    return replay(options.seed) if options.seed is not None else sweep(options.start, options.count, options.jobs)


def replay(seed: int) -> int:
    try:
        told = story(seed, trace=print).run()
    except Exception:  # noqa: BLE001  whatever a machine raises is a finding
        traceback.print_exc()
        return 1
    print(f"seed {seed}: held; {told.world.events} events, {told.world.now_s:.1f} virtual seconds")
    return 0


def failure_of(seed: int) -> str:
    """Return what seed `seed` violates, empty if all holds. A machine that raises is a violation as well."""
    try:
        story(seed).run()
    except ViolationError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001  whatever a machine raises is a finding
        return f"{type(error).__name__}: {error}"
    return ""


def failures(seeds: range) -> list[tuple[int, str]]:
    return [(seed, problem) for seed in seeds if (problem := failure_of(seed))]


def sweep(start: int, count: int, jobs: int) -> int:
    began = time.monotonic()
    chunks = [range(at, min(at + CHUNK, start + count)) for at in range(start, start + count, CHUNK)]
    found, done = [], 0
    with ProcessPoolExecutor(jobs) as pool:
        for chunk, problems in zip(chunks, pool.map(failures, chunks), strict=True):
            done += len(chunk)
            for seed, problem in problems:
                print(f"seed {seed}: {problem}; replay it with `make simulate SEED={seed}`", flush=True)
            found += problems
            if done % 10_000 < CHUNK:
                print(f"{done} seeds, {len(found)} failed", file=sys.stderr, flush=True)
    print(f"{done} seeds in {time.monotonic() - began:.0f} s: {len(found)} failed")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

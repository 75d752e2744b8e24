"""One execution in a process of its own, so that its peak memory is its own: `python -m bench.stream_probe HOME TASK`.

Prints the seconds of the execution and the exit code, then waits for a line on its input before the engine is stopped,
so that the memory of everything can be read before it ends.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from runtime.plan import plan_of_task
from runtime.pyodide_engine import PyodideEngine
from storage.cid import parse_cid
from storage.sqlite_block_store import SqliteBlockStore


def main() -> None:
    """Execute the task."""
    home = Path(sys.argv[1])
    with SqliteBlockStore(home / "blocks.sqlite") as store:
        plan = plan_of_task(parse_cid(sys.argv[2]), store, 3600.0)
        engine = PyodideEngine(runtimes_dir=home / "runtimes", wheels_dir=home / "wheels")
        try:
            begin = time.perf_counter()
            execution = engine.execute(plan, store)
            print(json.dumps([time.perf_counter() - begin, execution.exit_code]), flush=True)
            sys.stdin.readline()
        finally:
            engine.stop()


if __name__ == "__main__":
    main()

"""Run by the native Python, never imported: calls a function in a fresh process for each call.

Usage: python native_pool.py SOURCE CORES; reads lines of JSON, [[arguments, path of the data or null], …], and answers
each with a line of the results.
"""

from __future__ import annotations

import io
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any


def call(source: str, arguments: dict[str, Any], data: str | None) -> Any:
    """Load the function and call it, as its first and only caller in this process."""
    names: dict[str, Any] = {"__name__": "function"}
    exec(compile(Path(source).read_text("utf-8"), "function.py", "exec"), names)  # noqa: S102  our own program
    return names["main"](io.BytesIO(b"" if data is None else Path(data).read_bytes()), **arguments)


def main() -> None:
    """Answer lines until there are none."""
    source, cores = sys.argv[1], int(sys.argv[2])
    with ProcessPoolExecutor(cores, max_tasks_per_child=1) as pool:
        for line in sys.stdin:
            futures = [pool.submit(call, source, arguments, data) for arguments, data in json.loads(line)]
            print(json.dumps([future.result() for future in futures]), flush=True)


if __name__ == "__main__":
    main()

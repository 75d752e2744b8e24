"""A flow of 500 steps in the real Node, ended by SIGKILL on the way: what was finished is not run again."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
STEPS = 500
WIDTH = 20
"""Steps that can run side by side: each takes what two of the row above gave."""


def write_flow(folder: Path) -> Path:
    (folder / "function.py").write_text(
        "import os\n\n\ndef main(data, n=0):\n"
        '    texts = [open(f"/inputs/{name}").read() for name in sorted(os.listdir("/inputs"))] if n >= 20 else []\n'
        "    return str(n + sum(map(int, texts)) % 1000)\n"
    )
    lines = ["flow: 1", "steps:"]
    for number in range(STEPS):
        lines += [f"  s{number}:", "    function: ./function.py", f"    args: {{n: {number}}}"]
        if number >= WIDTH:
            above = number - WIDTH
            beside = above - above % WIDTH + (above + 1) % WIDTH
            lines += ["    data:", f"      left: ${{s{above}/result}}", f"      right: ${{s{beside}/result}}"]
    flow = folder / "flow.yaml"
    flow.write_text("\n".join(lines) + "\n")
    return flow


def start(flow: Path, home: Path, stderr: int | None = subprocess.PIPE) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "bacalhau", "run", "flow", str(flow), "--json", "--concurrency", "2"]
    environment = {**os.environ, "BACALHAU_DIR": str(home), "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, env=environment)


def verified(home: Path) -> list[bytes]:
    """Return the tasks of all records that were kept, one for each record."""
    with sqlite3.connect(home / "datastore.sqlite") as connection:
        return [bytes(row[0]) for row in connection.execute("SELECT task FROM results")]


@pytest.mark.slow("takes minutes")
def test_a_flow_of_500_steps_goes_on_where_kill_9_has_ended_it(tmp_path: Path) -> None:
    flow, home = write_flow(tmp_path), tmp_path / "home"
    began = time.perf_counter()
    with start(flow, home) as process:
        assert process.stderr is not None
        said = 0
        while said < 200:
            line = process.stderr.readline()
            assert line, "the flow ended before it was killed"
            said += b" done" in line
        process.send_signal(signal.SIGKILL)
        process.stderr.read()
    killed = time.perf_counter()
    finished = verified(home)
    # What was told to be done was kept before it was told.
    assert len(finished) == len(set(finished)) >= 200

    with start(flow, home, stderr=None) as process:
        out, _ = process.communicate()
    ended = time.perf_counter()
    report = json.loads(out)
    assert (process.returncode, report["verdict"], report["exit_code"]) == (0, "agreed", 0)
    assert [step["state"] for step in report["steps"]] == ["done"] * STEPS
    assert sum(step["cached"] for step in report["steps"]) == len(finished)
    # A step that ran twice would have two records: each names its own receipts.
    every = verified(home)
    assert len(every) == len(set(every)) == STEPS
    took = f"{killed - began:.0f} s, killed; the rest in {ended - killed:.0f} s"
    print(f"{len(finished)} steps in {took}: {report['timings']}")

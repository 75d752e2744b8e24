"""A flow that is ended by SIGKILL goes on where it was: no step that was finished runs again."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from bacalhau.home import Home
from network.result_store import ResultStore

ROOT = Path(__file__).parents[3]
PROGRAM = Path(__file__).with_name("flow_until_killed.py")
STEPS = 12


def write_flow(folder):
    (folder / "f.py").write_text("def main(data, n=0):\n    pass\n")
    lines = ["flow: 1", "steps:"]
    for number in range(STEPS):
        lines += [f"  s{number}:", "    function: f.py", f"    args: {{n: {number}, mark: '{number}.'}}"]
        lines += [f"    data: ${{s{number - 2}/result}}"] if number >= 2 else []
    (folder / "flow.yaml").write_text("\n".join(lines) + "\n")
    return folder / "flow.yaml"


def start(home, flow, log, stop_at):
    command = [sys.executable, "-m", "tests.unit.bacalhau.flow_until_killed", home, flow, log, str(stop_at)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT)


def kept(home):
    with ResultStore(Home(home).datastore_path) as results:
        return len(results.since(0))


@pytest.mark.parametrize("stop_at", [1, 7])
def test_a_flow_goes_on_where_kill_9_has_ended_it(tmp_path, stop_at):
    flow, home, log = write_flow(tmp_path), tmp_path / "home", tmp_path / "log"
    with start(home, flow, log, stop_at) as process:
        said = process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    assert said == "at the barrier\n"
    assert process.returncode == -signal.SIGKILL
    finished = kept(home)
    assert stop_at - 1 <= finished <= stop_at
    before = Counter(log.read_text().split())

    with start(home, flow, log, STEPS + 1) as process:
        report = json.loads(process.stdout.readline())
    assert (process.returncode, report["verdict"]) == (0, "agreed")
    assert [step["state"] for step in report["steps"]] == ["done"] * STEPS
    assert sum(step["cached"] for step in report["steps"]) == finished == STEPS - (kept(home) - finished)
    every = Counter(log.read_text().split())
    for row in report["shards"]:
        runs = every[row["task"]] - before[row["task"]]
        assert runs == (0 if row["verdict"] == "cached" else 2)
    assert len(every) == STEPS

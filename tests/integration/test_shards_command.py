"""A job over shards on the command line, for real: killed and continued, equal to the unsharded run, run again in part.

200 files in 10 shards; 10,000 in 100 with BACALHAU_SLOW_TESTS=1.
"""

import json
import os
import signal
import subprocess

import pytest

from tests.integration.stack_world import bacalhau, command, environment, run
from tests.integration.test_shards import COUNT_WORDS

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("devstack")]

FILES, BATCH = (10_000, 100) if os.environ.get("BACALHAU_SLOW_TESTS") == "1" else (200, 20)
TWO = ("--concurrency", 2, "--confidence", 2)


def outputs_of(home, cid):
    lines = bacalhau(home, "ls", cid, "--json").stdout.splitlines()
    return next(one["cid"] for one in map(json.loads, lines) if one["name"] == "outputs")


def kill_after_two_shards(home, arguments):
    """Run a job until two of its shards are verified and kept, and kill it."""
    process = subprocess.Popen(
        command("run", "python", *arguments), env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with process:
        said = []
        for line in process.stderr:
            said.append(line.decode())
            if "2 shards done" in said[-1]:
                process.send_signal(signal.SIGKILL)
                break
        process.stderr.read()
    assert process.returncode == -signal.SIGKILL, said


def test_a_killed_job_goes_on_and_gives_what_the_unsharded_run_gives(stack_home, tmp_path):
    folder = tmp_path / "in"
    for number in range(FILES):
        path = folder / f"{number % 70}" / f"{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("word " * (number % 13))
    function = tmp_path / "function.py"
    function.write_text(COUNT_WORDS)
    split = ("--sharding-glob-pattern", "/**/*.txt", "--sharding-batch-size", BATCH)
    arguments = (function, "-i", folder, *split, *TWO)
    jobs = bacalhau(stack_home, "list", "--json").stdout

    kill_after_two_shards(stack_home, arguments)
    assert bacalhau(stack_home, "list", "--json").stdout == jobs
    first = run(stack_home, *arguments)
    assert (first["verdict"], first["tier"], first["exit_code"]) == ("agreed", "verified", 0)
    assert (len(first["shards"]), first["conflicts"]) == (FILES // BATCH, [])
    assert 2 <= first["sharding"]["cached"] < FILES // BATCH
    assert bacalhau(stack_home, "audit", first["job"]).returncode == 0

    whole = run(stack_home, function, "-i", folder, "--concurrency", 1, "--confidence", 1)
    assert outputs_of(stack_home, first["output"]) == outputs_of(stack_home, whole["output"])

    (folder / "7" / "77.txt").write_text("something else")
    second = run(stack_home, *arguments)
    (ran,) = [one for one in second["shards"] if not one["cached"]]
    (before,) = [one for one in first["shards"] if one["index"] == ran["index"]]
    assert ran["output"] != before["output"]
    assert (second["verdict"], second["tier"]) == ("agreed", "verified")

"""A process that says what it has acknowledged, one JSON object a line, until it is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path


def start(program, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, str(program), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)


def kill_after(process, lines, work):
    """Let it say some lines and do a little more, kill it, and return everything that it has said."""
    said = [process.stdout.readline() for _ in range(lines)]
    for _ in range(work):  # a delay in work, not in time
        hash(bytes(10_000))
    process.send_signal(signal.SIGKILL)
    with process:  # not communicate(), which forgets what readline has buffered
        rest, errors = process.stdout.read(), process.stderr.read()
    assert process.returncode == -signal.SIGKILL, errors.decode()
    # The last line may be torn: then it was not acknowledged.
    whole = b"".join([*said, rest]).split(b"\n")[:-1]
    return [json.loads(line) for line in whole]

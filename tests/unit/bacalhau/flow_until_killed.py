"""A process that runs a flow with a scripted engine; at a barrier it says so and waits to be killed.

    flow_until_killed.py HOME FLOW LOG STOP_AT

Every execution writes its task to LOG before it ends. When the executions of as many tasks as STOP_AT have ended, the
next one says "at the barrier" on stdout and never ends. Then a report as JSON, if it gets that far.
"""

import json
import os
import sys
import threading
from pathlib import Path

from bacalhau.cli.run_flow import read_order
from bacalhau.home import Home
from bacalhau.progress import Display
from bacalhau.run_flow import run_flow_job
from bacalhau.services import Services
from storage.cid import cid_text
from tests.unit.bacalhau.fakes import FakeEngine, fake_prepare
from tests.unit.bacalhau.test_run_flow import joined

FLAGS = {
    "concurrency": 2, "confidence": 2, "diverse": False, "targets": (), "args": (), "places": (), "url_limit": "1Gb",
    "allow_private_urls": False, "labels": (), "isolation": "best", "at_once": 2, "no_cache": False,
    "require_verified": False,
}  # fmt: skip


def main(home, flow, log, stop_at):
    lock, ended = threading.Lock(), {}

    def behave(number, plan, store):
        with lock:
            stops = sum(count == 2 for count in ended.values()) >= stop_at
        if stops:
            os.write(1, b"at the barrier\n")  # at once: lines of several threads do not mix
            threading.Event().wait()
        gave = joined(number, plan, store)
        with lock, log.open("a") as stream:
            stream.write(f"{cid_text(plan.task)}\n")
            ended[plan.task] = ended.get(plan.task, 0) + 1
        return gave

    engine = FakeEngine(behave)
    services = Services(
        home=Home(home),
        make_engine=lambda host="node", **how: engine,
        prepare=fake_prepare,
        knows_runtime=lambda runtime: True,
        make_runtime=lambda store: None,
    )
    display = Display(step=lambda phrase: None, transfer=lambda what, done, total: None)
    print(json.dumps(run_flow_job(read_order(flow, FLAGS), services, display)), flush=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]), int(sys.argv[4]))

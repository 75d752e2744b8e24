"""kill -9 of any node, the requester included, at drawn moments: no job is lost, each ends with its right verdict."""

from tests.integration import libp2p_gate  # noqa: F401

# isort: split
from tests.integration.stack_world import Node, wait_for_end

# isort: split
import os
import random
import socket
import time
from contextlib import ExitStack

import pytest

from bacalhau.auditing import audit_here
from bacalhau.home import Home
from bacalhau.node_finder import find_node
from bacalhau.progress import Display
from bacalhau.run_job import Order
from bacalhau.run_on_node import follow_job, submit_to_node
from bacalhau.run_shards_job import ShardedOrder
from bacalhau.run_shards_on_node import submit_shards_to_node
from bacalhau.services import default_services
from bacalhau.shared_caches import share_caches
from runtime.request import Request
from runtime.shard_plan import read_sharding
from storage.cid import parse_cid
from storage.unixfs_read import UnixfsReader
from verifier.compare import make_rule

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("devstack")]

SHARDS = 200 if os.environ.get("BACALHAU_SLOW_TESTS") else 40
COPY = """
import os
for name in os.listdir("/inputs"):
    with open("/inputs/" + name) as source, open("/outputs/" + name, "w") as out:
        out.write(source.read())
"""
SILENT = Display(step=lambda phrase: None, transfer=lambda what, done, total: None)
SLOW = bool(os.environ.get("BACALHAU_SLOW_TESTS"))
JOBS, KILLS = (50, 20) if SLOW else (10, 4)
COMPUTE = 3
LONGEST_MOMENT_S = 1.5
"""From a submission to a kill; a job takes about as long."""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture
def nodes(stack_home, tmp_path):
    """A requester, first, and compute nodes that know it; each is started again on its directory and port."""
    with ExitStack() as stack:
        made = []
        for number in range(COMPUTE + 1):
            directory = tmp_path / f"node-{number}"
            share_caches(Home(stack_home), Home(directory))
            roles = ("--role", "requester") if number == 0 else ("--role", "compute", "--limit-total-cpu", "1")
            peers = ("--peer", made[0].facts["addresses"][0]) if made else ()
            node = Node(f"node-{number}", directory, free_port(), (*roles, *peers))
            stack.callback(node.stop)
            node.start()
            made.append(node)
        yield made


@pytest.mark.parametrize("seed", [1])
def test_no_job_is_lost(nodes, seed, monkeypatch):
    draw = random.Random(seed)
    home = nodes[0].directory
    monkeypatch.setenv("BACALHAU_DIR", str(home))
    services = default_services()
    find_again = lambda: find_node(Home(home), {})  # noqa: E731
    doomed = {number: draw.randrange(COMPUTE + 1) for number in draw.sample(range(JOBS), KILLS)}
    doomed[JOBS // 2] = 0  # the requester in any case
    jobs = []
    for number in range(JOBS):
        order = Order(request=Request(code=f"print({number})"), rule=make_rule())
        with find_again() as requester:
            jobs.append(submit_to_node(order, services, SILENT, requester, lambda job: None).job)
        if number in doomed:
            time.sleep(draw.uniform(0, LONGEST_MOMENT_S))  # the moment is drawn; nothing rests on its length
            nodes[doomed[number]].kill()
            nodes[doomed[number]].start()
    for number, job in enumerate(jobs):
        kinds = [event["kind"] for event in follow_job(job, find_again(), find_again)]
        assert (kinds[0], kinds[-1]) == ("submitted", "ended")
        assert kinds.count("verdict") == kinds.count("ended") == 1
        with find_again() as requester:
            report = requester.job(job)["report"]
        assert (report["verdict"], report["stdout"]) == ("agreed", f"{number}\n")
        assert report["faults"] == [], "nobody is blamed for having been killed"
        assert audit_here(report["record"], services, None).verdict == "valid"
    with find_again() as requester:
        assert {one["job"] for one in requester.jobs(JOBS + 1)} == set(jobs)
    for node in nodes:
        pid = node.process.pid
        node.stop()
        wait_for_end(pid)
        assert node.process.returncode == 0


@pytest.mark.parametrize("seed", [2])
def test_no_shard_is_lost(nodes, seed, monkeypatch, tmp_path):
    """The requester and a compute node are killed in the middle of a job over shards: what had ended stays ended."""
    draw = random.Random(seed)
    home = nodes[0].directory
    monkeypatch.setenv("BACALHAU_DIR", str(home))
    services = default_services()
    find_again = lambda: find_node(Home(home), {})  # noqa: E731
    folder = tmp_path / "folder"
    folder.mkdir()
    for number in range(SHARDS):
        (folder / f"{number:04}.txt").write_text(f"{number}\n")
    request = Request(code=COPY, data=str(folder))
    sharded = ShardedOrder(order=Order(request=request, rule=make_rule()), sharding=read_sharding("/*"))
    with find_again() as requester:
        job = submit_shards_to_node(sharded, services, SILENT, requester, lambda job: None).job
    doomed = [0, draw.randrange(1, COMPUTE + 1), 0]
    counts = []
    for event in follow_job(job, find_again(), find_again):
        if event["kind"] == "shards":
            counts.append(event["detail"]["ended"])
        if doomed and counts and counts[-1] > SHARDS // 4 * (4 - len(doomed)) - SHARDS // 8:
            number = doomed.pop()
            nodes[number].kill()
            nodes[number].start()
    assert doomed == []
    assert counts == sorted(counts), "what had ended stays ended"
    with find_again() as requester:
        view = requester.job(job)
        rows = list(requester.shards(job))
    assert (view["report"]["verdict"], view["report"]["sharding"]["verified"]) == ("agreed", SHARDS)
    assert [row["index"] for row in rows] == list(range(SHARDS))
    with services.open_store() as store:
        reader = UnixfsReader(store)
        for number in (0, SHARDS // 2, SHARDS - 1):
            assert reader.resolve(parse_cid(view["report"]["output"]), f"outputs/outputs/{number:04}.txt")
            assert audit_here(rows[number]["record"], services, None).verdict == "valid"

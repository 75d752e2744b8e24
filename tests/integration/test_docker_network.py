"""Containers on network nodes under a real engine: two nodes run one, and one is killed in the middle of the next."""

from tests.integration import libp2p_gate  # noqa: F401

# isort: split
import fcntl
import json
import os
import socket
import time

import pytest

from bacalhau.home import Home
from bacalhau.shared_caches import share_caches
from tests.integration.docker_world import IMAGE, connect, ours
from tests.integration.stack_world import Node, bacalhau

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("docker")]
SWEPT_S = 10
"""Promised: so long after a restart nothing of what was killed is left."""


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture
def nodes(containers, tmp_path, tmp_path_factory, stack_home):
    """A requester that runs containers too, and a node beside it."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with (shared / "docker.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = ours()
        started = []
        try:
            peers = ()
            for name, roles in (("first", ()), ("second", ("--role", "compute", "--label", "which=second"))):
                directory = tmp_path / name
                share_caches(Home(stack_home), Home(directory))
                arguments = ("--docker", "--limit-total-memory", "4Gb", *roles, *peers)
                started.append(Node(name=name, directory=directory, port=free_port(), arguments=arguments))
                started[-1].start()
                peers = ("--peer", started[0].facts["addresses"][0])
            yield started
        finally:
            for node in started:
                node.stop()
        assert ours() == before


def run(node, *arguments):
    return bacalhau(node.directory, "run", "docker", "--memory", "64Mb", "--json", *arguments)


def test_two_nodes_run_a_container_and_one_is_killed_in_the_middle_of_another(nodes):
    first, second = nodes
    done = run(first, "--concurrency", 2, IMAGE, "--", "sh", "-c", "echo hi; echo x > /outputs/f")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["verdict"], report["reproduced"], report["tier"]) == ("reproduced", "2/2", "unverified")
    assert {one["node"] for one in report["runs"]} == {node.facts["peer"] for node in nodes}
    assert (report["stdout"], report["receipts"], report["tainted"]) == ("hi\n", [], True)
    audit = bacalhau(first.directory, "audit", report["record"], "--json")
    assert (audit.returncode, json.loads(audit.stdout)["verdict"]) == (4, "unchecked")
    refused = run(first, "--require-verified", "-i", report["output"], IMAGE, "--", "true")
    assert refused.returncode == 1
    assert "unverified" in refused.stderr

    before, _ = ours()
    waiting = ("--no-wait", "--id-only", "-s", "which=second", IMAGE, "--", "sleep", "600")
    job = bacalhau(first.directory, "run", "docker", "--memory", "64Mb", *waiting).stdout.strip()
    (killed,) = started_after(before)
    second.kill()
    assert killed in ours()[0]
    with connect() as api:
        now = int(time.time())
        second.start()
        filters = {"container": killed, "event": ["destroy", "remove"]}  # in Docker's word, and in Podman's
        until = int(time.time()) + SWEPT_S
        gone = list(api._client.events(since=now, until=until, filters=filters, decode=True))
    assert [one["Actor"]["ID"] for one in gone] == [killed]
    assert bacalhau(first.directory, "cancel", job).returncode == 0
    assert bacalhau(first.directory, "events", "-f", job).stdout.rstrip().endswith("ended")
    logs = bacalhau(first.directory, "describe", job, "--json")
    assert json.loads(logs.stdout)["reason"] == "it was cancelled"


def started_after(known):
    """Return the containers that start, the first of them, however long that takes."""
    with connect() as api:
        running = {one["Id"] for one in api._client.containers()} - set(known)
        if running:
            return list(running)
        events = api._client.events(filters={"type": "container", "event": "start"}, decode=True)
        running = {one["Id"] for one in api._client.containers()} - set(known)
        return list(running) or [next(iter(events))["id"]]

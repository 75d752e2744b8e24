"""The network as it is, once in every run of the tests: processes, libp2p, a liar (the long ones: test_devstack*)."""

import importlib.util
import signal

import pytest

from tests.integration.stack_world import HELLO, audit, bacalhau, devstack, run
from tests.requirements_gate import need

UPPER = """
import os
def main(data):
    for name in os.listdir("/inputs"):
        with open("/inputs/" + name) as source, open("/outputs/" + name, "w") as out:
            out.write(source.read().upper())
"""

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("devstack")]


@pytest.fixture(autouse=True)
def network():
    need("network", importlib.util.find_spec("libp2p") is not None, "the extra `network`; make setup installs it")


def test_a_liar_among_four_nodes_is_named_and_what_is_left_is_the_truth(stack_home, tmp_path):
    with devstack(stack_home, tmp_path / "stack", "--nodes", 4, "--bad-actors", "liar") as stack:
        report = run(stack.home, "-c", HELLO, "--concurrency", 4)
        assert (report["verdict"], report["tier"], report["stdout"]) == ("agreed", "verified", "hello\n")
        said = {receipt["node"]: receipt["agrees"] for receipt in report["receipts"]}
        liar = stack.bad("liar")
        assert said == {peer: peer != liar for peer in stack.peers()}
        assert audit(stack.home, report["record"]) == "valid"
        events = bacalhau(stack.home, "events", report["job"]).stdout
        assert "verdict agreed: 4 receipts, 1 of them in dissent" in events
        over_shards(stack, tmp_path, liar)
        assert stack.end(signal.SIGINT) == ""


def over_shards(stack, tmp_path, liar):
    """A few shards on the same nodes: each is verified against the liar, and the output holds all of them."""
    folder = tmp_path / "folder"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.txt").write_text(f"line {number}\n")
    (tmp_path / "upper.py").write_text(UPPER)
    report = run(stack.home, tmp_path / "upper.py", "-i", folder, "--sharding-glob-pattern", "/*", "--concurrency", 4)
    assert (report["verdict"], report["tier"], len(report["shards"])) == ("agreed", "verified", 3)
    assert {shard["receipts"] for shard in report["shards"]} == {4}
    assert bacalhau(stack.home, "get", report["job"], "--output-dir", tmp_path / "got").returncode == 0
    assert {path.name: path.read_text() for path in (tmp_path / "got/outputs/outputs").iterdir()} == {
        f"{number}.txt": f"LINE {number}\n" for number in range(3)
    }
    assert bacalhau(stack.home, "audit", report["job"]).returncode == 0
    assert "3 of 3 shards have ended" in bacalhau(stack.home, "events", report["job"]).stdout
    again = run(stack.home, tmp_path / "upper.py", "-i", folder, "--sharding-glob-pattern", "/*", "--concurrency", 4)
    assert (again["verdict"], again["output"]) == ("cached", report["output"])

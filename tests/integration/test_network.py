"""The network as it is, once in every run of the tests: processes, libp2p, a liar (the long ones: test_devstack*)."""

import importlib.util
import signal

import pytest

from tests.integration.stack_world import HELLO, audit, bacalhau, devstack, run
from tests.requirements_gate import need

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
        assert stack.end(signal.SIGINT) == ""

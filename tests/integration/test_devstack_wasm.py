"""WebAssembly modules on a network: three nodes that found each other verify what looks everywhere and never ends."""

from tests.integration import libp2p_gate  # noqa: F401

# isort: split
from tests.integration.stack_world import audit, bacalhau, devstack

# isort: split
import json
from pathlib import Path

import pytest
from wasmtime import wat2wasm

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("devstack")]
PROBE = Path(__file__).parent / "modules" / "probe.wat"


@pytest.fixture
def stack_home(tmp_path):
    """A home without an image of Python: none is needed."""
    return tmp_path / "home"


def test_three_nodes_verify_a_module(stack_home, tmp_path):
    (tmp_path / "probe.wasm").write_bytes(bytes(wat2wasm(PROBE.read_text())))
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("b", "a", "c"):
        (folder / name).write_text(name)
    with devstack(stack_home, tmp_path / "stack", "--nodes", 3) as stack:
        arguments = ("-i", folder, "--fuel", 30_000_000, "--json")
        done = bacalhau(stack.home, "run", "wasm", tmp_path / "probe.wasm", *arguments)
        assert done.returncode == 3, done.stderr
        report = json.loads(done.stdout)
        assert (report["verdict"], report["tier"], report["exit_code"]) == ("agreed", "verified", 152)
        assert report["fuel"] == 30_000_000
        assert {receipt["node"] for receipt in report["receipts"]} == stack.peers()
        assert {receipt["engine"] for receipt in report["receipts"]} == {"wasmtime"}
        assert audit(stack.home, report["record"]) == "valid"
        local = bacalhau(stack.home, "run", "wasm", tmp_path / "probe.wasm", *arguments, "--local", "--no-cache")
        alone = json.loads(local.stdout)
        assert (alone["output"], alone["state_digest"]) == (report["output"], report["state_digest"])
        bids = bacalhau(stack.home, "events", report["job"]).stdout
        assert "verdict agreed: 3 receipts" in bids
        split = ("--sharding-glob-pattern", "/*", "--sharding-batch-size", 2)
        sharded = bacalhau(stack.home, "run", "wasm", tmp_path / "probe.wasm", *arguments, *split)
        parts = json.loads(sharded.stdout)
        assert (sharded.returncode, parts["verdict"], parts["tier"]) == (3, "agreed", "verified"), sharded.stderr
        assert [(one["first"], one["exit_code"], one["receipts"]) for one in parts["shards"]] == [
            ("a", 152, 3),
            ("c", 152, 3),
        ]
        assert bacalhau(stack.home, "audit", parts["job"]).returncode == 0

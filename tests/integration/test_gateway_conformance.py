"""IPFS's own conformance suite for gateways (ipfs/gateway-conformance) against ours, over HTTP.

The suite is built by `make conformance`; nothing of it is in this repository. What it tests and is not run here,
because it is not ours to give: docs/decisions/0025-trustless-gateway.md.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.requirements_gate import need

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
VARIABLE = "BACALHAU_TEST_GATEWAY_CONFORMANCE"

SPECS = {
    "trustless-block-gateway": {"TestTrustlessRaw", "TestTrustlessRawRanges"},
    "trustless-car-gateway": {
        "TestTrustlessCarPathing",
        "TestTrustlessCarDagScopeBlock",
        "TestTrustlessCarDagScopeEntity",
        "TestTrustlessCarDagScopeAll",
        "TestTrustlessCarEntityBytes",
        "TestTrustlessCarFormatPrecedence",
    },
    "trustless-car-gateway-optional": {"TestTrustlessCarOrderAndDuplicates"},
}
"""What the suite calls a specification, and the tests of it that must have run; it passes over all others."""

OUTCOME = re.compile(r"^\s*--- (PASS|FAIL|SKIP): (\S+) ", re.MULTILINE)


@pytest.fixture(scope="module")
def suite():
    """The folder with the suite's program and its fixtures."""
    chosen = os.environ.get(VARIABLE)
    folder = Path(chosen) if chosen else ROOT / "tests" / "engines" / "gateway-conformance"
    reason = f"no suite in {folder}: make conformance, or name its folder in {VARIABLE}"
    need("gateway-conformance", (folder / "suite").is_file(), reason)
    return folder


@pytest.fixture(scope="module")
def gateway(suite, tmp_path_factory):
    """The address of a gateway that has the suite's fixtures."""
    cars = [suite / "fixtures" / "gateway-raw-block.car", *(suite / "fixtures" / "trustless_gateway_car").glob("*.car")]
    assert len(cars) > 1
    store = tmp_path_factory.mktemp("conformance") / "blocks.sqlite"
    command = [sys.executable, Path(__file__).with_name("serve_cars.py"), store, *cars]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        url = process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:"), url
        yield url
        process.stdin.close()
        assert process.wait() == 0


@pytest.mark.parametrize("spec", SPECS)
def test_the_gateway_conforms(suite, gateway, tmp_path, spec):
    environment = {"PATH": os.defpath, "HOME": str(tmp_path)}
    environment |= {"GATEWAY_URL": gateway, "GATEWAY_CONFORMANCE_HOME": str(suite.resolve())}
    command = [suite.resolve() / "suite", f"-specs={spec}", "-test.v"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    said = {name: outcome for outcome, name in OUTCOME.findall(done.stdout)}
    failed = [name for name, outcome in said.items() if outcome == "FAIL"]
    assert failed == [], done.stdout[-20_000:]
    assert done.returncode == 0, done.stderr
    ran = {name for name, outcome in said.items() if outcome == "PASS" and "/" not in name}
    assert SPECS[spec] <= ran
    # A test that has run has checks below it; one that was passed over has none.
    assert all(any(name.startswith(f"{test}/") for name in said) for test in SPECS[spec])

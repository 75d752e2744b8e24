"""Real Pyodide in each jail that this machine offers, in Node and in Bun: the same bytes as without one."""

import dataclasses
from pathlib import Path

import pytest

from runtime.engine import UndeterminedError
from runtime.engine_host import describe_host, find_host
from runtime.jail import STRICT, Level, at_level, require_strict
from runtime.jail_probe_client import probe
from runtime.node_client import find_node
from storage.errors import UnavailableError
from tests.requirements_gate import need

SOURCE = """
import os

def main(data, n=3):
    with open("/outputs/made", "wb") as file:
        file.write(os.urandom(n))
    print(sum(range(100_000)), data[:3])
    return {"seen": sorted(os.listdir("/"))}
"""


BUN = Path(__file__).parents[1] / "engines" / "node_modules" / "@oven" / "bun-linux-x64" / "bin" / "bun"


@pytest.fixture(scope="session")
def report():
    return probe(find_node().binary)


@pytest.fixture(params=["node", "bun"])
def host(request):
    need("engines", request.param == "node" or BUN.is_file(), "Bun is not installed: make engines")
    return find_host("node") if request.param == "node" else describe_host("bun", BUN)


@pytest.mark.integration
@pytest.mark.parametrize("level", [level for level in Level if level is not Level.NONE], ids=lambda level: level.value)
def test_output_and_state_are_those_without_a_jail(house, report, level, host):
    try:
        expected_layers = at_level(report.layers, level).in_force
    except UnavailableError as error:
        need(level.value, False, str(error))
    plan = house.plan(SOURCE, data=b"abcdef", args=("n=5",))
    free = house.replaced(engine=dataclasses.replace(house.engine, level=Level.NONE, host=host)).execute(plan)
    jailed = house.replaced(engine=dataclasses.replace(house.engine, level=level, host=host)).execute(plan)
    assert jailed.execution.output == free.execution.output
    assert jailed.state_digest == free.state_digest
    assert jailed.exit_code == 0
    assert set(expected_layers) < set(jailed.execution.engine.isolation)
    assert free.execution.engine.isolation == ("process", *host.isolation, "sealed-python")


@pytest.mark.integration
def test_strict_refuses_a_machine_that_lacks_a_layer(house, report, monkeypatch):
    poor = dataclasses.replace(
        report,
        layers=tuple(
            dataclasses.replace(layer, in_force=False, detail="not today") if layer.name == "netns" else layer
            for layer in report.layers
        ),
    )
    monkeypatch.setattr("runtime.pyodide_engine.probe", lambda *_: poor)
    engine = dataclasses.replace(house.engine, strict=True)
    with pytest.raises(UnavailableError, match=r"netns \(not today\)"):
        house.replaced(engine=engine).run("def main(data): return 1")


@pytest.mark.integration
def test_strict_runs_where_every_layer_is_in_force(house, report, host):
    try:
        require_strict(report)
    except UnavailableError as error:
        need("strict", False, str(error))
    engine = dataclasses.replace(house.engine, strict=True, host=host)
    done = house.replaced(engine=engine).run("def main(data): return 1")
    assert done.result == "1"
    assert set(STRICT) < set(done.execution.engine.isolation)


@pytest.mark.integration
def test_memory_that_the_host_has_not_is_no_outcome(house, report, monkeypatch):
    """The guest may have as much as it grows by; that the host has less must not look like its limit."""
    monkeypatch.setattr("runtime.worker_transport._ENGINE_MEMORY_BYTES", -(512 << 20))
    source = """
def main(data):
    try:
        return len(bytearray(1 << 30))
    except MemoryError:
        return "caught"
"""
    need("jail", report.level is not Level.NONE, "no level")
    with pytest.raises(UndeterminedError, match="no memory left for the task"):
        house.run(source, memory="2Gb")

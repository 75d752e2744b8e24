"""Taint on the ways on which it could be lost: known results, sessions that go on, flows, shards, the Python API."""

import pytest

import bacalhau
from bacalhau.executor import Executor
from storage.cid import parse_cid
from tests.unit.bacalhau.fakes import FakeEngine, Gave
from tests.unit.bacalhau.test_run_docker import FakeContainers
from verifier.model import Record, load_node

MADE = "{record}/output/outputs/outputs/made.txt"


@pytest.fixture
def first(desk):
    """Return what a container gave; its file holds `made`."""
    desk.containers = FakeContainers()
    desk.engine = FakeEngine(lambda number, plan, store: Gave(result=b"X"))
    return desk("run", "docker", "--json", "busybox").json


@pytest.fixture
def same_file(desk, tmp_path):
    """Return a file with the bytes that the container made, of which nobody knows where it comes from."""
    path = tmp_path / "made.txt"
    path.write_bytes(b"made")
    return path


def test_a_known_result_is_as_tainted_as_its_record(desk, first, same_file):
    second = desk.run("-i", MADE.format(**first))
    again = desk.run("-i", same_file)
    assert (again["verdict"], again["record"]) == ("cached", second["record"])
    assert (again["tainted"], again["taint"]) == (True, [first["record"]])
    assert desk("audit", again["record"], "--json").json["tainted"] is True
    said = desk("run", "python", desk.function, "-i", same_file, "--require-verified")
    assert (said.code, said.out) == (1, b"")


def test_a_session_that_goes_on_keeps_the_parents_of_the_record_it_goes_on_from(desk, first, same_file):
    second = desk.run("-i", MADE.format(**first))
    more = desk.run("-i", same_file, "--concurrency", "5", "--confidence", "5")
    assert (more["verdict"], more["known"]["receipts"]) == ("agreed", len(second["receipts"]))
    with desk.store() as store:
        assert load_node(store, parse_cid(more["record"]), Record).parents == (parse_cid(first["record"]),)
    assert (more["tainted"], more["taint"]) == (True, [first["record"]])
    audit = desk("audit", more["record"], "--json").json
    assert (audit["verdict"], audit["tainted"]) == ("valid", True)


def test_a_flow_says_what_its_tasks_come_from(desk, first, tmp_path):
    path = tmp_path / "flow.yaml"
    steps = "{one: {code: pass, data: '%s'}, two: {code: pass, data: '${one/result}'}}"
    path.write_text(f"flow: 1\nsteps: {steps % MADE.format(**first)}\n")
    for verdict in ("agreed", "cached"):
        report = desk("run", "flow", path, "--json").json
        assert (report["verdict"], report["tainted"], report["taint"]) == (verdict, True, [first["record"]])
    path.write_text("flow: 1\nsteps: {one: {code: pass}}\n")
    assert desk("run", "flow", path, "--json").json["tainted"] is False


def test_shards_of_the_python_api_say_what_their_data_and_volumes_come_from(desk, first, tmp_path):
    directory = f"{first['record']}/output/outputs"
    (tmp_path / "f.py").write_text("def main(data):\n    pass\n")
    with Executor(services=desk.services()) as executor:
        made = bacalhau.load_function(tmp_path / "f.py")
        report = executor.shard(made, directory, "/**/*.txt").report
        assert (report["parents"], report["tainted"]) == ([first["record"]], True)
        made = bacalhau.load_function(tmp_path / "f.py", volumes={"/more": directory})
        (tmp_path / "own").mkdir()
        (tmp_path / "own/a.txt").write_text("a")
        report = executor.shard(made, tmp_path / "own", "/*").report
        assert report["tainted"] is True
    with desk.store() as store:
        (row,) = report["shards"]
        assert load_node(store, parse_cid(row["record"]), Record).parents == (parse_cid(first["record"]),)


def test_shards_of_the_python_api_run_on_the_engines_that_the_policy_lets_them_have(desk, first, tmp_path):
    (tmp_path / "f.py").write_text("def main(data):\n    pass\n")
    (tmp_path / "own").mkdir()
    (tmp_path / "own/a.txt").write_text("a")
    with Executor(services=desk.services(), diverse=True) as executor:
        report = executor.shard(bacalhau.load_function(tmp_path / "f.py"), tmp_path / "own", "/*").report
    # The first is what looks at sources. The fake engine calls itself the same everywhere.
    assert (desk.asked[1:], report["verdict"]) == ([("node", False), ("bun", False)], "too-few")

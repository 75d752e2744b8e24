"""Taint on the ways on which it could be lost: known results, sessions that go on, flows, shards, the Python API."""

import sqlite3
from contextlib import closing

import pytest

import bacalhau
from bacalhau.executor import Executor
from storage.blocks import block_key
from storage.cid import parse_cid
from storage.errors import VerificationError
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


def flow_over(tmp_path, data):
    path = tmp_path / "flow.yaml"
    path.write_text(
        f"flow: 1\nsteps: {{one: {{code: pass, data: '{data}'}}, two: {{code: pass, data: '${{one/result}}'}}}}\n"
    )
    return path


def test_a_flow_refuses_what_is_tainted_before_anything_runs(desk, first, tmp_path):
    path = flow_over(tmp_path, MADE.format(**first))
    said = desk("run", "flow", path, "--require-verified")
    assert (said.code, said.out, desk.engine.calls) == (1, b"", 0)
    assert f"--require-verified: an input is tainted: record {first['record']} is of the tier unverified" in said.err
    clean = desk("run", "flow", flow_over(tmp_path, desk("add", flow_over(tmp_path, "x")).text.strip()), "--json",
                 "--require-verified").json  # fmt: skip
    assert (clean["verdict"], clean["require_verified"]["ok"]) == ("agreed", True)
    flow = bacalhau.Flow(services=desk.services())
    with pytest.raises(VerificationError, match="tainted"):
        flow.run(flow.step(code="pass", data=MADE.format(**first)), require_verified=True)


def test_a_flow_refuses_a_known_result_that_is_tainted(desk, first, same_file, tmp_path):
    """The same bytes from a file say nothing of where they come from; the record that answers does."""
    desk("run", "flow", flow_over(tmp_path, MADE.format(**first)))
    path = flow_over(tmp_path, same_file)
    assert desk("run", "flow", path, "--json").json["tainted"] is True
    said = desk("run", "flow", path, "--require-verified")
    assert (said.code, said.out) == (1, b"")
    assert (
        desk("run", "flow", path, "--require-verified", "--no-cache", "--json").json["require_verified"]["ok"] is True
    )


def test_a_flow_whose_taint_cannot_be_told_is_refused_with_another_code(desk, first, tmp_path):
    second = desk.run("-i", MADE.format(**first))
    with closing(sqlite3.connect(desk.home.store_path)) as connection, connection:
        query = "DELETE FROM blocks WHERE digest = ?"
        assert connection.execute(query, (block_key(parse_cid(first["record"])),)).rowcount == 1
    said = desk("run", "flow", flow_over(tmp_path, f"{second['record']}/output/result"), "--require-verified")
    assert (said.code, "cannot be told" in said.err) == (4, True)


def test_what_a_map_over_something_tainted_gave_is_tainted_where_it_is_taken(desk, first, tmp_path):
    path = tmp_path / "flow.yaml"
    directory = f"{first['record']}/output/outputs/outputs"
    path.write_text(f"flow: 1\nsteps: {{each: {{code: pass, map: {{over: '{directory}', glob: '/*'}}}}}}\n")
    report = desk("run", "flow", path, "--json").json
    assert (report["tainted"], desk("audit", report["merge"], "--json").json["tainted"]) == (True, True)
    said = desk("run", "python", desk.function, "-i", report["output"], "--require-verified")
    assert (said.code, "an input is tainted" in said.err) == (1, True)


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

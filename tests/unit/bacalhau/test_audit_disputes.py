"""Audits of many records, and those that the Python API and the pages ask for, say of disputes and taint what a single
record's does."""

import pytest

import bacalhau
from bacalhau.executor import Executor
from tests.unit.bacalhau.fakes import FakeEngine, Gave
from tests.unit.bacalhau.test_run_docker import FakeContainers


def gives(result):
    return FakeEngine(lambda number, plan, store: Gave(result=result))


def run(desk, *arguments):
    said = desk("run", *arguments, "--json")
    assert said.out, said.err
    return said.json


@pytest.fixture
def many(desk, tmp_path):
    """Return the commands of a flow and of a job over shards."""
    (tmp_path / "flow.yaml").write_text(
        "flow: 1\nsteps: {one: {code: pass}, two: {code: pass, data: '${one/result}'}}\n"
    )
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.txt").write_text("a")
    (tmp_path / "two.yaml").write_text("flow: 1\nsteps: {one: {code: pass}, two: {code: '2'}}\n")
    shards = ("--sharding-glob-pattern", "/*", "--local")
    return {
        "two": ("flow", tmp_path / "two.yaml"),
        "flow": ("flow", tmp_path / "flow.yaml"),
        "shards": ("python", desk.function, "-i", tmp_path / "in", *shards),
    }


@pytest.mark.parametrize("kind", ["two", "shards"])
def test_a_job_whose_records_are_contradicted_is_not_valid(desk, many, kind):
    desk.engine = gives(b"one")
    first = run(desk, *many[kind])
    assert desk("audit", first["job"], "--json").json["verdict"] == "valid"
    desk.engine = gives(b"another")
    run(desk, *many[kind], "--no-cache")
    audit = desk("audit", first["job"], "--json")
    assert (audit.code, audit.json["verdict"]) == (4, "unchecked")
    (check,) = (one for one in audit.json["checks"] if one["name"] == "disputes")
    assert (check["n"], check["ok"]) == (28, None)
    # Run again, each task gives what the second job says.
    again = desk("audit", first["job"], "--rerun", "--json").json
    assert again["verdict"] == "invalid"


def test_an_ancestor_that_is_contradicted_shows_in_a_deep_audit(desk, many):
    desk.engine = gives(b"one")
    first = run(desk, *many["flow"])
    desk.engine = gives(b"another")
    run(desk, *many["flow"], "--no-cache", "--target", "one")
    record = first["record"]
    assert desk("audit", record, "--json").json["verdict"] == "valid"
    audit = desk("audit", record, "--deep", "--json").json
    assert (audit["verdict"], audit["checks"][-1]["name"], audit["checks"][-1]["ok"]) == ("unchecked", "disputes", None)


def test_a_job_says_that_it_is_tainted(desk, many, tmp_path):
    desk.containers = FakeContainers()
    desk.engine = gives(b"X")
    first = desk("run", "docker", "--json", "busybox").json
    shards = ("--sharding-glob-pattern", "/**/made.txt", "--local")
    report = run(desk, "python", desk.function, "-i", first["output"], *shards)
    audit = desk("audit", report["job"], "--json").json
    assert (audit["verdict"], audit["tainted"], audit["taint"]) == ("valid", True, [first["record"]])
    assert "tainted: record" in desk("audit", report["job"]).text
    assert desk("publish", report["job"], "--to", f"car:{tmp_path / 'graph.car'}").code == 0
    graph = desk("audit", "--car", tmp_path / "graph.car", "--json").json
    assert (graph["verdict"], [one["name"] for one in graph["checks"] if not one["ok"]]) == ("unchecked", ["taint"])
    clean = run(desk, *many["shards"])
    assert desk("audit", clean["job"], "--json").json["tainted"] is False


def test_what_the_python_api_audits_is_what_the_command_does(desk, tmp_path):
    desk.engine = gives(b'"one"')
    (tmp_path / "f.py").write_text("def main(data):\n    pass\n")
    made = bacalhau.load_function(tmp_path / "f.py")
    with Executor(services=desk.services()) as executor:
        one = executor.call(made, b"x")
    assert one.audit()["verdict"] == "valid"
    desk.engine = gives(b'"another"')
    with Executor(services=desk.services(), cache=False) as executor:
        executor.call(made, b"x")
    assert one.audit() == desk("audit", one.record, "--json").json
    assert one.audit()["verdict"] == "unchecked"


def test_a_statement_about_what_is_contradicted_is_not_signed(desk):
    desk.engine = gives(b"one")
    first = desk.run()
    export = ("graph", "export", first["record"], "--format", "in-toto")
    assert desk(*export).code == 0
    desk.engine = gives(b"another")
    desk.run("--no-cache")
    said = desk(*export)
    assert (said.code, said.out) == (4, b"")
    assert "is not signed for: its audit is unchecked (disputes: " in said.err

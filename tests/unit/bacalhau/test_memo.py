"""Results that are known answer runs, weaker ones are topped up, and what contradicts is told."""

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime

import pytest

from bacalhau.known_report import Before
from bacalhau.node_report import finished_job
from network.known_results import find_known
from network.messages import Demand
from network.node.datastore import Submission
from network.node.outcome import known_outcome, session_result
from network.result_store import Nodes
from storage.blocks import block_key
from storage.cid import parse_cid
from tests.unit.bacalhau.fakes import FakeEngine, Gave
from verifier.audit import audit_record
from verifier.compare import make_rule
from verifier.model import Record, load_node


def constant(result):
    return lambda number, plan, store: Gave(result=result)


@pytest.fixture
def run(desk, tmp_path):
    (tmp_path / "f.py").write_text("def main(data): return 1\n")

    def call(*more):
        said = desk("run", "python", "f.py", "--json", *more)
        return json.loads(said.text)

    return call


def audited(desk, cid):
    with desk.store() as store:
        report = audit_record(store, parse_cid(cid))
        return report.verdict, load_node(store, parse_cid(cid), Record)


def test_the_same_run_is_answered_at_once_with_all_that_was_said(desk, run):
    first = run()
    assert (first["verdict"], first["known"], first["disputes"], first["blind"]) == ("agreed", None, [], 3)
    calls = desk.engine.calls
    second = run()
    assert (second["verdict"], desk.engine.calls) == ("cached", calls)
    assert set(second) == set(first)
    for key in ("result", "stdout", "stderr", "output", "record", "receipts", "exit_code", "tier", "state_digest"):
        assert second[key] == first[key], key
    assert (second["known"]["receipts"], second["known"]["since"][:4]) == (3, first["created_at"][:4])
    assert second["job"] != first["job"]
    said = desk("run", "python", "f.py")
    assert (said.code, said.text) == (0, "shouting\n")
    assert f"verified: 3 of 3 nodes agree (known since {second['known']['since']}: nothing ran)" in said.err


def test_a_weaker_record_is_topped_up(desk, run):
    weak = run("--concurrency", "1", "--confidence", "1")
    assert (weak["verdict"], desk.engine.calls) == ("agreed", 1)
    strong = run()
    assert (strong["verdict"], desk.engine.calls) == ("agreed", 2)
    assert (strong["known"]["receipts"], strong["blind"], weak["blind"]) == (1, 1, 1)
    nodes = {receipt["node"] for receipt in strong["receipts"]}
    assert len(nodes) == 2
    assert weak["receipts"][0]["node"] in nodes
    assert strong["record"] != weak["record"]
    verdict, record = audited(desk, strong["record"])
    assert (verdict, len(record.receipts), record.rule.confidence) == ("valid", 2, 2)
    stronger = run("--concurrency", "5", "--confidence", "4")
    assert (stronger["verdict"], desk.engine.calls, stronger["known"]["receipts"]) == ("agreed", 4, 2)
    assert audited(desk, stronger["record"])[0] == "valid"
    assert (run()["verdict"], desk.engine.calls) == ("cached", 4)
    said = desk("run", "python", "f.py", "--concurrency", "7", "--confidence", "5")
    assert f"5 of 5 nodes agree (4 of them known since {strong['known']['since']}); 4 may have seen earlier" in said.err


def test_a_top_up_that_says_something_else_is_settled_by_more(desk, run):
    run("--concurrency", "1", "--confidence", "1")
    desk.engine = FakeEngine(constant(b"other"))
    found = run()
    assert found["verdict"] == "agreed"
    assert [receipt["agrees"] for receipt in found["receipts"]].count(False) == 1
    assert [dispute["output"] != found["output"] for dispute in found["disputes"]] == [True]
    assert audited(desk, found["record"])[0] == "valid"
    assert desk.engine.calls == 2


def test_no_cache_runs_and_compares(desk, run):
    first = run()
    second = run("--no-cache")
    assert (second["verdict"], second["known"], second["disputes"], desk.engine.calls) == ("agreed", None, [], 6)
    desk.engine = FakeEngine(constant(b"other"))
    third = run("--no-cache")
    assert third["verdict"] == "agreed"
    assert third["disputes"][0]["output"] == first["output"]
    said = desk("run", "python", "f.py", "--no-cache")
    assert "DISPUTED" in said.err
    # Neither side answers in silence: it runs again.
    calls = desk.engine.calls
    again = run()
    assert (again["verdict"], desk.engine.calls, len(again["disputes"])) == ("agreed", calls + 3, 1)


def test_other_tasks_and_what_was_not_verified_are_not_known(desk, run):
    run()
    assert run("--arg", "n=1")["verdict"] == "agreed"
    desk.engine = FakeEngine(lambda number, plan, store: Gave(result=str(number).encode()))
    assert run("--arg", "n=2")["verdict"] == "split"
    assert run("--arg", "n=2")["verdict"] == "split"
    assert desk.engine.calls == 14


def test_a_failed_function_is_known_too(desk, run):
    desk.engine = FakeEngine(lambda number, plan, store: Gave(exit_code=3, stderr=b"no"))
    assert run()["exit_code"] == 3
    said = desk("run", "python", "f.py", "--json")
    assert (said.code, said.json["verdict"], said.json["stderr"]) == (3, "cached", "no")


def test_a_damaged_or_absent_record_answers_nothing(desk, run):
    first = run()
    calls = desk.engine.calls
    _remove(desk, audited(desk, first["record"])[1].receipts[0])
    again = run()
    assert (again["verdict"], desk.engine.calls) == ("agreed", calls + 3)


def _remove(desk, cid):
    with closing(sqlite3.connect(desk.home.store_path)) as connection, connection:
        assert connection.execute("DELETE FROM blocks WHERE digest = ?", (block_key(cid),)).rowcount == 1


def test_a_known_record_takes_on_what_its_input_comes_of(desk, run, tmp_path):
    first = run()
    # The same bytes, first as a file of one's own: nobody knows where they come from.
    assert desk("cat", f"{first['output']}/stdout").code == 0
    (tmp_path / "copy").write_bytes(desk("cat", f"{first['output']}/stdout").out)
    second = run("-i", "copy", "--arg", "n=1")
    assert audited(desk, second["record"])[1].parents == ()
    third = run("-i", f"{first['record']}/output/stdout", "--arg", "n=1")
    assert (third["verdict"], third["task"]) == ("cached", second["task"])
    verdict, record = audited(desk, third["record"])
    assert (verdict, record.parents) == ("valid", (parse_cid(first["record"]),))
    fourth = run("-i", f"{first['record']}/output/stdout", "--arg", "n=1")
    assert (fourth["verdict"], fourth["record"]) == ("cached", third["record"])


def test_a_node_says_the_same_of_what_it_knew(desk, run):
    first = run()
    task = parse_cid(first["task"])
    with (
        desk.store() as store,
        desk.services().open_results() as results,
        desk.services().open_lineage() as lineage,
    ):
        known = find_known(task, make_rule(), results.records(task, nodes=Nodes.EMBEDDED), store)
        submission = Submission(
            job="0" * 32,
            created_at=1.0,
            task=task,
            rule=make_rule(),
            demand=Demand(cpu_milli=1000, memory=1 << 30, disk=0, gpus=0),
        )
        # As a node finds it again when it was restarted in between.
        session = session_result(known_outcome(known), submission, store)
        before = Before(results=results, lineage=lineage, nodes=Nodes.EMBEDDED)
        report = finished_job(submission, session, store, problem="", before=before).report
        since = results.kept_at(task, known.record)
    assert (report["verdict"], report["record"]) == ("cached", first["record"])
    assert report["known"] == {
        "since": datetime.fromtimestamp(since, UTC).isoformat(timespec="seconds"),
        "receipts": 3,
    }
    assert report["disputes"] == []

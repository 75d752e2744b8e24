"""`bacalhau diff`: what it takes, what it says, and its exit codes; the comparisons have tests of their own."""

import pytest

from storage.cid import RAW, cid_text, make_cid
from tests.unit.bacalhau.fakes import FakeEngine, Gave


def gives(*results):
    """An engine whose executions give these in turn, and the last one from then on."""
    return FakeEngine(lambda number, _plan, _store: Gave(result=results[min(number, len(results)) - 1]))


def job(desk, code, result):
    desk.engine = gives(result)
    return desk("run", "python", "-c", code, "--json").json


def test_a_job_is_the_same_as_itself(desk):
    report = job(desk, "print(1)", b"[1]")
    said = desk("diff", report["job"], report["record"], "--json")
    assert (said.code, said.json["verdict"], said.json["outputs"]) == (0, "same", [])
    assert said.json["rerun"]["reason"] == "executed again, both give the same output from the same memory"


def test_outputs_are_compared_by_what_they_are(desk):
    one, two = job(desk, "print(1)", b"[1]"), job(desk, "print(2)", b"[2]")
    said = desk("diff", one["output"], two["output"], "--no-rerun", "--json")
    assert (said.code, said.json["verdict"]) == (1, "different")
    assert said.json["outputs"] == [{"path": "result", "kind": "json", "details": ["/0: 1 against 2"]}]
    assert [entry["field"] for entry in said.json["tasks"]] == ["source"]


def test_parts_of_outputs_can_be_named(desk):
    one, two = job(desk, "print(1)", b"[1]"), job(desk, "print(2)", b"[2]")
    said = desk("diff", f"{one['output']}/result", f"{two['output']}/result")
    assert said.code == 1
    assert "/0: 1 against 2" in said.text


def test_receipts_say_whose_claim_is_reproduced(desk):
    desk.engine = FakeEngine(lambda number, *_: Gave(result=b"wrong" if number == 1 else b"right"))
    report = desk("run", "python", "-c", "print(1)", "--json").json
    with desk.store() as store:
        from storage.cid import parse_cid
        from verifier.model import Record, load_node

        record = load_node(store, parse_cid(report["record"]), Record)
    texts = [cid_text(record.receipts[0]), cid_text(record.dissent[0])]
    said = desk("diff", *texts, "--json")
    rerun = said.json["rerun"]
    assert (said.code, said.json["verdict"]) == (1, "different")
    assert (rerun["a"]["reproduced"], rerun["b"]["reproduced"]) == (True, False)
    assert said.json["outputs"][0]["path"] == "result"
    assert "which is not what was claimed" in desk("diff", *texts).text


def test_a_runtime_that_is_not_known_is_not_started(desk):
    report = job(desk, "print(1)", b"[1]")
    desk.knows_runtime = lambda _: False
    said = desk("diff", report["job"], report["job"], "--json")
    assert said.json["rerun"]["a"] is None
    assert "runtime" in said.json["rerun"]["reason"]


@pytest.mark.parametrize("names", [("nonsense", "nonsense"), ("", "x"), ("onlyone",)])
def test_wrong_calls(desk, names):
    assert desk("diff", *names).code == 2


def test_what_is_not_here_is_not_the_same(desk):
    absent = [cid_text(make_cid(RAW, text)) for text in (b"one", b"two")]
    assert desk("diff", *absent).code in (1, 4)

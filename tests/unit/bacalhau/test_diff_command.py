"""`bacalhau diff`: what it takes, what it says, and its exit codes; the comparisons have tests of their own."""

import pickle

import pytest

from bacalhau.cli.diff import _print
from storage.cid import RAW, cid_text, make_cid
from tests.unit.bacalhau.fakes import FakeEngine, Gave
from tests.unit.runtime.divergence.test_contents import png


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


def test_each_kind_of_file_is_told_by_what_it_is(desk):
    def files(value):
        return {
            "table.csv": f"id,price\n1,{value}\n".encode(),
            "data.json": f'{{"price": {value}}}'.encode(),
            "notes.txt": f"one\nprice {value}\n".encode(),
            "plot.png": png([[value, 7], [7, 7]]),
            "model.pkl": pickle.dumps({"price": value}),
            "blob.bin": bytes([0, value]),
        }

    reports = []
    for value in (2, 5):
        desk.engine = FakeEngine(lambda *_, value=value: Gave(outputs=files(value)))
        reports.append(desk("run", "python", "-c", f"print({value})", "--json").json)
    said = desk("diff", *(report["output"] for report in reports), "--no-rerun", "--json").json
    found = {one["path"].rpartition("/")[2]: (one["kind"], one["details"]) for one in said["outputs"]}
    assert found["table.csv"] == ("csv", ["row 2, column price: '2' against '5'"])
    assert found["data.json"] == ("json", ["/price: 2 against 5"])
    assert found["notes.txt"] == ("text", ["@@ -1,2 +1,2 @@", " one", "-price 2", "+price 5"])
    assert found["plot.png"][0] == "png"
    assert "1 of 4 pixels differ, by at most 3 of 255" in found["plot.png"][1][0]
    assert found["model.pkl"][0] == "pickle"
    assert "BININT1 2 against BININT1 5" in found["model.pkl"][1][0]
    assert found["blob.bin"] == ("bytes", ["first at offset 1: 02 against 05"])


@pytest.mark.parametrize(
    ("line", "where"),
    [
        ({"file": "function.py", "line": 8, "function": "main"}, "at function.py:8 in main"),
        (None, "before the function's first line"),
    ],
)
def test_where_executions_part_is_a_sentence(capsys, line, where):
    place = {"file": "function.py", "line": 1}
    parting = {"line": line, "event": 4, "by": "memory", "at": [place, place], "variables": []}
    rerun = {"a": None, "b": None, "reason": None, "parting": parting, "fuel": None}
    report = {"verdict": "different", "outputs": [], "outputs_left_out": 0, "tasks": [], "rerun": rerun}
    _print(report)
    assert f"  they part {where} (line event 4, by memory)\n" in capsys.readouterr().out

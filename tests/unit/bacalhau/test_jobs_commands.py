import json

import pytest

from tests.unit.bacalhau.fakes import FakeEngine, Gave


def test_list_is_newest_first_one_object_a_line(desk):
    first = desk.run("-l", "one")
    desk.engine = FakeEngine(lambda number, plan, store: Gave(result=str(number).encode()))
    second = desk.run("--no-cache")
    rows = [json.loads(line) for line in desk("list", "--json").text.splitlines()]
    assert [row["job"] for row in rows] == [second["job"], first["job"]]
    assert rows[1]["labels"] == ["one"]
    assert (rows[0]["verdict"], rows[0]["record"], rows[0]["exit_code"]) == ("split", None, None)
    lines = desk("list").text.splitlines()
    assert lines[0].startswith(second["job"][:8])
    assert first["record"] in lines[1]
    assert len(desk("list", "-n", "1").text.splitlines()) == 1


def test_a_label_cannot_break_the_list(desk):
    desk.run("-l", "\x1b[31mred\nline")
    (line,) = desk("list").text.splitlines()
    assert line.endswith("\\x1b[31mred\\nline")


def test_list_of_nothing_is_empty(desk):
    said = desk("list")
    assert (said.code, said.out) == (0, b"")


def test_describe_gives_the_whole_report(desk):
    report = desk.run("-i", desk.file())
    for name in ("job", "record", "output", "task"):
        assert desk("describe", report[name], "--json").json == report
    text = desk("describe", report["job"][:5]).text
    assert report["record"] in text
    assert text.count("agrees") == 3


def test_describe_a_job_that_was_not_verified(desk):
    desk.engine = FakeEngine(lambda number, plan, store: Gave(result=str(number).encode()))
    report = desk.run()
    text = desk("describe", report["job"]).text
    assert "split" in text
    assert report["reason"] in text
    assert text.count("DISSENT") == 7


@pytest.mark.parametrize(
    ("name", "problem"),
    [("abc", "too short"), ("abcdef", "no job here"), ("what?", "neither a job id nor a CID")],
)
def test_describe_of_nothing_is_a_wrong_call(desk, name, problem):
    said = desk("describe", name)
    assert said.code == 2
    assert problem in said.err


def test_describe_of_a_cid_without_job_is_a_wrong_call(desk):
    said = desk("describe", desk("add", desk.file()).text.strip())
    assert said.code == 2
    assert "no job here" in said.err


def test_id_names_the_nodes_that_sign(desk):
    peers = [one["peer"] for one in desk("id", "--json").json["peers"]]
    report = desk.run()
    assert sorted(peers) == sorted(receipt["node"] for receipt in report["receipts"])
    assert desk("id").text.split()[1::2] == peers

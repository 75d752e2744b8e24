"""A file of a published graph: check 0, then 21 to 29; and the records in it by themselves."""

import io
import json

import pytest

from storage.car_block_store import CarBlockStore
from storage.cid import cid_text
from tests.vectors.audit.car_writing import car, reachable
from tests.vectors.audit.lineages import Line
from tests.vectors.records.world import KeptStore, identity
from verifier.audit_car import audit_car
from verifier.audit_cli import main
from verifier.graph_log import append, sign_head
from verifier.graph_types import Graph
from verifier.model import Record, load_node, store_node


def published(*, without=()):
    """Publish three generations; return the graph root, the youngest record, and the file."""
    record, blocks = Line().build()
    store = KeptStore()
    store.put_many(blocks.items())
    line = [record]
    while parents := load_node(store, line[0], Record).parents:
        line.insert(0, *parents)
    log = append(identity(7), line, size=0, last=None, at=7)
    store.put_many(log.blocks)
    head = store_node(store, sign_head(identity(7), log.leaves, log.entries[-1][0]))
    root = store_node(store, Graph(head=head, records=tuple(sorted(line))))
    kept = {cid: data for cid, data in store.kept.items() if cid not in [line[number] for number in without]}
    return root, line, car([root], reachable(kept, [root]))


def opened(data):
    return CarBlockStore(io.BytesIO(data))


def numbers(report):
    return [check.n for check in report.checks]


def test_a_graph_is_audited_as_one():
    root, _line, data = published()
    report = audit_car(opened(data))
    assert (report.verdict, report.file.ok) == ("valid", True)
    ((found, checks),) = report.records
    assert (found, numbers(checks)) == (root, list(range(21, 30)))


@pytest.mark.parametrize("number", [0, 2])
def test_a_record_in_a_graph_can_be_asked_for_and_by_its_output_too(number):
    _, line, data = published()
    store = opened(data)
    record = load_node(store, line[number], Record)
    for wanted in (line[number], record.output, record.task):
        ((found, checks),) = audit_car(store, wanted).records
        assert (found, numbers(checks), checks.verdict) == (line[number], list(range(1, 14)), "valid")


def test_what_a_graph_lacks_is_unchecked_and_a_stray_block_is_invalid():
    _root, _line, data = published(without=[0])
    assert audit_car(opened(data)).verdict == "unchecked"
    _, _, whole = published()
    assert audit_car(opened(whole + b"\0")).verdict == "invalid"


def test_the_small_command_follows_the_records_of_a_graph(tmp_path, capsys):
    root, line, data = published()
    path = tmp_path / "published.car"
    path.write_bytes(data)
    assert main([str(path), "--deep", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [one["record"] for one in said["records"]] == [cid_text(root)]
    # All of them are in the graph, so there is nothing before them.
    assert said["ancestors"]["counts"] == {"valid": 0, "invalid": 0, "unchecked": 0}
    assert main([str(path), cid_text(line[2]), "--deep", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ancestors"]["counts"]["valid"] == 2


@pytest.mark.parametrize("arguments", [["no.car"], ["."], ["x.car", "nonsense"], ["x.car", "--sample", "5%"]])
def test_a_wrong_call_is_no_verdict(tmp_path, monkeypatch, capsys, arguments):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.car").write_bytes(published()[2])
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)


def test_what_others_wrote_does_not_reach_the_terminal_as_it_is(tmp_path, capsys):
    path = tmp_path / "x\x1b[31m.car"
    assert main([str(path)]) == 2
    assert "\x1b" not in capsys.readouterr().err


def test_a_file_that_is_no_car_is_told_as_that(tmp_path, capsys):
    path = tmp_path / "passwd"
    path.write_text("root:x:0:0:root:/root:/bin/bash\n" * 8)
    assert main([str(path)]) == 1, "invalid, as docs/audit.md has it"
    assert capsys.readouterr().out == "invalid\n  FALSE    0 file         is no CAR file: it does not begin as one\n"
    path.write_bytes(published()[2][:20])
    assert main([str(path)]) == 1
    assert "  FALSE    0 file         byte " in capsys.readouterr().out, "a damaged one is told with the place"


def test_a_name_that_is_too_long_is_told_with_its_beginning(capsys):
    assert main(["a" * 5000]) == 2
    assert capsys.readouterr().err == f"bacalhau-audit: {'a' * 80}…: its name is too long for this machine\n"

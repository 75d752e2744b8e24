import sqlite3

import pytest

from storage.cid import CID, cid_text, parse_cid
from tests.unit.bacalhau.fakes import FakeEngine, Gave


@pytest.fixture
def report(desk):
    return desk.run("-i", desk.file(b"hello"))


def layout(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def leftovers(tmp_path):
    return [path.name for path in tmp_path.iterdir() if path.name.startswith((".", "job-"))]


def test_a_job_is_laid_out(desk, report, tmp_path):
    said = desk("get", report["job"][:6])
    folder = tmp_path / f"job-{report['job'][:8]}"
    assert said.code == 0
    assert said.text == f"{folder}\n"
    assert layout(folder) == ["exit_code", "outputs/outputs/made.txt", "record.car", "result", "stderr", "stdout"]
    assert (folder / "result").read_bytes() == b"HELLO"
    assert (folder / "exit_code").read_bytes() == b"0"


def test_a_record_and_an_output_give_the_same_files(desk, report, tmp_path):
    for name in (report["record"], report["output"]):
        said = desk("get", name, "--output-dir", f"to-{name[-4:]}", "--json")
        assert said.code == 0
        assert said.json["output"] == report["output"]
        assert said.json["record"] == report["record"]
    one, other = (tmp_path / f"to-{report[name][-4:]}" for name in ("record", "output"))
    assert {path: (one / path).read_bytes() for path in layout(one)} == {
        path: (other / path).read_bytes() for path in layout(other)
    }


def test_the_proof_of_a_child_holds_its_parent(desk, report, tmp_path):
    desk.engine = FakeEngine(lambda number, plan, store: Gave(result=b"the child's own"))
    child = desk.run("-i", f"{report['output']}/result")
    desk("get", child["job"], "--output-dir", "child")
    desk.home = type(desk.home)(tmp_path / "stranger")
    said = desk("audit", "--car", tmp_path / "child" / "record.car", "--json")
    assert said.json["verdict"] == "valid"
    assert said.json["checks"][13]["detail"] == "1 parent"


def test_a_dissenting_output_is_not_needed(desk, tmp_path):
    desk.engine = FakeEngine(lambda number, plan, store: Gave(result=b"a dissenting lie" if number == 1 else b"truth"))
    report = desk.run()
    desk("get", report["job"], "--output-dir", "got")
    desk.home = type(desk.home)(tmp_path / "stranger")
    assert desk("audit", "--car", tmp_path / "got" / "record.car").code == 0
    assert b"a dissenting lie" not in (tmp_path / "got" / "record.car").read_bytes()


def test_an_existing_directory_is_refused(desk, report, tmp_path):
    (tmp_path / "here").mkdir()
    said = desk("get", report["job"], "--output-dir", "here")
    assert said.code == 2
    assert "is there already" in said.err
    assert list((tmp_path / "here").iterdir()) == []


def test_a_job_that_was_not_verified_has_nothing_to_get(desk, tmp_path):
    desk.engine = FakeEngine(lambda number, plan, store: Gave(result=str(number).encode()))
    said = desk("get", desk.run()["job"])
    assert said.code == 1
    assert "was not verified (split)" in said.err
    assert leftovers(tmp_path) == []


def test_an_output_without_record_comes_without_proof(desk, tmp_path):
    (tmp_path / "y").mkdir()
    (tmp_path / "y" / "result").write_bytes(b"42")
    said = desk("get", desk("add", "y").text.strip(), "--output-dir", "got")
    assert said.code == 0
    assert layout(tmp_path / "got") == ["result"]
    assert "no record here names this output" in said.err


@pytest.mark.parametrize(
    "query", ["DELETE FROM blocks WHERE digest = ?", "UPDATE blocks SET data = X'00' WHERE digest = ?"]
)
@pytest.mark.parametrize("which", ["output", "function"])
def test_nothing_is_left_when_a_block_is_missing_or_wrong(desk, report, tmp_path, query, which):
    with sqlite3.connect(desk.home.store_path) as database:
        database.execute(query, (parse_cid(report[which])[-32:],))
    database.close()
    said = desk("get", report["job"], "--output-dir", "got")
    assert said.code == (4 if query.startswith("DELETE") else 1)
    assert cid_text(parse_cid(report[which])) in said.err
    assert not (tmp_path / "got").exists()
    assert leftovers(tmp_path) == []


def test_a_proof_has_a_block_once_that_is_linked_by_cids_of_two_versions(desk, tmp_path):
    old = desk("add", desk.file(b"x" * 300_000), "--profile", "unixfs-v0-2015").text.strip()
    new = cid_text(CID(b"\x01\x70" + parse_cid(old)))
    report = desk.run("-i", old, "-v", f"{new}:/more")
    assert desk("get", report["job"], "--output-dir", "got").code == 0
    assert desk("audit", "--car", tmp_path / "got" / "record.car").code == 0

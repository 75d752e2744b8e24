import sqlite3

import pytest

from runtime.engine import UndeterminedError
from storage.car import read_car, write_car
from storage.cid import cid_text, make_cid, parse_cid
from tests.unit.bacalhau.fakes import STATE, FakeEngine, Gave, shout
from tests.vectors.audit.write_vectors import FOLDER as VECTORS


def rows(desk):
    with sqlite3.connect(desk.home.store_path) as database:
        found = database.execute("SELECT digest, data FROM blocks").fetchall()
    database.close()
    return found


def write(desk, query, *values):
    with sqlite3.connect(desk.home.store_path) as database:
        database.execute(query, values)
    database.close()


@pytest.fixture
def report(desk):
    return desk.run("-i", desk.file(b"hello"))


def test_a_record_an_output_a_task_and_a_job_can_be_named(desk, report):
    for name in (report["record"], report["output"], report["task"], report["job"], report["job"][:6]):
        said = desk("audit", name, "--json")
        assert said.code == 0, name
        assert said.json["verdict"] == "valid"
        assert said.json["record"] == report["record"]
        assert [check["n"] for check in said.json["checks"]] == list(range(1, 14))
        assert all(set(check) == {"n", "name", "ok", "detail"} and check["ok"] for check in said.json["checks"])
        assert said.json["reruns"] == []


def audit_of_vector(desk, name):
    """Return the report of one of the vectors' files: JSON, and the lines of text."""
    file = VECTORS / name / "evidence.car"
    return desk("audit", "--car", file, "--json").json, desk("audit", "--car", file).text.splitlines()


def test_nodes_that_may_have_seen_earlier_receipts_are_told(desk):
    said, lines = audit_of_vector(desk, "agreed")
    assert (said["verdict"], said["blind"]) == ("valid", 3)
    assert not any("earlier receipts" in line for line in lines)
    said, lines = audit_of_vector(desk, "rounds")
    assert (said["verdict"], said["blind"]) == ("valid", 2)
    later = "1 of 3 that agree may have seen earlier receipts"
    assert [line.split()[1:3] for line in lines if later in line] == [["9", "rounds"]]
    said, lines = audit_of_vector(desk, "rounds-dropped_fail")
    assert (said["verdict"], said["blind"]) == ("invalid", None)
    said, lines = audit_of_vector(desk, "graph-rounds")
    assert (said["verdict"], said["unblind"]) == ("valid", 1)
    assert any("in 1 of them nodes that agree may have seen earlier receipts" in line for line in lines)


def test_a_version_that_is_no_text_is_invalid_and_no_bug(desk):
    said = desk("audit", "--car", VECTORS / "file-root-version_fail" / "evidence.car", "--json")
    assert (said.code, said.json["verdict"]) == (1, "invalid")


def test_people_read_the_checks(desk, report):
    said = desk("audit", report["record"])
    assert said.code == 0
    assert said.text.startswith("valid\n")
    assert " 2 blocks" in said.text


def test_one_flipped_byte_of_any_block_is_found(desk, report):
    unaudited = 0
    for digest, data in rows(desk):
        flipped = bytes([data[0] ^ 1]) + data[1:] if data else b"x"
        write(desk, "UPDATE blocks SET data = ? WHERE digest = ?", flipped, digest)
        said = desk("audit", report["record"], "--json")
        if said.code == 0:
            unaudited += 1
        else:
            assert said.code == 1
            assert said.json["verdict"] == "invalid"
            assert any(check["ok"] is False and check["name"] for check in said.json["checks"])
        write(desk, "UPDATE blocks SET data = ? WHERE digest = ?", data, digest)
    assert unaudited == 0
    assert desk("audit", report["record"]).code == 0


def test_a_missing_block_is_unchecked(desk, report):
    wanted = parse_cid(report["output"])[-32:]
    write(desk, "DELETE FROM blocks WHERE digest = ?", wanted)
    said = desk("audit", report["record"], "--json")
    assert said.code == 4
    assert said.json["verdict"] == "unchecked"
    assert {check["ok"] for check in said.json["checks"]} == {True, None}


def test_an_output_without_record_is_unchecked(desk):
    said = desk("audit", desk("add", desk.file()).text.strip(), "--json")
    assert said.code == 4
    assert said.json["verdict"] == "unchecked"
    assert said.json["reason"] == "no record here names this output"
    assert said.json["checks"] == []


def test_a_record_that_is_not_here_is_unchecked(desk):
    said = desk("audit", cid_text(make_cid(0x71, b"nowhere")), "--json")
    assert said.code == 4
    assert said.json["verdict"] == "unchecked"
    told = desk("audit", cid_text(make_cid(0x71, b"nowhere"))).text
    assert told.count("block is not in this store") == 1, "once, not for each check that it keeps from being made"
    verdict, first, more, taint = told.splitlines()
    assert (verdict, more.strip()) == ("unchecked", "and 12 further checks for the same reason")
    assert first.startswith("  unknown  1 record ")
    assert taint.startswith("perhaps tainted")


def test_a_job_that_was_not_verified_is_unchecked(desk):
    desk.engine = FakeEngine(lambda number, plan, store: Gave(result=str(number).encode()))
    split = desk.run()
    said = desk("audit", split["job"], "--json")
    assert said.code == 4
    assert "not verified (split)" in said.json["reason"]
    assert desk("audit", split["task"]).code == 1  # a task is no record: check 1 says so


def test_the_newest_record_of_an_output_is_audited(desk):
    first, second = desk.run(), desk.run()
    assert first["output"] == second["output"]
    assert desk("audit", first["output"], "--json").json["record"] == second["record"]


def test_a_record_of_something_else_does_not_prove_what_was_asked(desk, report):
    other = desk.run("-i", desk.file(b"other"))
    with sqlite3.connect(desk.home.datastore_path) as database:
        stolen = (bytes(parse_cid(report["record"])), other["job"])
        database.execute("UPDATE jobs SET record = ? WHERE id = ?", stolen)
    database.close()
    for name in (other["output"], other["task"], other["job"]):
        said = desk("audit", name, "--json")
        assert said.code == 4, name
        assert said.json["verdict"] == "unchecked"
        assert "of something else" in said.json["reason"]
        assert desk("get", name, "--output-dir", "got").code == 4
    assert desk("audit", other["record"]).code == 0


@pytest.mark.parametrize("arguments", [[], ["beef"], ["bafynonsense"], ["abcd", "--car", "no.car"]])
def test_what_names_nothing_is_a_wrong_call(desk, arguments):
    said = desk("audit", *arguments)
    assert said.code == 2
    assert said.out == b""
    assert said.err.count("\n") == 1


def test_a_file_is_audited_with_a_flag_and_the_error_says_so(desk, tmp_path):
    file = tmp_path / "record.car"
    file.write_bytes(b"")
    said = desk("audit", str(file))
    assert (said.code, said.out) == (2, b"")
    assert f"`bacalhau audit --car {file}`" in said.err


def test_a_rerun_compares_output_and_state(desk, report):
    said = desk("audit", report["record"], "--rerun", "--json")
    assert said.code == 0
    (again,) = said.json["reruns"]
    assert (again["ok"], again["output"], again["state_digest"]) == (True, report["output"], STATE)
    assert (again["engine"], again["arch"]) == ("fake", "x86_64")
    assert desk.engine.calls == 4


def test_an_engine_implies_a_rerun_on_it(desk, report):
    assert len(desk("audit", report["record"], "--engine", "node", "--json").json["reruns"]) == 1
    assert desk("audit", report["record"], "--engine", "abacus").code == 2


@pytest.mark.parametrize(
    ("behave", "word"),
    [
        (lambda *_: Gave(result=b"other"), "another output"),
        (lambda *task: Gave(**vars(shout(*task)) | {"state_digest": "00" * 32}), "another memory state"),
    ],
)
def test_a_rerun_that_differs_makes_it_invalid(desk, report, behave, word):
    desk.engine = FakeEngine(behave)
    before = rows(desk)
    said = desk("audit", report["record"], "--rerun", "--json")
    assert said.code == 1
    assert said.json["verdict"] == "invalid"
    assert all(check["ok"] for check in said.json["checks"])
    (again,) = said.json["reruns"]
    assert again["ok"] is False
    assert word in again["detail"]
    assert sorted(rows(desk)) == sorted(before)


def test_a_rerun_that_could_not_end_is_unchecked(desk, report):
    desk.engine = FakeEngine(lambda *_: UndeterminedError("the worker died"))
    said = desk("audit", report["record"], "--rerun", "--json")
    assert said.code == 4
    assert said.json["reruns"][0]["ok"] is None
    assert "the worker died" in said.json["reruns"][0]["detail"]


def test_what_is_invalid_is_not_run_again(desk, report):
    write(desk, "UPDATE blocks SET data = X'00' WHERE digest = ?", parse_cid(report["output"])[-32:])
    said = desk("audit", report["record"], "--rerun", "--json")
    assert said.code == 1
    assert said.json["reruns"] == []
    assert "not run again" in said.json["reason"]
    assert desk.engine.calls == 3


@pytest.fixture
def proof(desk, report, tmp_path):
    """A record.car, in a place that has nothing else."""
    assert desk("get", report["job"], "--output-dir", "got").code == 0
    desk.home = type(desk.home)(tmp_path / "stranger")
    return tmp_path / "got" / "record.car"


def test_a_proof_audits_offline(desk, report, proof):
    for name in ([], [report["record"]], [report["output"]], [report["task"]]):
        said = desk("audit", *name, "--car", proof, "--json")
        assert said.code == 0, said
        assert said.json["verdict"] == "valid"
        assert [check["n"] for check in said.json["checks"]] == list(range(14))
    assert not desk.home.store_path.exists()


def test_a_proof_can_be_rerun(desk, proof):
    said = desk("audit", "--car", proof, "--rerun", "--json")
    assert said.code == 0
    assert said.json["reruns"][0]["ok"] is True


def test_a_proof_of_something_else_is_refused(desk, proof):
    said = desk("audit", cid_text(make_cid(0x71, b"other")), "--car", proof)
    assert said.code == 2
    assert "does not prove this" in said.err


def test_a_root_that_is_no_record_does_not_hide_the_one_that_is(desk, report, proof, tmp_path):
    with proof.open("rb") as stream:
        blocks = list(read_car(stream).blocks)
    junk = make_cid(0x71, b"\xa0")
    with proof.open("wb") as stream:
        write_car(stream, [junk, parse_cid(report["record"])], [(junk, b"\xa0"), *blocks])
    assert desk("audit", report["output"], "--car", proof).code == 0
    assert desk("audit", cid_text(junk), "--car", proof).code == 1
    # Without a CID all of its roots are meant.
    found = desk("audit", "--car", proof, "--json")
    assert (found.code, found.json["counts"]) == (1, {"valid": 1, "invalid": 1, "unchecked": 0})


def test_a_damaged_proof_is_invalid(desk, report, proof):
    data = proof.read_bytes()
    for at in (len(data) - 1, len(data) // 2, len(data) // 4):
        proof.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        said = desk("audit", report["record"], "--car", proof, "--json")
        assert said.code == 1, at
        assert said.json["verdict"] == "invalid"
        assert [check["name"] for check in said.json["checks"] if check["ok"] is False][:1] == ["file"]


def test_a_truncated_proof_is_not_valid(desk, report, proof):
    data = proof.read_bytes()
    proof.write_bytes(data[:-10])
    assert desk("audit", report["record"], "--car", proof).code == 1
    proof.write_bytes(data[:20])
    assert desk("audit", report["record"], "--car", proof).code == 1


def test_what_is_no_car_is_no_evidence(desk, tmp_path):
    said = desk("audit", "--car", desk.file(b"no car at all"))
    assert said.code == 1
    assert "bacalhau get" in said.text


def test_a_block_that_nothing_leads_to_is_no_part_of_a_proof(desk, report, proof):
    with proof.open("rb") as stream:
        blocks = list(read_car(stream).blocks)
    stray = make_cid(0x55, b"stray")
    with proof.open("wb") as stream:
        write_car(stream, [parse_cid(report["record"])], [*blocks, (stray, b"stray")])
    said = desk("audit", "--car", proof, "--rerun", "--json")
    assert (said.code, said.json["verdict"], said.json["reruns"]) == (1, "invalid", [])
    assert said.json["reason"] == "not run again: the file is not sound"
    assert cid_text(stray) in said.json["checks"][0]["detail"]


@pytest.fixture
def child(desk, report):
    """A record of what the first one gave."""
    desk.engine = FakeEngine(lambda number, plan, store: Gave(result=b"the child's own"))
    return desk.run("-i", f"{report['output']}/result")


def test_deep_follows_the_parents(desk, report, child):
    said = desk("audit", child["record"], "--deep", "--json")
    assert (said.code, said.json["verdict"]) == (0, "valid")
    assert [check["n"] for check in said.json["checks"]] == [*range(1, 14), 17]
    assert said.json["ancestors"] == {
        "counts": {"valid": 1, "invalid": 0, "unchecked": 0},
        "generations": 1,
        "unblind": 0,
        "listed": [],
    }
    assert "ancestors" not in desk("audit", child["record"], "--json").json


def test_a_parent_that_is_damaged_is_seen_by_deep_alone(desk, report, child):
    write(desk, "DELETE FROM blocks WHERE digest = ?", parse_cid(report["receipts"][0]["output"])[-32:])
    wanted = parse_cid(report["input"])[-32:]
    write(desk, "DELETE FROM blocks WHERE digest = ?", wanted)
    said = desk("audit", child["record"], "--deep", "--json")
    assert (said.code, said.json["verdict"]) == (4, "unchecked")
    assert said.json["ancestors"]["listed"][0]["record"] == report["record"]
    assert report["record"] in desk("audit", child["record"], "--deep").text


def test_deep_runs_the_parents_again_too(desk, report, child):
    desk.engine = FakeEngine()
    said = desk("audit", child["record"], "--deep", "--rerun", "--json")
    assert said.code == 1  # this engine gives something else for the child
    mine, parents = said.json["reruns"]
    assert (mine["ok"], parents["ok"], parents["record"]) == (False, True, report["record"])


def test_a_rerun_of_a_parent_that_differs_is_invalid(desk, report, child):
    said = desk("audit", child["record"], "--deep", "--rerun", "--json")
    assert (said.code, said.json["ancestors"]["counts"]["invalid"]) == (1, 1)


def test_a_sample_of_parents_is_unchecked_and_says_its_seed(desk, report, child):
    said = desk("audit", child["record"], "--deep", "--sample", "100%", "--json")
    assert (said.code, said.json["sample"]["chosen"], said.json["sample"]["total"]) == (0, 1, 1)
    seed = said.json["sample"]["seed"]
    again = desk("audit", child["record"], "--deep", "--sample", "100%", "--sample-seed", seed, "--json")
    assert again.json["sample"] == said.json["sample"]
    assert desk("audit", child["record"], "--deep", "--sample", "100%", "--json").json["sample"]["seed"] != seed


@pytest.mark.parametrize(
    "flags", [["--sample", "5%"], ["--sample", "5"], ["--sample-seed", "00" * 32], ["--deep", "--sample", "0%"]]
)
def test_a_sample_that_means_nothing_is_a_wrong_call(desk, report, flags):
    assert desk("audit", report["record"], *flags).code == 2


@pytest.mark.parametrize(
    ("case", "code", "first"),
    [
        ("graph-goes-on", 0, [(30, True)]),
        ("graph-equivocation_fail", 1, [(30, False)]),
        ("graph-pair-no-log_missing", 4, [(30, None)]),
    ],
)
def test_a_file_of_several_graphs(desk, case, code, first):
    file = VECTORS / case / "evidence.car"
    said = desk("audit", "--car", file, "--json")
    assert (said.code, said.json["record"]) == (code, None)
    assert [(check["n"], check["ok"]) for check in said.json["checks"]] == [(0, True), *first]
    roots = said.json["roots"]
    assert [(root["kind"], root["checks"][0]["n"]) for root in roots] == [("graph", 21)] * 2
    text = desk("audit", "--car", file).text
    assert all(f"  graph {root['cid']}: {root['verdict']}" in text for root in roots)
    one = desk("audit", roots[1]["cid"], "--car", file, "--json").json
    assert (one["graph"], one["verdict"]) == (roots[1]["cid"], roots[1]["verdict"])


def test_a_file_of_several_graphs_is_audited_whole(desk):
    said = desk("audit", "--car", VECTORS / "graph-goes-on" / "evidence.car", "--deep")
    assert said.code == 2
    assert "name one of its records" in said.err

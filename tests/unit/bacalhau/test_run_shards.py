"""Jobs over shards from the command line to their reports, rows and files, with a fake engine."""

import json
import random
import re
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bacalhau.conflict_list import MAX_CONFLICT_BYTES, conflict_list
from bacalhau.shard_report import count_shards, job_verdict
from network.job_shards import JobShard
from runtime.engine import UndeterminedError
from storage.cid import DAG_CBOR, RAW, cid_text, make_cid, parse_cid
from storage.sqlite_collection import collect
from storage.unixfs_read import UnixfsReader
from tests.unit.bacalhau.fakes import FakeEngine, Gave, shout
from tests.unit.bacalhau.test_run_python import CONTRACT
from verifier.merge_types import load_merge, store_merge
from verifier.model import Record, load_node
from verifier.shard_merge import Conflict, Version

TASK, BLOCK = make_cid(DAG_CBOR, b"task"), make_cid(RAW, b"block")
SHARD_KEYS = {
    "index", "first", "picks", "task", "input", "output", "record", "verdict", "exit_code", "fuel", "receipts",
    "cached", "reason",
}  # fmt: skip


def names_of(plan, store):
    return [name for name, _ in UnixfsReader(store).entries(plan.input.data)]


def note_names(_number, plan, store):
    """Write a file of each name that the shard has, in capitals."""
    names = names_of(plan, store)
    said = " ".join(names)
    return Gave(stdout=f"saw\n{said}\n".encode(), outputs={name: name.upper().encode() for name in names})


def unless(name, otherwise):
    """Do something else in the shard that has a file of this name."""

    def behave(number, plan, store):
        if name in names_of(plan, store):
            return otherwise(number, plan, store)
        return note_names(number, plan, store)

    return behave


def parents_of(store, record):
    return [cid_text(cid) for cid in load_node(store, parse_cid(record), Record).parents]


@pytest.fixture
def desk(desk):
    desk.engine = FakeEngine(note_names)
    return desk


@pytest.fixture
def folder(desk):
    """Five files at the top: three shards by batches of two."""
    path = desk.home.root.parent / "in"
    path.mkdir()
    for name in "abcde":
        (path / name).write_text(f"content of {name}")
    return path


BY_TWO = ("--sharding-glob-pattern", "/*", "--sharding-batch-size", 2)


def call(desk, folder, *arguments, split=BY_TWO):
    return desk("run", "python", desk.function, "-i", folder, *split, *arguments)


def run(desk, folder, *arguments, split=BY_TWO):
    said = call(desk, folder, "--json", *arguments, split=split)
    assert said.out, said.err
    return said.json


def test_every_shard_is_a_verified_task(desk, folder):
    said = call(desk, folder, "--json", "-l", "a")
    report = said.json
    assert said.code == 0
    assert set(report) >= CONTRACT | {"conflicts", "sharding", "reason", "labels", "created_at"}
    assert (report["verdict"], report["tier"], report["exit_code"]) == ("agreed", "verified", 0)
    assert (report["task"], report["record"], report["receipts"], report["conflicts"]) == (None, None, [], [])
    assert report["labels"] == ["a"]
    assert desk.engine.calls == 9
    shards = report["shards"]
    assert [set(one) for one in shards] == [SHARD_KEYS] * 3
    assert [(one["index"], one["first"], one["picks"]) for one in shards] == [(0, "a", 2), (1, "c", 2), (2, "e", 1)]
    assert {(one["verdict"], one["cached"], one["exit_code"], one["receipts"]) for one in shards} == {
        ("agreed", False, 0, 3)
    }
    with desk.store() as store:
        for one in shards:
            record = load_node(store, parse_cid(one["record"]), Record)
            named = tuple(parse_cid(one[name]) for name in ("task", "input", "output"))
            assert (record.task, record.input, record.output) == named
        reader, output = UnixfsReader(store), parse_cid(report["output"])
        assert reader.resolve(output, "shards/1") == parse_cid(shards[1]["output"])
        assert [name for name, _ in reader.entries(reader.resolve(output, "outputs/outputs"))] == list("abcde")


def test_a_pattern_begins_at_the_base_path(desk, folder):
    (folder / "sub").mkdir()
    (folder / "sub" / "x").write_text("x")
    split = ("--sharding-glob-pattern", "/*", "--sharding-base-path", "/inputs/sub")
    report = run(desk, folder, split=split)
    assert [one["first"] for one in report["shards"]] == ["x"]
    assert report["sharding"]["base_path"] == "/inputs/sub"
    assert desk("audit", report["job"]).code == 0


def test_a_file_cannot_be_split(desk, folder):
    said = call(desk, folder / "a")
    assert (said.code, "is a file; name a directory to split" in said.err) == (2, True)


def test_the_input_is_that_of_the_job_unsharded(desk, folder):
    whole = desk("run", "python", desk.function, "-i", folder, "--dry-run", "--json").json
    assert run(desk, folder)["input"] == whole["input"]


def test_what_was_verified_is_not_run_again(desk, folder):
    first = run(desk, folder)
    calls = desk.engine.calls
    said = call(desk, folder, "--json")
    second = said.json
    assert (said.code, desk.engine.calls) == (0, calls)
    assert (second["verdict"], second["tier"]) == ("cached", "verified")
    assert {(one["verdict"], one["cached"]) for one in second["shards"]} == {("cached", True)}
    for name in ("task", "input", "output", "record", "exit_code", "receipts", "reason"):
        assert [one[name] for one in second["shards"]] == [one[name] for one in first["shards"]], name
    assert second["output"] == first["output"]
    third = run(desk, folder, "--no-cache")
    assert (third["verdict"], desk.engine.calls) == ("agreed", 2 * calls)


def test_only_the_shard_that_changed_runs_again(desk, folder):
    first = run(desk, folder)
    calls = desk.engine.calls
    (folder / "c").write_text("something else")
    second = run(desk, folder)
    assert desk.engine.calls == calls + 3
    assert [one["cached"] for one in second["shards"]] == [True, False, True]
    assert second["verdict"] == "agreed"
    assert second["shards"][1]["task"] != first["shards"][1]["task"]


@pytest.mark.parametrize("seed", range(4))
def test_whatever_changes_what_is_the_same_task_does_not_run(desk, folder, seed):
    draw = random.Random(seed)
    for number in range(12):
        (folder / f"f{number}").write_text("same" if number % 2 else f"{number}")
    tasks = {one["task"] for one in run(desk, folder)["shards"]}
    for path in draw.sample(sorted(folder.iterdir()), 3):
        draw.choice(
            [path.unlink, lambda path=path: path.write_text("new"), lambda path=path: path.rename(f"{path}x")]
        )()
    calls = desk.engine.calls
    report = run(desk, folder)
    fresh = [one["task"] for one in report["shards"] if one["task"] not in tasks]
    assert desk.engine.calls == calls + 3 * len(fresh)
    assert [one["task"] for one in report["shards"] if not one["cached"]] == fresh
    desk.engine.calls = 0
    assert run(desk, folder, "--no-cache")["output"] == report["output"]


def test_one_node_that_was_believed_is_not_enough_for_a_job_that_asks_for_two(desk, folder):
    run(desk, folder, "--concurrency", 1, "--confidence", 1)
    assert run(desk, folder)["verdict"] == "agreed"
    # More were asked then than now.
    assert run(desk, folder, "--concurrency", 2)["verdict"] == "cached"


def test_a_function_that_fails_in_one_shard_is_verified_and_run_once(desk, folder):
    desk.engine = FakeEngine(unless("c", lambda *_: Gave(stderr=b"oh no\n", exit_code=5)))
    said = call(desk, folder, "--json")
    report = said.json
    assert said.code == 3
    assert (report["verdict"], report["tier"], report["exit_code"], report["reason"]) == ("agreed", "verified", 5, None)
    assert [one["exit_code"] for one in report["shards"]] == [0, 5, 0]
    assert report["sharding"]["failed"] == 1
    assert desk.engine.calls == 9
    human = call(desk, folder)
    assert human.code == 3
    assert "shard 1 (c): exit code 5" in human.err
    assert re.search(r"next: bacalhau logs (\w+)\n      bacalhau describe \1\n", human.err)
    assert desk.engine.calls == 9


def test_a_split_shard_makes_the_job_unverified_and_leaves_the_others_output(desk, folder):
    desk.engine = FakeEngine(unless("c", lambda number, *_: Gave(result=b"%d" % number)))
    said = call(desk, folder, "--json")
    report = said.json
    assert said.code == 1
    assert (report["verdict"], report["tier"], report["exit_code"]) == ("split", "unverified", None)
    assert "1 of 3 shards is not verified: shard 1 (split)" in report["reason"]
    split = report["shards"][1]
    assert (split["output"], split["record"], split["exit_code"]) == (None, None, None)
    assert "7 nodes gave 7 different outputs" in split["reason"]
    with desk.store() as store:
        reader, output = UnixfsReader(store), parse_cid(report["output"])
        assert [name for name, _ in reader.entries(reader.resolve(output, "shards"))] == ["0", "2"]
    assert desk.engine.calls == 6 + 7
    human = call(desk, folder)
    assert (human.code, "not verified (split)" in human.err) == (1, True)


def test_a_shard_whose_hosts_failed_is_tried_once_more(desk, folder):
    died = []

    def twice(number, plan, store):
        if "e" in names_of(plan, store) and len(died) < 7:
            died.append(number)
            return UndeterminedError("the worker died")
        return note_names(number, plan, store)

    desk.engine = FakeEngine(twice)
    assert run(desk, folder)["verdict"] == "agreed"
    assert desk.engine.calls == 6 + 7 + 3


def test_a_shard_is_not_tried_for_ever(desk, folder):
    desk.engine = FakeEngine(unless("e", lambda *_: UndeterminedError("the worker died")))
    said = call(desk, folder, "--json")
    assert (said.code, said.json["verdict"]) == (1, "too-few")
    assert "the worker died" in said.json["reason"]
    assert desk.engine.calls == 6 + 2 * 7


def test_after_too_many_failures_no_shard_is_begun(desk, folder, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    desk.engine = FakeEngine(unless("a", lambda *_: Gave(exit_code=1)))
    said = call(desk, folder, "--json", "--max-failures", 0)
    report = said.json
    assert said.code == 1
    assert (report["verdict"], report["tier"], report["exit_code"]) == ("too-few", "unverified", None)
    assert report["reason"] == "1 shard failed, --max-failures is 0: further shards were not begun"
    assert [one["index"] for one in report["shards"]] == [0]
    assert report["output"] is not None
    assert run(desk, folder, "--max-failures", 1)["verdict"] == "agreed"


def test_a_failure_of_the_last_shard_leaves_none_out(desk, folder, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    desk.engine = FakeEngine(unless("e", lambda *_: Gave(exit_code=1)))
    report = run(desk, folder, "--max-failures", 0)
    assert (report["verdict"], report["exit_code"], len(report["shards"])) == ("agreed", 1, 3)


def test_conflicts_are_listed_and_nobody_wins(desk, folder):
    desk.engine = FakeEngine(lambda _number, plan, store: Gave(outputs={"first": names_of(plan, store)[0].encode()}))
    said = call(desk, folder, "--json")
    report = said.json
    (conflict,) = report["conflicts"]
    assert (said.code, report["conflict_count"], report["verdict"]) == (0, 1, "agreed")
    assert conflict["path"] == "outputs/first"
    assert [version["shard"] for version in conflict["versions"]] == [0, 1, 2]
    with desk.store() as store:
        reader, output = UnixfsReader(store), parse_cid(report["output"])
        assert list(reader.entries(reader.resolve(output, "outputs/outputs"))) == []
        assert reader.read_bytes(reader.resolve(output, "shards/1/outputs/outputs/first"), 9) == b"c"
    human = call(desk, folder)
    assert "conflict: outputs/outputs/first differs between shards 0, 1, 2" in human.err


def test_an_interrupted_job_leaves_what_was_verified(desk, folder, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    desk.engine = FakeEngine(unless("e", lambda *_: KeyboardInterrupt()))
    said = call(desk, folder)
    assert said.code == 130
    assert "kept: 2 shards that were verified" in said.err
    assert desk("list").out == b""
    desk.engine = FakeEngine(note_names)
    assert [one["cached"] for one in run(desk, folder)["shards"]] == [True, True, False]
    assert desk.engine.calls == 3


def test_a_dry_run_tells_the_tasks_and_runs_nothing(desk, folder):
    plan = call(desk, folder, "--dry-run", "--json").json
    assert (plan["task"], plan["sharding"]["shards"], desk.engine.calls) == (None, 3, 0)
    assert plan["sharding"]["glob_pattern"] == "/*"
    report = run(desk, folder)
    for name in ("index", "first", "picks", "task", "input"):
        assert [one[name] for one in plan["shards"]] == [one[name] for one in report["shards"]], name
    text = call(desk, folder, "--dry-run").text
    assert f"shard 1  {plan['shards'][1]['task']}  c … d (2)" in text


def test_the_id_alone_and_the_output_on_stdout(desk, folder):
    job = call(desk, folder, "--id-only").text.strip()
    assert len(job) == 32
    assert call(desk, folder).text.strip() == desk("describe", job, "--json").json["output"]


def test_progress_is_a_few_lines(desk, folder):
    said = call(desk, folder)
    assert "3 of 3 shards done" in said.err
    assert said.err.count("running") == 1


def test_get_lays_out_every_shard_with_its_proof(desk, folder, tmp_path):
    desk.engine = FakeEngine(unless("c", lambda *_: Gave(exit_code=5)))
    report = run(desk, folder)
    said = desk("get", report["job"], "--output-dir", tmp_path / "got", "--json")
    assert (said.code, said.json["shards"]) == (0, 3)
    got = tmp_path / "got"
    assert {path.name for path in got.iterdir()} == {"shards", "outputs", "exit_code", "shards.jsonl", "record.car"}
    assert (got / "exit_code").read_text() == "5"
    assert sorted(path.name for path in (got / "outputs/outputs").iterdir()) == ["a", "b", "e"]
    assert (got / "shards/0/stdout").read_text() == "saw\na b\n"
    assert [json.loads(line) for line in (got / "shards.jsonl").read_text().splitlines()] == report["shards"]
    desk.home = replace(desk.home, root=tmp_path / "elsewhere")
    for number, one in enumerate(report["shards"]):
        found = desk("audit", "--car", got / f"shards/{number}/record.car", "--json").json
        assert (found["verdict"], found["record"]) == ("valid", one["record"])
        assert desk("audit", one["task"], "--car", got / "record.car").code == 0
    assert desk("audit", "--car", got / "record.car", "--json").json["counts"]["valid"] == 3


def test_proofs_that_would_be_too_large_together_are_one(desk, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("bacalhau.shard_layout.MAX_PROOF_BYTES", 5000)
    report = run(desk, folder)
    said = desk("get", report["job"], "--output-dir", tmp_path / "got")
    assert "those of all are in record.car" in said.err
    assert [path.parent.name for path in (tmp_path / "got").rglob("record.car")] == ["got"]


def test_a_job_of_many_records_has_several_files_of_them(desk, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("bacalhau.shard_layout.MAX_ROOTS", 2)
    job = run(desk, folder)["job"]
    desk("get", job, "--output-dir", tmp_path / "got")
    for name, count in (("record.car", 2), ("record-1.car", 1)):
        found = desk("audit", "--car", tmp_path / "got" / name, "--json").json
        assert found["verdict"] == "valid"
        assert found.get("counts", {"valid": 1})["valid"] == count


def test_run_lays_the_output_out(desk, folder, tmp_path):
    said = call(desk, folder, "--output-dir", tmp_path / "got")
    assert (said.code, (tmp_path / "got/shards/2/outputs/outputs/e").read_bytes()) == (0, b"E")
    assert call(desk, folder, "--output-dir", tmp_path / "got").code == 2


def test_a_partial_output_is_laid_out_and_an_absent_one_is_not(desk, folder, tmp_path):
    desk.engine = FakeEngine(unless("c", lambda number, *_: Gave(result=b"%d" % number)))
    job = run(desk, folder)["job"]
    assert desk("get", job, "--output-dir", tmp_path / "got").code == 0
    assert not (tmp_path / "got/exit_code").exists()
    assert len((tmp_path / "got/shards.jsonl").read_text().splitlines()) == 3
    desk.engine = FakeEngine(lambda number, *_: Gave(result=b"%d" % number))
    said = call(desk, folder, "--json", "--no-cache", "--output-dir", tmp_path / "other")
    assert (said.code, said.json["output"], said.json["verdict"]) == (1, None, "split")
    assert not (tmp_path / "other").exists()
    assert desk("get", said.json["job"]).code == 1


def test_a_job_over_shards_is_listed_and_described(desk, folder):
    desk.engine = FakeEngine(unless("c", lambda *_: Gave(exit_code=5)))
    report = run(desk, folder)
    assert "over shards" in desk("list").text
    assert desk("list", "--json").json["task"] is None
    for name in (report["job"], report["output"], report["shards"][0]["record"]):
        assert desk("describe", name, "--json").json == report
    text = desk("describe", report["job"]).text
    assert "shard 1 (c): exit code 5" in text
    assert "glob_pattern  /*" in text


def test_what_is_kept_with_the_job_does_not_grow_with_its_shards(desk, folder):
    report = run(desk, folder)
    with desk.jobs() as jobs:
        job = jobs.find(report["job"])
        assert (job.report["shards"], len(jobs.shards(job.id))) == ([], 3)


def test_logs_say_which_shard_wrote_what(desk, folder):
    desk.engine = FakeEngine(unless("c", lambda *_: Gave(stdout=b"one\ntwo\x1b[31m\n", stderr=b"oh no\n")))
    report = run(desk, folder)
    said = desk("logs", report["job"])
    assert said.text == "0: saw\n0: a b\n1: one\n1: two\n2: saw\n2: e\n"
    assert said.err == "1: oh no\n"
    listed = desk("logs", report["job"], "--json").json
    assert (listed["has_more"], [one["index"] for one in listed["shards"]]) == (False, [0, 1, 2])
    assert desk("logs", report["shards"][2]["record"]).text == "2: saw\n2: e\n"


def test_events_of_a_job_over_shards(desk, folder):
    report = run(desk, folder)
    kinds = [json.loads(line)["kind"] for line in desk("events", report["job"], "--json").text.splitlines()]
    assert kinds == ["submitted", "shards", "verdict", "ended"]
    assert "None" not in desk("events", report["job"]).text


def test_audit_checks_every_shard_and_that_they_are_the_job(desk, folder):
    report = run(desk, folder)
    said = desk("audit", report["job"], "--json")
    assert (said.code, said.json["verdict"], said.json["shards"]) == (0, "valid", [])
    assert said.json["counts"] == {"valid": 3, "invalid": 0, "unchecked": 0}
    assert [check["n"] for check in said.json["checks"]] == list(range(1, 17))
    assert desk("audit", report["output"], "--json").json == said.json


def test_audit_names_a_shard_whose_record_is_gone(desk, folder):
    report = run(desk, folder)
    with desk.store() as store, store.writing() as connection:
        digest = parse_cid(report["shards"][1]["record"])[4:]
        assert connection.execute("DELETE FROM blocks WHERE digest = ?", (digest,)).rowcount == 1
    said = desk("audit", report["job"])
    assert said.code == 4
    assert said.text.splitlines()[0] == "unchecked: of 3 shards 1 not valid"
    assert "shard 1: unchecked: record: " in said.text
    assert desk("audit", report["job"], "--json").json["shards"][0]["index"] == 1
    # And the shard can be run again.
    assert [one["cached"] for one in run(desk, folder)["shards"]] == [True, False, True]


@pytest.mark.parametrize(
    ("sql", "name"),
    [
        ("UPDATE jobs SET report = replace(report, '\"/*\"', '\"/[ab]\"')", "split"),
        ("UPDATE shards SET record = (SELECT record FROM shards WHERE number = 0) WHERE number = 1", "shards"),
        ("UPDATE jobs SET output = (SELECT output FROM shards WHERE number = 0)", "merge"),
    ],
)
def test_audit_finds_that_rows_and_records_contradict_each_other(desk, folder, sql, name):
    job = run(desk, folder)["job"]
    with desk.jobs() as jobs:
        jobs._connection.execute(sql)
    said = desk("audit", job, "--json")
    assert (said.code, said.json["verdict"]) == (1, "invalid")
    assert [check["name"] for check in said.json["checks"] if check["ok"] is False] == [name]


def test_audit_of_a_job_that_is_not_verified_is_not_valid(desk, folder, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    desk.engine = FakeEngine(unless("c", lambda number, *_: Gave(result=b"%d" % number)))
    split = run(desk, folder)
    found = desk("audit", split["job"], "--json")
    assert (found.code, found.json["counts"]) == (4, {"valid": 2, "invalid": 0, "unchecked": 1})
    stopped = run(desk, folder, "--max-failures", 0)
    found = desk("audit", stopped["job"], "--json")
    assert (found.code, found.json["counts"]["valid"]) == (4, 1)


def test_audit_reruns_every_shard(desk, folder):
    job = run(desk, folder)["job"]
    calls = desk.engine.calls
    found = desk("audit", job, "--rerun", "--json").json
    assert [one["shard"] for one in found["reruns"]] == [0, 1, 2]
    assert desk.engine.calls == calls + 3


def test_a_sample_of_shards_is_never_valid_and_can_be_repeated(desk, folder):
    job = run(desk, folder)["job"]
    said = desk("audit", job, "--sample", "34%", "--sample-seed", "00" * 32, "--json")
    assert (said.code, said.json["verdict"]) == (4, "unchecked")
    assert said.json["counts"] == {"valid": 2, "invalid": 0, "unchecked": 0}
    assert [check["n"] for check in said.json["checks"] if not check["ok"]] == [18]
    assert said.json["sample"] == {"of": "records", "part": "34%", "seed": "00" * 32, "chosen": 2, "total": 3}
    assert desk("audit", job, "--sample", "34%", "--sample-seed", "00" * 32, "--json").json == said.json


def test_a_sample_of_reruns_leaves_the_evidence_of_all_checked(desk, folder):
    job = run(desk, folder)["job"]
    calls = desk.engine.calls
    said = desk("audit", job, "--rerun", "--sample", "1%", "--json")
    assert (said.code, said.json["verdict"], said.json["counts"]["valid"]) == (0, "valid", 3)
    assert (said.json["sample"]["of"], len(said.json["reruns"])) == ("reruns", 1)
    assert desk.engine.calls == calls + 1


def test_deep_of_a_job_follows_the_parents_of_all_shards(desk, folder):
    said = desk("audit", run(desk, folder)["job"], "--deep", "--json")
    assert (said.code, said.json["ancestors"]["counts"]["valid"]) == (0, 0)
    assert said.json["checks"][-1]["n"] == 17


def test_a_collection_keeps_what_the_job_needs(desk, folder):
    job = run(desk, folder)["job"]
    assert desk("store", "gc").code == 0
    assert desk("audit", job).code == 0
    assert run(desk, folder)["verdict"] == "cached"


def test_collections_beside_a_job_take_nothing_from_it(desk, folder, monkeypatch):
    # One shard after the other: what is known is held before the last one runs.
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    run(desk, desk("add", folder, "--no-pin").text.strip())
    desk("store", "gc")
    (folder / "e").write_text("something else")
    collected = []

    def collect_first(number, plan, store):
        with desk.store() as other:
            collected.append(collect(other, lambda: (), lambda _phrase: None).removed_blocks)
        return note_names(number, plan, store)

    desk.engine = FakeEngine(collect_first)
    report = run(desk, desk("add", folder, "--no-pin").text.strip())
    # What the first job alone had is gone, for nothing was said to need it; what both have is known from before.
    assert (len(collected), sum(collected) > 0) == (3, True)
    assert [one["cached"] for one in report["shards"]] == [True, True, False]
    assert desk("audit", report["job"]).code == 0


def test_a_shard_names_the_record_that_gave_its_data_and_those_of_volumes(desk, tmp_path):
    desk.engine = FakeEngine(shout)
    made = desk.run("-i", desk.file())
    desk.engine = FakeEngine(note_names)
    split = ("--sharding-glob-pattern", "/outputs/")
    report = run(desk, made["output"], "-v", f"{made['output']}:/ref", split=split)
    with desk.store() as store:
        assert load_node(store, parse_cid(report["shards"][0]["record"]), Record).parents == (
            parse_cid(made["record"]),
        )
    again = run(desk, made["output"], split=split)
    assert again["parents"] == [made["record"]]
    with desk.store() as store:
        assert parents_of(store, again["shards"][0]["record"]) == [made["record"]]
    for job in (report["job"], again["job"]):
        audit = desk("audit", job, "--deep", "--json").json
        assert (audit["verdict"], audit["ancestors"]["counts"]["valid"]) == ("valid", 1)
    assert desk("get", again["job"], "--output-dir", tmp_path / "got").code == 0
    assert desk("audit", "--car", tmp_path / "got" / "record.car").code == 0


def test_what_is_known_of_a_shard_gets_the_parents_that_became_known_since(desk, folder):
    split = ("--sharding-glob-pattern", "/*")
    raw = run(desk, folder, split=split)
    assert raw["parents"] == []
    texts = {name: f"content of {name}".encode() for name in "abcde"}
    desk.engine = FakeEngine(lambda number, plan, store: Gave(outputs=texts))
    made = desk.run("--arg", "n=1")
    given = run(desk, f"{made['output']}/outputs/outputs", split=split)
    assert (given["verdict"], given["parents"]) == ("cached", [made["record"]])
    assert [one["output"] for one in given["shards"]] == [one["output"] for one in raw["shards"]]
    with desk.store() as store:
        assert [parents_of(store, one["record"]) for one in raw["shards"]] == [[]] * 5
        assert [parents_of(store, one["record"]) for one in given["shards"]] == [[made["record"]]] * 5


def test_each_shard_of_a_merged_output_names_the_shards_that_gave_it(desk, folder):
    first = run(desk, folder)
    records = [one["record"] for one in first["shards"]]
    split = ("--sharding-glob-pattern", "/*/", "--sharding-base-path", "/inputs/shards")
    second = run(desk, first["output"], split=split)
    assert sorted(second["parents"]) == sorted(records)
    with desk.store() as store:
        assert [parents_of(store, one["record"]) for one in second["shards"]] == [[one] for one in records]
        # What all of them wrote into one tree is traced by its content.
        whole = run(desk, first["output"], split=("--sharding-glob-pattern", "/outputs/outputs/*"))
        assert [parents_of(store, one["record"]) for one in whole["shards"]] == [
            [records[0]], [records[0]], [records[1]], [records[1]], [records[2]]
        ]  # fmt: skip
    for job in (second, whole):
        assert desk("audit", job["job"], "--deep").code == 0


def test_what_runs_over_a_merged_output_comes_of_the_shards(desk, folder):
    first = run(desk, folder)
    records = sorted(one["record"] for one in first["shards"])
    desk.engine = FakeEngine(lambda number, plan, store: Gave(result=b"whole"))
    whole = desk.run("-i", first["output"])
    part = desk.run("-i", f"{first['output']}/shards/1")
    file = desk.run("-i", f"{first['output']}/outputs/outputs/e")
    with desk.store() as store:
        assert sorted(parents_of(store, whole["record"])) == records
        assert parents_of(store, part["record"]) == [first["shards"][1]["record"]]
        assert parents_of(store, file["record"]) == [first["shards"][2]["record"]]
    assert desk("audit", whole["record"], "--deep").code == 0
    assert whole["record"] in desk("graph", "dependents", records[0], "--json").json["direct"]


def test_each_task_of_a_map_over_a_merged_output_comes_of_its_shard_alone(desk, folder, tmp_path):
    first = run(desk, folder)
    path = tmp_path / "flow.yaml"
    path.write_text(f"flow: 1\nsteps: {{one: {{code: pass, map: {{over: {first['output']}, glob: /shards/*/}}}}}}\n")
    said = desk("run", "flow", path, "--json")
    assert said.out, said.err
    with desk.store() as store:
        named = [parents_of(store, one["record"]) for one in said.json["shards"]]
    assert named == [[one["record"]] for one in first["shards"]]
    assert desk("audit", said.json["job"], "--deep").code == 0


def test_what_a_job_gave_is_a_statement_that_is_checked_by_merging_again(desk, folder):
    report = run(desk, folder)
    merge = parse_cid(report["merge"])
    with desk.store() as store:
        output, records = load_merge(store, merge)
        assert (cid_text(output), [cid_text(one) for one in records.values()]) == (
            report["output"], [one["record"] for one in report["shards"]],
        )  # fmt: skip
        swapped = store_merge(store, output, {0: records[1], 1: records[0], 2: records[2]})
        short = store_merge(store, output, {0: records[0], 1: records[1]})
    audit = desk("audit", report["merge"], "--json").json
    assert audit["verdict"] == "valid"
    assert {check["n"] for check in audit["checks"]} == {*range(1, 14), 16}
    for false in (swapped, short):
        audit = desk("audit", cid_text(false), "--json")
        assert (audit.code, [one["n"] for one in audit.json["checks"] if one["ok"] is False]) == (1, [16])
    found = desk("graph", "why", report["merge"], "--json").json
    assert (found["kind"], len(found["roots"])) == ("merge", 3)
    # Nobody is shown, or signs for, what is false.
    for call_ in (("graph", "why", cid_text(swapped)), ("publish", cid_text(swapped), "--to", f"dir:{folder}-out")):
        said = desk(*call_)
        assert (said.code, "the outputs of the shards give another one" in said.err) == (1, True)


def test_contradictions_of_shards_are_told(desk, folder):
    first = run(desk, folder)
    assert (first["disputes"], first["dispute_count"]) == ([], 0)
    desk.engine = FakeEngine(unless("c", lambda number, plan, store: Gave(result=b"another")))
    second = run(desk, folder, "--no-cache")
    theirs = first["shards"][1]
    assert second["dispute_count"] == 1
    assert second["disputes"] == [{"index": 1, "first": "c", "record": theirs["record"], "output": theirs["output"]}]
    said = call(desk, folder, "--no-cache")
    assert f"DISPUTED: shard 1: record {theirs['record']} of the same task has another output" in said.err
    described = desk("describe", second["job"])
    assert "DISPUTED: shard 1" in described.text


def test_the_output_of_a_shard_has_a_record_as_parent(desk, folder):
    shard = run(desk, folder)["shards"][1]
    report = desk.run("-i", shard["output"])
    with desk.store() as store:
        assert load_node(store, parse_cid(report["record"]), Record).parents == (parse_cid(shard["record"]),)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--sharding-glob-pattern", "*.csv"], "--sharding-glob-pattern"),
        (["--sharding-glob-pattern", "/x*"], "picks nothing"),
        (["--sharding-glob-pattern", "/*", "--sharding-base-path", "/data"], "--sharding-base-path /data"),
        (["--sharding-glob-pattern", "/*", "--sharding-base-path", "/inputs/zzz"], "--sharding-base-path zzz"),
        (["--sharding-glob-pattern", "/*", "--sharding-batch-size", 0], "--sharding-batch-size"),
        (["--sharding-batch-size", 2], "--sharding-batch-size: means nothing without --sharding-glob-pattern"),
        (["--sharding-base-path", "/inputs"], "--sharding-base-path: means nothing"),
        (["--max-failures", 2], "--max-failures: means nothing"),
    ],
)
def test_a_wrong_split_is_refused_before_anything_runs(desk, folder, arguments, named):
    said = call(desk, folder, split=arguments)
    assert (said.code, said.out, desk.engine.calls) == (2, b"", 0)
    assert named in said.err.splitlines()[-1]
    assert desk("list").out == b""


def test_a_job_has_a_bounded_number_of_shards(desk, folder, monkeypatch):
    monkeypatch.setattr("bacalhau.run_shards_job.MAX_SHARDS", 2)
    said = call(desk, folder, "--dry-run")
    assert (said.code, "more than 2 shards; choose larger batches" in said.err) == (2, True)
    assert call(desk, folder).code == 2


# ---- verdicts, and what is bounded

VERDICTS = st.sampled_from(["agreed", "cached", "split", "too-few"])


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(VERDICTS, min_size=1, max_size=8), st.booleans())
def test_a_job_is_verified_only_if_all_its_shards_are(verdicts, is_complete):
    rows = [
        JobShard(number=number, task=TASK, output=None, record=None, verdict=verdict, exit_code=0)
        for number, verdict in enumerate(verdicts)
    ]
    verdict = job_verdict(count_shards(rows), is_complete=is_complete)
    all_are = is_complete and set(verdicts) <= {"agreed", "cached"}
    assert (verdict in ("agreed", "cached")) == all_are
    assert (verdict == "cached") == (is_complete and set(verdicts) == {"cached"})
    assert (verdict == "split") == ("split" in verdicts)


def test_conflicts_of_long_paths_are_not_all_kept():
    versions = (Version(cid=BLOCK, shard=0), Version(cid=BLOCK, shard=1))
    conflicts = [Conflict(path="x" * 10_000, versions=versions, has_more=False)] * 1000
    listed = conflict_list(conflicts)
    assert 0 < len(listed) < 30
    assert len(json.dumps(listed)) <= MAX_CONFLICT_BYTES + 100

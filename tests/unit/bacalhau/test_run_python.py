from dataclasses import replace
from datetime import UTC, datetime

import pytest

from runtime.contents import Noted
from runtime.engine import UndeterminedError
from storage.cid import cid_text, parse_cid
from storage.dag_walk import walk
from storage.errors import UnavailableError, UserError, VerificationError
from storage.url_origin import Origin
from tests.unit.bacalhau.fakes import FakeEngine, Gave, fake_prepare
from verifier.model import Record, load_node

CONTRACT = {
    "job", "task", "function", "input", "output", "record", "verdict", "tier", "exit_code", "result", "stdout",
    "stderr", "fuel", "state_digest", "receipts", "shards", "timings",
}  # fmt: skip


def each_different(number, plan, store):
    return Gave(result=str(number).encode())


def always(gave):
    return FakeEngine(lambda number, plan, store: gave)


def test_an_agreed_run_as_json(desk):
    said = desk("run", "python", "--deterministic", desk.function, "-i", desk.file(b"hello"), "-l", "a", "--json")
    report = said.json
    assert said.code == 0
    assert set(report) >= CONTRACT
    assert report["verdict"] == "agreed"
    assert report["tier"] == "verified"
    assert report["exit_code"] == 0
    assert report["result"] == "HELLO"
    assert report["stdout"] == "shouting\n"
    assert report["reason"] is None
    assert report["labels"] == ["a"]
    assert report["shards"] == []
    assert {"node", "engine", "arch", "output", "state_digest"} <= set(report["receipts"][0])
    assert {receipt["output"] for receipt in report["receipts"]} == {report["output"]}
    assert len({receipt["node"] for receipt in report["receipts"]}) == 3
    for key in ("task", "function", "input", "output", "record"):
        parse_cid(report[key])


def test_the_record_is_of_this_task(desk):
    report = desk.run("-i", desk.file())
    with desk.store() as store:
        record = load_node(store, parse_cid(report["record"]), Record)
    assert (record.task, record.output) == (parse_cid(report["task"]), parse_cid(report["output"]))
    assert record.tier == "verified"


def test_two_homes_give_the_same_task_and_output(desk, tmp_path):
    first = desk.run("-i", desk.file(b"hello"))
    desk.home = type(desk.home)(tmp_path / "other")
    second = desk.run("-i", desk.file(b"hello"))
    changed = desk.run("-i", desk.file(b"hellO"), "--seed", "2a")
    assert (first["task"], first["output"]) == (second["task"], second["output"])
    assert changed["task"] != first["task"]
    assert {one["node"] for one in first["receipts"]}.isdisjoint(one["node"] for one in second["receipts"])


def test_a_failed_function_is_verified_and_exits_3(desk):
    desk.engine = always(Gave(stderr=b"Traceback\nZeroDivisionError\n", exit_code=1))
    said = desk("run", "python", desk.function, "--json")
    assert said.code == 3
    assert (said.json["verdict"], said.json["tier"], said.json["exit_code"]) == ("agreed", "verified", 1)
    assert said.json["record"] is not None
    human = desk("run", "python", desk.function)
    assert human.code == 3
    assert "ZeroDivisionError" in human.err
    assert "failed with exit code 1" in human.err


def test_a_split_is_not_verified(desk):
    desk.engine = FakeEngine(each_different)
    said = desk("run", "python", desk.function, "--json")
    report = said.json
    assert said.code == 1
    assert (report["verdict"], report["tier"]) == ("split", "unverified")
    for key in ("output", "record", "exit_code", "result", "stdout", "stderr", "fuel", "state_digest"):
        assert report[key] is None, key
    assert "7 nodes gave 7 different outputs" in report["reason"]
    assert len({receipt["output"] for receipt in report["receipts"]}) == 7
    assert not any(receipt["agrees"] for receipt in report["receipts"])


def test_too_few_is_not_verified_and_says_why(desk):
    desk.engine = always(UndeterminedError("the worker died"))
    said = desk("run", "python", desk.function, "--json")
    assert said.code == 1
    assert (said.json["verdict"], said.json["tier"]) == ("too-few", "unverified")
    assert said.json["record"] is None
    assert "the worker died" in said.json["reason"]
    assert {one["reason"] for one in said.json["undetermined"]} == {"the worker died"}
    human = desk("run", "python", desk.function)
    assert "not verified (too-few)" in human.err
    assert human.out == b""


def test_one_liar_does_not_stop_an_agreement(desk):
    desk.engine = FakeEngine(lambda number, plan, store: Gave(result=b"lie" if number == 1 else b"truth"))
    report = desk.run()
    assert (report["verdict"], report["result"]) == ("agreed", "truth")
    assert sorted(receipt["agrees"] for receipt in report["receipts"]) == [False, True, True]


def test_one_node_is_believed_only_when_asked(desk):
    refused = desk("run", "python", desk.function, "--concurrency", 1)
    assert refused.code == 2
    assert "--confidence 1" in refused.err
    assert desk.engine.calls == 0
    assert desk.run("--concurrency", 1, "--confidence", 1)["verdict"] == "agreed"
    assert desk.engine.calls == 1


def test_state_digests_that_differ_are_not_claimed(desk):
    desk.engine = FakeEngine(lambda number, plan, store: Gave(state_digest=f"{number:02x}" * 32))
    report = desk.run()
    assert (report["verdict"], report["state_digest"], report["same_state"]) == ("agreed", None, False)


@pytest.mark.parametrize(
    ("result", "shown"),
    [(b"", ""), ("grüße".encode(), "grüße"), (b"\xff\xfe", None), (b"a" * 65535, "a" * 65535), (b"a" * 65536, None)],
)
def test_a_result_is_given_if_it_is_short_text(desk, result, shown):
    desk.engine = always(Gave(result=result))
    report = desk.run()
    assert report["result"] == shown
    assert report["result_bytes"] == len(result)


def test_a_long_stdout_is_cut_between_characters_and_says_so(desk):
    desk.engine = always(Gave(stdout=b"a" + "ü".encode() * 40000, stderr=b"\xff!"))
    report = desk.run()
    assert report["stdout"] == "a" + "ü" * 32767
    assert report["stderr"] == "\N{REPLACEMENT CHARACTER}!"
    assert report["cut"] == ["stdout"]
    human = desk("run", "python", desk.function)
    assert f"bacalhau cat {report['output']}/stdout" in human.err


def test_people_get_the_answer_on_stdout_and_the_rest_on_stderr(desk):
    said = desk("run", "python", desk.function, "-i", desk.file(b"hello"))
    assert said.code == 0
    assert said.text == "shouting\nHELLO\n"
    report = desk.run("-i", desk.file(b"hello"))
    for text in ("verified: 3 of 3 nodes agree", report["output"], report["task"], "bacalhau audit", "bacalhau get"):
        assert text in said.err


def test_a_binary_result_is_not_shown(desk):
    desk.engine = always(Gave(result=b"\x89PNG\r\n"))
    said = desk("run", "python", desk.function)
    assert said.out == b""
    assert "the result (6 bytes) is not shown: bacalhau cat" in said.err


def test_what_a_function_writes_cannot_control_the_terminal(desk):
    evil = b"\x1b]0;title\x07ok\x1b[2J\x1b[31m\x9b\xc2\x9b31m[bold]\rX\n"
    desk.engine = always(Gave(result=evil, stdout=evil, stderr=evil))
    said = desk("run", "python", desk.function, "-l", "\x1b[31mred")
    for text in (said.text, said.err):
        assert not {character for character in text if not character.isprintable()} - {"\n"}
        assert "title" not in text
        assert "ok" in text
        assert "[bold]" in text


def test_id_only_prints_the_id(desk):
    said = desk("run", "python", desk.function, "--id-only")
    assert said.code == 0
    with desk.jobs() as jobs:
        assert jobs.find(said.text.strip()).verdict == "agreed"


def test_a_dry_run_runs_nothing(desk):
    said = desk("run", "python", desk.function, "-i", desk.file(), "--arg", "n=3", "--dry-run", "--json")
    assert said.code == 0
    assert desk.engine.calls == 0
    with desk.jobs() as jobs:
        assert jobs.count() == 0
    plan, report = said.json, desk.run("-i", desk.file(), "--arg", "n=3")
    assert (plan["task"], plan["function"], plan["input"]) == (report["task"], report["function"], report["input"])
    assert plan["args"] == {"n": 3}
    assert {"source", "runtime", "lock", "data", "seed", "epoch", "limits", "rule"} <= set(plan)
    assert plan["task"] in desk("run", "python", desk.function, "-i", desk.file(), "--arg", "n=3", "--dry-run").text


def test_a_job_is_kept_as_it_was_reported(desk):
    report = desk.run("-i", desk.file())
    with desk.jobs() as jobs:
        job = jobs.find(report["job"])
    assert dict(job.report) == report
    assert job.record == parse_cid(report["record"])


def test_an_output_as_input_makes_the_record_a_child(desk):
    first = desk.run("-i", desk.file(b"hello"))
    second = desk.run("-i", f"{first['output']}/result")
    with desk.store() as store:
        assert load_node(store, parse_cid(second["record"]), Record).parents == (parse_cid(first["record"]),)
    assert desk("audit", second["record"], "--json").json["verdict"] == "valid"


def test_of_two_records_with_one_output_the_one_that_is_named_is_the_parent(desk):
    first, newer = desk.run("-i", desk.file(b"hello")), desk.run("-i", desk.file(b"hello"), "--arg", "n=1")
    assert (first["output"], first["record"] != newer["record"]) == (newer["output"], True)
    for path in ("output/result", "output"):
        child = desk.run("-v", f"{first['record']}/{path}:/ref")
        with desk.store() as store:
            assert load_node(store, parse_cid(child["record"]), Record).parents == (parse_cid(first["record"]),)
        assert desk("audit", child["record"], "--json").json["verdict"] == "valid"
    # What is not a record's output is no result of it.
    child = desk.run("-v", f"{first['record']}/function/source:/ref")
    with desk.store() as store:
        assert load_node(store, parse_cid(child["record"]), Record).parents == ()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UserError("has no entry point", where="function.py", fix="add main"), 2),
        (VerificationError("is not the pinned file", where="x"), 1),
        (UnavailableError("the index is out of reach", fix="try again"), 4),
        (OSError(28, "No space left on device", "/full"), 4),
        (ZeroDivisionError("oops\nsecond line"), 70),
    ],
)
def test_every_error_is_one_line_and_leaves_nothing(desk, error, code):
    def refuse(*_arguments, **_options):
        raise error

    desk.prepare = refuse
    said = desk("run", "python", desk.function, "--json", "--download")
    assert said.code == code
    assert said.out == b""
    assert said.err.startswith("bacalhau: ")
    assert said.err.count("\n") == 1
    with desk.jobs() as jobs:
        assert jobs.count() == 0
    assert not list(desk.home.root.parent.glob("job-*"))


def test_an_error_of_the_engine_ends_the_run_without_a_job(desk):
    desk.engine = always(ZeroDivisionError("a bug"))
    said = desk("run", "python", desk.function)
    assert said.code == 70
    assert "this is a bug" in said.err
    assert "Traceback" not in said.err
    with desk.jobs() as jobs:
        assert jobs.count() == 0


def test_the_traceback_is_shown_on_request(desk, monkeypatch):
    monkeypatch.setenv("BACALHAU_DEBUG", "1")
    desk.engine = always(ZeroDivisionError("a bug"))
    assert "Traceback" in desk("run", "python", desk.function).err


def test_an_interrupt_is_told_in_one_line(desk):
    desk.engine = always(KeyboardInterrupt())
    said = desk("run", "python", desk.function)
    assert said.code == 130
    assert said.err.splitlines()[-1] == "bacalhau: interrupted"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "no function is given"),
        (["f.py", "-c", "1"], "both given"),
        (["-c", "1", "--fuel", "much"], "'much' is not a valid integer"),
        (["-c", "1", "--no-wait"], "--no-wait"),
        (["-c", "1", "--no-deterministic"], "--no-deterministic"),
        (["-c", "1", "--isolation", "none"], "--isolation"),
        (["-c", "1", "--concurrency", "0", "--confidence", "0"], "0: must be 1 to 1000"),
        (["-c", "1", "--concurrency", "0"], "--concurrency 0: must be 1 to"),
        (["-c", "1", "--confidence", "4"], "is more than --concurrency 3"),
        (["-c", "1", "--confidence", "two"], "'two' is not a valid integer"),
        (["-c", "1", "--timeout", "0"], "--timeout"),
        (["-c", "1", "--frobnicate"], "--frobnicate"),
        (["-c", "1", "--sharding-glob-pattern", "/*"], "no input to split"),
        (["nowhere.py"], "nowhere.py: cannot be read"),
        (["-c", "1", "--output-dir", "."], "is there already"),
        (["-c", "1", "--output-dir", "no/such"], "mkdir -p"),
    ],
)
def test_a_wrong_call_is_refused_before_anything_runs(desk, arguments, named):
    said = desk("run", "python", *arguments)
    assert said.code == 2
    assert named in said.err
    assert said.err.count("\n") == 1
    assert said.out == b""
    assert desk.engine.calls == 0


def test_download_lays_the_output_out(desk, tmp_path):
    said = desk("run", "python", desk.function, "--output-dir", "here", "--json")
    assert said.code == 0
    assert (tmp_path / "here" / "stdout").read_bytes() == b"shouting\n"
    assert (tmp_path / "here" / "record.car").is_file()
    again = desk("run", "python", desk.function, "--download", "--json")
    assert (tmp_path / f"job-{again.json['job'][:8]}" / "result").is_file()


def test_nothing_is_laid_out_without_agreement(desk, tmp_path):
    desk.engine = FakeEngine(each_different)
    assert desk("run", "python", desk.function, "--output-dir", "here").code == 1
    assert not (tmp_path / "here").exists()


def test_diverse_nodes_take_node_and_bun_in_turn_and_strict_reaches_every_engine(desk):
    said = desk("run", "python", "-c", "1", "--diverse", "--isolation", "strict", "--json")
    assert desk.asked == [("node", True), ("bun", True)]
    # The fake engine calls itself the same everywhere: diversity was asked for and is not there.
    assert (said.code, said.json["verdict"]) == (1, "too-few")


def fetched(request, *, note, **rest):
    """Plan as if the input had come from a URL."""
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    plan = fake_prepare(request, note=note, **rest)
    origin = Origin(
        url="https://host/x",
        final_url="https://cdn/y",
        cid=plan.input.data,
        size=5,
        sha256="ab" * 32,
        fetched_at=now,
        checked_at=now,
        headers=(("etag", '"\x1b[31m1"'),),
    )
    note(Noted(path="/inputs/data", origin=origin))
    return plan


def test_where_content_came_from_is_kept_beside_the_record(desk):
    plain = desk.run("-i", desk.file())
    desk.prepare = fetched
    report = desk.run("-i", desk.file())
    assert (plain["task"], plain["origins"]) == (report["task"], [])
    (origin,) = report["origins"]
    assert (origin["path"], origin["url"], origin["final_url"]) == ("/inputs/data", "https://host/x", "https://cdn/y")
    assert origin["fetched_at"] == "2026-01-02T03:04:05+00:00"
    with desk.store() as store:
        for cid, block in walk(store, parse_cid(report["record"])):
            assert b"host/x" not in block, cid_text(cid)
    said = desk("describe", report["job"]).text
    assert f"FETCHED /inputs/data {origin['cid']} https://host/x" in said
    assert f"5 bytes at 2026-01-02T03:04:05+00:00 from https://cdn/y, sha256 {'ab' * 32}" in said
    assert "etag: " in said
    assert "\x1b" not in said
    assert desk("describe", report["job"], "--json").json["origins"] == [origin]
    assert desk("run", "python", desk.function, "-i", desk.file(), "--dry-run", "--json").json["origins"] == [origin]


def test_flags_about_urls_reach_the_planner(desk, monkeypatch):
    asked = []

    def watching(request, **rest):
        asked.append((request.url_limit, request.allow_private_urls))
        return fake_prepare(request, **rest)

    desk.prepare = watching
    desk.run("--dry-run")
    desk.run("--dry-run", "--url-limit", "1Gb", "--allow-private-urls")
    monkeypatch.setenv("BACALHAU_ALLOW_PRIVATE_URLS", "1")
    desk.run("--dry-run")
    assert asked == [("16Gb", False), ("1Gb", True), ("16Gb", True)]


def test_whom_to_ask_for_content_reaches_the_planner(desk, monkeypatch):
    asked = []
    desk.prepare = lambda request, **rest: asked.append(request.sources) or fake_prepare(request, **rest)
    desk.run("--from", "car:a.car", "--from", "kubo:")
    monkeypatch.setenv("BACALHAU_FROM", "gateway:http://127.0.0.1:8080 car:b.car")
    desk.run()
    assert asked == [("car:a.car", "kubo:"), ("gateway:http://127.0.0.1:8080", "car:b.car")]


def test_a_download_without_a_checksum_is_described(desk):
    def planned(request, *, note, **rest):
        plan = fetched(request, note=lambda noted: notes.append(noted), **rest)
        note(Noted(path="/inputs", origin=replace(notes[0].origin, url="ipfs://bafy", final_url="x.car", sha256=None)))
        return plan

    notes = []
    desk.prepare = planned
    report = desk.run("-i", desk.file())
    assert report["origins"][0]["sha256"] is None
    assert "5 bytes at 2026-01-02T03:04:05+00:00 from x.car\n" in desk("describe", report["job"]).text

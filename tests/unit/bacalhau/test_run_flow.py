import json
import sqlite3
import sys
import textwrap
from contextlib import closing

import pytest

from bacalhau.kept_roots import roots_of
from storage.cid import cid_text, parse_cid
from storage.unixfs_members import members
from storage.unixfs_read import UnixfsReader
from tests.unit.bacalhau.fakes import FakeEngine, Gave
from tests.unit.network.flow_world import files_of

CONTRACT = {
    "job", "task", "function", "input", "output", "record", "verdict", "tier", "exit_code", "result", "stdout",
    "stderr", "fuel", "state_digest", "receipts", "shards", "steps", "timings",
}  # fmt: skip
FLOW = """
    flow: 1
    args:
      mark: "!"
      texts: texts
    steps:
      count:
        function: f.py
        map: {over: "${args.texts}", glob: '/**/*.txt'}
      total:
        function: f.py
        reduce: {over: "${count}", glob: '/shards/*/result', batch: 2}
      shout:
        function: g.py
        data: ${total/result}
        args:
          mark: ${args.mark}
      other:
        code: print(1)
    """


def joined(number, plan, store):
    """Give what is in all files of the input, one after the other, and the argument `mark`."""
    files = files_of(store, plan.input.data)
    content = b"".join(files[path] for path in sorted(files))
    return Gave(result=content + plan.input.args.get("mark", "").encode(), exit_code=int(b"fail" in content))


@pytest.fixture
def flow(desk, tmp_path):
    desk.engine = FakeEngine(joined)
    (tmp_path / "f.py").write_text("def main(data):\n    pass\n")
    (tmp_path / "g.py").write_text("def main(data, mark=''):\n    pass\n")
    for name in ("a", "b", "c/d"):
        path = tmp_path / "texts" / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return write(tmp_path, FLOW)


def write(folder, text):
    path = folder / "flow.yaml"
    path.write_text(textwrap.dedent(text))
    return path


def run(desk, flow, *arguments):
    said = desk("run", "flow", flow, "--json", *arguments)
    assert said.out, said.err
    return said.json


def states(report):
    return {step["name"]: step["state"] for step in report["steps"]}


def test_a_flow_as_json(desk, flow):
    said = desk("run", "flow", flow, "--json", "--target", "shout", "-l", "x")
    report = said.json
    assert said.code == 0
    assert set(report) >= CONTRACT
    assert (report["verdict"], report["tier"], report["exit_code"], report["reason"]) == ("agreed", "verified", 0, None)
    assert (report["result"], report["targets"], report["labels"]) == ("abc/d!", ["shout"], ["x"])
    assert states(report) == {"count": "done", "total": "done", "shout": "done"}
    count, total, shout = report["steps"]
    assert (count["kind"], count["tasks"], count["needs"], count["record"]) == ("map", 3, [], None)
    # Three are taken as two and one, these as one.
    assert (total["kind"], total["tasks"], total["needs"]) == ("reduce", 3, ["count"])
    assert (shout["task"], shout["record"]) == (report["task"], report["record"])
    assert [(row["index"], row["first"], row["picks"]) for row in report["shards"]] == [
        (0, "count/0", 1), (1, "count/1", 1), (2, "count/2", 1),
        (3, "total/0", 2), (4, "total/1", 1), (5, "total/2", 2), (6, "shout/0", 0),
    ]  # fmt: skip
    assert len(report["receipts"]) == 3
    for key in ("task", "function", "input", "output", "record"):
        parse_cid(report[key])
    assert "step count done (1 of 3 steps)" in said.err


def test_every_task_of_a_flow_audits_and_the_job_is_there(desk, flow):
    report = run(desk, flow, "--target", "shout")
    for row in report["shards"]:
        said = desk("audit", row["record"], "--json")
        assert said.json["verdict"] == "valid", said.json
    with desk.jobs() as jobs:
        job = jobs.find(report["job"][:8])
        rows = jobs.shards(job.id)
    assert job.task is None
    assert [cid_text(row.record) for row in rows] == [row["record"] for row in report["shards"]]
    assert [row.verdict for row in rows] == ["agreed"] * 7
    assert {parse_cid(report[key]) for key in ("function", "input", "output", "record")} <= set(roots_of(job))
    assert desk("list", "--json").json["record"] == report["record"]
    assert desk("describe", report["job"], "--json").json == report
    assert desk("describe", report["job"]).code == 0
    assert desk("get", report["job"], "--output-dir", "there").code == 0
    assert (flow.parent / "there" / "result").read_text() == "abc/d!"
    assert desk("audit", "--car", flow.parent / "there" / "record.car").code == 0


def test_what_a_flow_is_is_content_too(desk, flow, tmp_path):
    report = run(desk, flow)
    with desk.store() as store:
        reader = UnixfsReader(store)
        said = json.loads(reader.read_bytes(parse_cid(report["function"]), 1 << 20))
        asked = json.loads(reader.read_bytes(parse_cid(report["input"]), 1 << 20))
    assert asked == {"targets": ["shout", "other"]}
    assert said["steps"]["shout"]["data"] == "${total/result}"
    assert said["steps"]["total"]["split"] == {"glob": "/shards/*/result", "batch": 2}
    parse_cid(said["steps"]["count"]["data"])
    # The same flow elsewhere is the same.
    (tmp_path / "elsewhere").mkdir()
    for name in ("f.py", "g.py", "texts"):
        (tmp_path / name).rename(tmp_path / "elsewhere" / name)
    desk.home = type(desk.home)(tmp_path / "other")
    again = run(desk, write(tmp_path / "elsewhere", FLOW))
    assert (again["function"], again["output"]) == (report["function"], report["output"])


def test_several_targets_are_a_directory_of_them(desk, flow):
    report = run(desk, flow)
    assert (report["targets"], report["record"], report["task"]) == (["shout", "other"], None, None)
    with desk.store() as store:
        top = [name for name, _ in UnixfsReader(store).entries(parse_cid(report["output"]))]
        paths = {one.path for one in members(UnixfsReader(store), parse_cid(report["output"]))}
    assert top == ["other", "shout"]
    assert {"shout/result", "other/stdout"} <= paths
    assert desk("get", report["job"], "--output-dir", "there").code == 0
    assert (flow.parent / "there" / "shout" / "result").read_text() == "abc/d!"
    audit = desk("audit", report["job"], "--json").json
    assert (audit["verdict"], audit["counts"]) == ("valid", {"valid": 8, "invalid": 0, "unchecked": 0})
    assert desk("describe", report["job"], "--json").json == report
    assert "done     total  3 tasks" in desk("describe", report["job"]).text
    assert desk("logs", report["job"]).code == 0
    assert desk("events", report["job"]).code == 0


def test_an_output_that_no_task_gave_is_found_by_the_audit(desk, flow):
    """The job's row is changed, its tasks' records are not."""
    report = desk("run", "flow", flow, "--json", "--target", "count").json
    assert desk("audit", report["job"], "--json").json["verdict"] == "valid"
    other = next(row["output"] for row in report["shards"])
    with closing(sqlite3.connect(desk.home.datastore_path)) as connection, connection:
        connection.execute("UPDATE jobs SET output = ? WHERE id = ?", (parse_cid(other), report["job"]))
    audit = desk("audit", report["job"], "--json").json
    assert audit["verdict"] == "invalid"
    assert [check["n"] for check in audit["checks"] if check["ok"] is False] == [16]


def test_a_map_as_target_gives_the_output_of_a_job_over_shards(desk, flow):
    report = run(desk, flow, "--target", "count")
    assert (report["record"], report["task"], report["result"]) == (None, None, None)
    assert desk("get", report["job"], "--output-dir", "there").code == 0
    assert (flow.parent / "there" / "shards" / "2" / "result").read_text() == "c/d"


def test_what_was_verified_is_not_run_again(desk, flow):
    first = run(desk, flow)
    calls = desk.engine.calls
    second = run(desk, flow)
    assert desk.engine.calls == calls
    assert (second["verdict"], second["output"], second["record"]) == ("cached", first["output"], first["record"])
    assert [step["cached"] for step in second["steps"]] == [step["tasks"] for step in second["steps"]]
    # A parameter that reaches one step runs that step; a file that changed, what it reaches.
    third = run(desk, flow, "--arg", "mark=?")
    assert (desk.engine.calls - calls, third["verdict"]) == (3, "agreed")
    (flow.parent / "texts" / "a.txt").write_text("A")
    fourth = run(desk, flow, "--target", "shout")
    assert fourth["result"] == "Abc/d!"
    assert {step["name"]: step["tasks"] - step["cached"] for step in fourth["steps"]} == {
        "count": 1, "total": 2, "shout": 1,
    }  # fmt: skip
    calls = desk.engine.calls
    assert run(desk, flow, "--no-cache", "--target", "shout")["verdict"] == "agreed"
    assert desk.engine.calls == calls + 3 * 7


def test_a_step_that_ran_again_and_gave_the_same_makes_no_follower_run(desk, flow):
    first = run(desk, flow, "--target", "shout")
    calls = desk.engine.calls
    # Another function, of the same meaning: its steps run again, what takes their outputs does not.
    (flow.parent / "f.py").write_text("def main(data):\n    pass  # the same\n")
    second = run(desk, flow, "--target", "shout")
    ran = {step["name"]: step["tasks"] - step["cached"] for step in second["steps"]}
    assert ran == {"count": 3, "total": 3, "shout": 0}
    assert desk.engine.calls == calls + 3 * 6
    assert (second["output"], second["record"]) == (first["output"], first["record"])


def test_a_dry_run_says_what_is_known_and_runs_nothing(desk, flow):
    said = desk("run", "flow", flow, "--dry-run", "--json")
    assert (said.code, desk.engine.calls) == (0, 0)
    assert states(said.json) == {"count": "unknown", "total": "not-run", "shout": "not-run", "other": "unknown"}
    assert [step["tasks"] for step in said.json["steps"]] == [3, 0, 0, 1]
    run(desk, flow, "--target", "total")
    calls = desk.engine.calls
    report = desk("run", "flow", flow, "--dry-run", "--json").json
    assert states(report) == {"count": "done", "total": "done", "shout": "unknown", "other": "unknown"}
    text = desk("run", "flow", flow, "--dry-run").text
    assert "count  map     known: 3 of 3 tasks" in text
    assert f"shout  step    to run: 1 of 1 task  {report['steps'][2]['task']}  needs total" in text
    assert desk.engine.calls == calls
    with desk.jobs() as jobs:
        assert jobs.count() == 1
    # What was said to be run is what runs.
    assert run(desk, flow, "--target", "shout")["task"] == report["steps"][2]["task"]


def test_a_step_that_fails_is_told_and_the_others_are_done(desk, flow):
    (flow.parent / "texts" / "b.txt").write_text("fail")
    said = desk("run", "flow", flow, "--json")
    report = said.json
    assert said.code == 3
    assert (report["verdict"], report["tier"], report["exit_code"]) == ("agreed", "verified", 1)
    assert report["reason"] == "step count: task 1: the function failed with exit code 1"
    assert states(report) == {"count": "failed", "total": "not-run", "shout": "not-run", "other": "done"}
    assert (report["output"], report["record"]) == (None, None)
    human = desk("run", "flow", flow)
    assert human.code == 3
    assert "failed: step count: task 1: the function failed with exit code 1" in human.err
    assert desk("get", report["job"]).code == 1
    assert desk("audit", report["job"], "--json").json["verdict"] == "unchecked"


def test_one_task_that_is_not_verified_makes_the_whole_unverified_whatever_failed_before(desk, flow):
    """`count` fails, verified; of `other`, which comes later, the nodes disagree."""
    (flow.parent / "texts" / "b.txt").write_text("fail")

    def sometimes(number, plan, store):
        return Gave(result=b"%d" % number) if plan.input.data is None else joined(number, plan, store)

    desk.engine = FakeEngine(sometimes)
    said = desk("run", "flow", flow, "--json")
    assert {row["verdict"] for row in said.json["shards"]} == {"agreed", "split"}
    assert (said.code, said.json["verdict"], said.json["tier"]) == (1, "split", "unverified")
    assert said.json["exit_code"] is None


def test_a_dry_run_tells_of_a_policy_that_cannot_be_read(desk, flow):
    assert desk("run", "flow", flow, "--dry-run", "--policy", "/nowhere.toml").code == 2
    assert desk("run", "python", "-c", "pass", "--dry-run", "--policy", "/nowhere.toml").code == 2


def test_a_target_that_fails_has_its_record(desk, flow):
    desk.engine = FakeEngine(lambda number, plan, store: Gave(stderr=b"Traceback\nboo\n", exit_code=5))
    said = desk("run", "flow", flow, "--json", "--target", "other")
    assert (said.code, said.json["exit_code"], said.json["stderr"]) == (3, 5, "Traceback\nboo\n")
    assert desk("audit", said.json["record"]).code == 0


def test_what_is_not_verified_is_not(desk, flow):
    desk.engine = FakeEngine(lambda number, plan, store: Gave(result=str(number).encode()))
    said = desk("run", "flow", flow, "--json", "--target", "other")
    report = said.json
    assert said.code == 1
    assert (report["verdict"], report["tier"], report["exit_code"]) == ("split", "unverified", None)
    assert (report["output"], report["record"]) == (None, None)
    assert "not verified (split)" in desk("run", "flow", flow, "--target", "other").err


def test_steps_that_are_the_same_task_run_once(desk, flow, tmp_path):
    text = "flow: 1\nsteps:\n" + "".join(f"  s{n}:\n    code: print(1)\n" for n in range(4))
    report = run(desk, write(tmp_path, text), "-j", "4")
    assert {row["task"] for row in report["shards"]} == {report["shards"][0]["task"]}
    assert desk.engine.calls == 3


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"${args.texts}"', "nowhere", "flow.yaml:9:17: step count: "),
        ("g.py", "h.py", "flow.yaml:13:3: step shout: "),
        ("${total/result}", "${totla/result}", "there is no step 'totla'; did you mean 'total'?"),
        ("/**/*.txt", "/*.csv", "step count: glob '/*.csv': picks nothing"),
    ],
)
def test_what_is_wrong_is_said_before_anything_runs(desk, flow, old, new, said):
    assert old in flow.read_text()
    flow.write_text(flow.read_text().replace(old, new))
    got = desk("run", "flow", flow)
    assert (got.code, got.out, desk.engine.calls) == (2, b"", 0)
    assert got.err.splitlines()[-1].startswith("bacalhau: ")
    assert said in got.err
    with desk.jobs() as jobs:
        assert jobs.count() == 0


def test_the_policy_holds_for_flows(desk, flow):
    desk.home.create()
    desk.home.policy_path.write_text("[require]\nmax-nodes = 2\nmax-timeout = 60\n")
    said = desk("run", "flow", flow, "--json", "--target", "other")
    assert (said.code, said.json["rule"]["replication"], desk.engine.calls) == (0, 2, 2), said.err
    assert "2 nodes run it, not 3: so the policy wants it" in said.err
    refused = desk("run", "flow", flow, "--concurrency", "3", "--no-cache")
    assert refused.code != 0
    assert desk.engine.calls == 2
    desk.home.policy_path.write_text('[require]\nmax-memory = "100Mb"\n')
    assert desk("run", "flow", flow, "--no-cache").code != 0
    assert desk.engine.calls == 2


def test_wrong_calls(desk, flow, tmp_path):
    assert "cannot be read: no such file" in desk("run", "flow", "nowhere.yaml").err
    assert "has no such step" in desk("run", "flow", flow, "--target", "x").err
    assert "has no such parameter" in desk("run", "flow", flow, "--arg", "x=1").err
    assert "is more than --concurrency 1" in desk("run", "flow", flow, "--concurrency", "1").err
    assert desk.engine.calls == 0


def test_no_command_but_this_loads_yaml():
    import subprocess

    script = "import sys, bacalhau, bacalhau.cli.main, bacalhau.cli.run_flow, bacalhau.cli.run_python, bacalhau.run_job"
    said = subprocess.run(
        [sys.executable, "-c", f"{script}; print('yaml' in sys.modules)"], capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "False"

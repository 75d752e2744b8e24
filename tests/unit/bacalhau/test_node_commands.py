"""The commands where a node runs, on this home and elsewhere: the real client against the really served API."""

import json
import os
from dataclasses import replace

import pytest

from bacalhau.home import Home
from bacalhau.job_events import event_phrase
from bacalhau.node_client import NodeClient
from bacalhau.run_on_node import RETURN_S, follow_job
from storage.cid import parse_cid
from storage.dag_walk import walk
from storage.errors import UnavailableError
from tests.unit.bacalhau.fake_node import PEER, served
from tests.unit.bacalhau.fakes import FakeEngine, Gave
from tests.unit.bacalhau.test_run_docker import FakeContainers


def write_node_file(home, url, *, peer=PEER, pid=None):
    said = {"api": url, "peer": peer, "pid": os.getpid() if pid is None else pid, "addresses": []}
    home.node_path.write_text(json.dumps(said))


@pytest.fixture
def here(desk):
    """A node on the home of the commands."""
    desk.home.create()
    with served(desk.services()) as node:
        node.control.runs_at_once = True
        write_node_file(desk.home, node.url)
        yield node
        desk.home.node_path.unlink()


@pytest.fixture
def elsewhere(desk, tmp_path, monkeypatch):
    """A node on another home, named by the environment."""
    home = Home(tmp_path / "elsewhere")
    home.create()
    with served(replace(desk.services(), home=home)) as node:
        node.control.runs_at_once = True
        monkeypatch.setenv("BACALHAU_API", node.url)
        monkeypatch.setenv("BACALHAU_API_TOKEN", node.token)
        yield node


@pytest.fixture(params=["here", "elsewhere"])
def node(request):
    return request.getfixturevalue(request.param)


def test_a_run_gives_the_same_report_as_without_a_node(desk, node):
    embedded = desk.run("-i", desk.file(), "--local", "-l", "x")
    assert node.control.kept == {}
    report = desk.run("-i", desk.file(), "-l", "x")
    assert set(report) == set(embedded)
    for key in ("task", "function", "input", "output", "result", "stdout", "verdict", "exit_code", "rule", "labels"):
        assert report[key] == embedded[key], key
    assert list(node.control.kept) == [report["job"]]
    said = desk("run", "python", desk.function, "-i", desk.file())
    assert (said.code, said.text) == (0, "shouting\nHELLO\n")
    assert "verified: 3 of 3 nodes agree" in said.err
    assert "revealed" in said.err


def test_what_is_asked_for_reaches_the_node(desk, node):
    desk.run("--concurrency", 5, "--confidence", 3, "--min-bids", 6, "-s", "zone=a=b", "-s", "x=1", "--timeout", 7)
    (kept,) = node.control.kept.values()
    asked = kept.submission
    assert (asked.rule.replication, asked.rule.confidence, asked.min_bids, asked.timeout_s) == (5, 3, 6, 7.0)
    assert asked.selector == (("x", "1"), ("zone", "a=b"))
    assert asked.no_cache is False
    later = desk.run("--no-cache")
    assert node.control.kept[later["job"]].submission.no_cache is True


def test_exit_codes_are_the_same(desk, node):
    node.control.engine = FakeEngine(lambda number, plan, store: Gave(exit_code=1))
    assert desk("run", "python", desk.function).code == 3
    node.control.engine = FakeEngine(lambda number, plan, store: Gave(result=str(number).encode()))
    split = desk("run", "python", desk.function, "--json", "--output-dir", "out")
    assert (split.code, split.json["verdict"]) == (1, "split")
    node.control.fails_with = UnavailableError("the disk is full", where="datastore", fix="make room")
    said = desk("run", "python", desk.function)
    assert (said.code, said.err.splitlines()[-1]) == (4, "bacalhau: datastore: the disk is full; make room")


def test_an_agreed_output_that_is_not_here_is_no_answer(desk, node, monkeypatch):
    job = NodeClient.job

    def without_output(client, name):
        view = job(client, name)
        view["report"].update(stdout=None, stderr=None, result=None, reason="the agreed output is not here: lost")
        return view

    monkeypatch.setattr(NodeClient, "job", without_output)
    said = desk("run", "python", desk.function, "--json", "--output-dir", "out")
    assert (said.code, said.json["verdict"]) == (4, "agreed")
    assert said.err.splitlines()[-1].endswith("the agreed output is not here: lost")


def test_no_wait_prints_the_id_at_once(desk, node):
    node.control.runs_at_once = False
    said = desk("run", "python", desk.function, "--no-wait")
    (job,) = node.control.kept
    assert (said.code, said.text) == (0, f"{job}\n")
    told = desk("run", "python", desk.function, "--no-wait", "--json").json
    assert set(told) == {"job", "state", "task", "function", "input"}
    assert desk("run", "python", desk.function, "--no-wait", "--download").code == 2


def test_a_task_travels_whole_to_a_node_elsewhere(desk, elsewhere):
    first = desk.run("-i", desk.file())
    with elsewhere.services.open_store() as store:
        assert len(list(walk(store, parse_cid(first["task"])))) > 5
    assert desk("get", first["job"], "--output-dir", "one").code == 0
    assert desk("audit", "--car", "one/record.car", "--json").json["verdict"] == "valid"


def test_what_to_do_next_is_possible(desk, elsewhere):
    said = desk("run", "python", desk.function)
    (job,) = elsewhere.control.kept
    next_calls = [line.split("bacalhau ")[1] for line in said.err.splitlines()[-2:]]
    assert next_calls == [f"get {job[:8]}", f"audit --car job-{job[:8]}/record.car"]
    assert [desk(*call.split()).code for call in next_calls] == [0, 0]


def test_parents_travel_with_their_proof(desk, elsewhere, monkeypatch):
    monkeypatch.delenv("BACALHAU_API")
    first = desk.run("-i", desk.file())
    monkeypatch.setenv("BACALHAU_API", elsewhere.url)
    second = desk.run("-i", f"{first['output']}/result")
    (kept,) = elsewhere.control.kept.values()
    assert kept.submission.parents == (parse_cid(first["record"]),)
    assert desk("get", second["job"], "--output-dir", "two").code == 0
    assert desk("audit", "--car", "two/record.car", "--json").json["verdict"] == "valid"


def test_download_lays_the_output_out(desk, node, tmp_path):
    said = desk("run", "python", desk.function, "--output-dir", "out")
    assert said.code == 0
    assert (tmp_path / "out" / "stdout").read_bytes() == b"shouting\n"
    assert (tmp_path / "out" / "record.car").is_file()
    assert not list(tmp_path.glob(".bacalhau*"))


def test_an_executed_notebook_comes_from_the_node(desk, node, tmp_path):
    node.control.engine = FakeEngine(lambda number, plan, store: Gave(outputs={"notebook.ipynb": b"executed"}))
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "source": "1", "outputs": [], "execution_count": None}
    notebook = desk.file(json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode())
    said = desk("run", "notebook", notebook, "out.ipynb")
    assert said.code == 0, said.err
    assert len(node.control.kept) == 1
    assert (tmp_path / "out.ipynb").read_bytes() == b"executed"
    assert "output is in" not in said.err


def test_jobs_under_way_and_ended_are_listed_described_and_got(desk, node):
    ended = desk.run("-l", "done")
    node.control.runs_at_once = False
    running = desk("run", "python", desk.function, "--no-wait", "-l", "busy", "-s", "zone=a").text.strip()
    rows = {row["job"]: row for row in map(json.loads, desk("list", "--json").text.splitlines())}
    assert (rows[ended["job"]]["state"], rows[ended["job"]]["verdict"]) == ("ended", "agreed")
    assert (rows[running]["state"], rows[running]["verdict"]) == ("running", None)
    text = desk("list").text
    assert f"{running[:8]}  2026-01-02T03:04:05+00:00  running" in text
    assert desk("describe", ended["job"], "--json").json == ended
    assert ended["record"] in desk("describe", ended["job"][:7]).text
    assert desk("describe", running, "--json").json["state"] == "running"
    described = desk("describe", running[:6]).text
    for text in ("running", "2 of 3", "zone=a"):
        assert text in described
    early = desk("get", running)
    assert (early.code, "has not ended yet" in early.err) == (4, True)
    assert desk("get", ended["job"][:6], "--output-dir", "out").code == 0
    assert desk("get", "abcdef").code == 2


def test_events_and_logs(desk, node):
    report = desk.run()
    events = [json.loads(line) for line in desk("events", report["job"], "--json").text.splitlines()]
    assert [event["kind"] for event in events] == ["submitted", "revealed", "revealed", "revealed", "verdict", "ended"]
    followed = desk("events", report["job"][:6], "-f", "--json")
    assert [json.loads(line) for line in followed.text.splitlines()] == events
    assert "verdict verdict=agreed" in desk("events", report["job"]).text
    logs = desk("logs", report["job"])
    assert (logs.code, logs.text) == (0, "shouting\n")
    assert desk("logs", "-f", report["job"][:6], "--json").json["stdout"] == "shouting\n"
    node.control.engine = FakeEngine(lambda number, plan, store: Gave(result=str(number).encode()))
    split = desk.run()
    said = desk("logs", split["job"])
    assert (said.code, "was not verified (split)" in said.err) == (1, True)


def test_a_job_that_could_not_be_checked_says_so_last():
    detail = {"verdict": None, "reason": "block is not in this store"}
    said = event_phrase({"kind": "ended", "detail": detail})
    assert said == "ended, and could not be checked: block is not in this store"


def test_cancel(desk, node):
    node.control.runs_at_once = False
    job = desk("run", "python", desk.function, "--no-wait").text.strip()
    assert desk("logs", job).code == 4
    assert desk("cancel", job[:6], "--json").json == {"job": job, "state": "ended", "cancelled": True}
    again = desk("cancel", job)
    assert (again.code, again.text, "cancelled" in again.err) == (0, f"{job}\n", True)
    assert "cancelled" in desk("list").text
    assert desk("get", job).code == 4
    assert "was cancelled" in desk("get", job).err
    assert desk("cancel", "abcdef").code == 2


def test_a_cancelled_job_is_listed_as_such_whatever_its_verdict(desk, node):
    node.control.runs_at_once = False
    jobs = [desk("run", "python", desk.function, "--no-wait").text.strip() for _ in range(2)]
    node.do(node.control.run, jobs[0])
    node.control.engine = FakeEngine(lambda number, plan, store: Gave(result=str(number).encode()))
    node.do(node.control.run, jobs[1])
    for job in jobs:
        node.control.kept[job] = replace(node.control.kept[job], cancelled=True)
    shown = {line[:8]: line.split()[2] for line in desk("list").text.splitlines()}
    assert [shown[job[:8]] for job in jobs] == ["agreed", "cancelled"]


def test_a_job_that_is_cancelled_while_one_waits(desk, node, monkeypatch):
    node.control.runs_at_once = False
    follow = NodeClient.follow

    def cancelled_meanwhile(client, job, *, after=0):
        client.cancel(job)
        yield from follow(client, job, after=after)

    monkeypatch.setattr(NodeClient, "follow", cancelled_meanwhile)
    said = desk("run", "python", desk.function, "--json")
    assert (said.code, said.out, "was cancelled" in said.err) == (4, b"", True)


def test_an_interrupt_leaves_the_job_and_says_how_to_end_it(desk, node, monkeypatch):
    node.control.runs_at_once = False

    def interrupted(_client, _job, *, after=0):
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(NodeClient, "follow", interrupted)
    said = desk("run", "python", desk.function)
    (job,) = node.control.kept
    assert said.code == 130
    assert f"job {job} goes on: `bacalhau cancel {job[:8]}` ends it" in said.err
    assert not node.control.kept[job].cancelled


def test_id_names_the_running_node_first(desk, node):
    assert desk("id").text.splitlines()[0].split() == ["node", PEER]
    assert desk("id", "--json").json["peers"][0] == {"name": "node", "peer": PEER}


def test_strict_isolation_is_about_this_machine(desk, node):
    said = desk("run", "python", desk.function, "--isolation", "strict")
    assert (said.code, "--local" in said.err) == (2, True)
    assert desk("run", "python", desk.function, "--isolation", "strict", "--local").code == 0


@pytest.mark.parametrize("flags", [["--no-wait"], ["--min-bids", "2"], ["-s", "a=b"]])
def test_flags_that_need_a_node_are_refused_without_one(desk, flags):
    said = desk("run", "python", "-c", "1", *flags)
    assert (said.code, "needs a node" in said.err) == (2, True)


@pytest.mark.parametrize("text", ["a", "=b", "a=", "", "a=1 -s a=2"])
def test_a_selector_that_is_none(desk, text):
    flags = [part for one in text.split(" -s ") for part in ("-s", one)]
    said = desk("run", "python", "-c", "1", *flags)
    assert (said.code, "--selector" in said.err) == (2, True)


def test_without_a_node_the_report_tells(desk):
    report = desk.run("-i", desk.file())
    events = [json.loads(line) for line in desk("events", report["job"], "--json").text.splitlines()]
    assert [event["kind"] for event in events] == ["submitted", "revealed", "revealed", "revealed", "verdict", "ended"]
    assert [event["at"] for event in events] == [report["created_at"], *[None] * 5]
    assert desk("events", "-f", report["job"]).code == 0
    assert desk("logs", report["job"]).text == "shouting\n"
    said = desk("cancel", report["job"])
    assert (said.code, "it has ended" in said.err) == (0, True)


# Which node it is.


def test_a_node_that_stopped_without_saying_so_is_none(desk, here):
    write_node_file(desk.home, "http://127.0.0.1:1")
    assert desk.run()["verdict"] == "agreed"
    write_node_file(desk.home, here.url, pid=2**22 + 1)
    assert desk.run("--no-cache")["verdict"] == "agreed"
    write_node_file(desk.home, here.url, peer="12D3KooWOther")
    assert desk.run("--no-cache")["verdict"] == "agreed"
    for text in (
        "",
        "{",
        "[]",
        '{"api": 1}',
        '{"api": "x", "peer": "y", "pid": true}',
        '{"api": "x", "peer": "y", "pid": 0}',
    ):
        desk.home.node_path.write_text(text)
        assert desk("list").code == 0
    assert here.control.kept == {}


def test_a_node_that_is_named_must_answer(desk, monkeypatch):
    monkeypatch.setenv("BACALHAU_API", "http://127.0.0.1:1")
    said = desk("list")
    assert (said.code, "BACALHAU_API" in said.err) == (2, True)
    monkeypatch.setenv("BACALHAU_API_TOKEN", "x" * 64)
    assert desk("list").code == 2
    monkeypatch.setenv("BACALHAU_API_TOKEN", "a" * 64)
    said = desk("list")
    assert (said.code, "nothing answers there" in said.err) == (4, True)
    monkeypatch.setenv("BACALHAU_API", "ftp://x")
    assert desk("list").code == 2


def test_a_wrong_token_is_told(desk, elsewhere, monkeypatch):
    monkeypatch.setenv("BACALHAU_API_TOKEN", "a" * 64)
    said = desk("list")
    assert (said.code, "BACALHAU_API_TOKEN" in said.err) == (2, True)


def test_this_homes_own_node_by_name_is_not_elsewhere(desk, here, monkeypatch):
    monkeypatch.setenv("BACALHAU_API", here.url)
    report = desk.run()
    assert desk("get", report["job"], "--output-dir", "out").code == 0
    assert list(here.control.kept) == [report["job"]]


# A node that goes away.


class Away:
    """Gives some events, then breaks off, or ends."""

    def __init__(self, *numbers, breaks=True):
        self.numbers = numbers
        self.breaks = breaks
        self.asked = []
        self.closed = 0

    def follow(self, job, *, after=0):
        self.asked.append(after)
        for number in self.numbers:
            yield {"number": number, "kind": "x", "detail": {}}
        if self.breaks:
            raise UnavailableError("connection broke off")

    def close(self):
        self.closed += 1


def test_following_goes_on_with_the_node_that_comes_back():
    first, second, third = Away(1, 2), Away(3), Away(4, breaks=False)
    pauses = []
    back = iter([None, second, UnavailableError("silent"), third])

    def find_again():
        found = next(back)
        if isinstance(found, Exception):
            raise found
        return found

    events = list(follow_job("ab" * 16, first, find_again, pauses.append))
    assert [event["number"] for event in events] == [1, 2, 3, 4]
    assert (first.asked, second.asked, third.asked) == ([0], [2], [3])
    assert (first.closed, second.closed, third.closed) == (0, 1, 1)
    assert len(pauses) == 4


def test_following_ends_when_the_node_stays_away():
    pauses = []
    with pytest.raises(UnavailableError, match="the node is away"):
        list(follow_job("ab" * 16, Away(), lambda: None, pauses.append))
    assert sum(pauses) == RETURN_S


def test_a_job_over_shards_that_ended_here_is_known_where_a_node_runs(desk, here, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a").write_text("a")
    desk.engine = FakeEngine(lambda *_: Gave(result=b"done", stdout=b"said\n"))
    report = desk.run("-i", folder, "--sharding-glob-pattern", "/*", "--local")
    job = report["job"]
    assert desk("list", "--json").json["job"] == job
    assert desk("describe", job, "--json").json == report
    assert desk("logs", job).text == "0: said\n"
    assert [json.loads(line)["kind"] for line in desk("events", job, "--json").text.splitlines()][-1] == "ended"
    assert desk("get", job, "--output-dir", tmp_path / "got").code == 0
    assert (tmp_path / "got/shards/0/record.car").exists()
    assert desk("audit", job).code == 0


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "folder"
    made.mkdir()
    for number in range(5):
        (made / f"{number}.txt").write_text(str(number))
    return made


SPLIT = ("--sharding-glob-pattern", "/*", "--sharding-batch-size", 2)


def test_a_job_over_shards_gives_the_same_on_a_node_as_without_one(desk, node, folder, tmp_path):
    desk.engine = node.control.engine = FakeEngine(lambda *_: Gave(result=b"done", stdout=b"said"))
    embedded = desk.run("-i", folder, *SPLIT, "--local", "--max-failures", 3)
    report = desk.run("-i", folder, *SPLIT, "--max-failures", 3, "--output-dir", tmp_path / "made", "-l", "x")
    assert set(report) == set(embedded)
    assert (report["verdict"], report["labels"]) == ("agreed", ["x"])
    for key in ("task", "function", "input", "output", "exit_code", "record", "rule", "sharding", "conflicts"):
        assert report[key] == embedded[key], key
    for one, other in zip(report["shards"], embedded["shards"], strict=True):
        assert {name: one[name] for name in one if name != "record"} == {
            name: other[name] for name in other if name != "record"
        }
    (kept,) = node.control.kept.values()
    assert (kept.submission.task, kept.submission.shard_count, kept.submission.max_failures) == (None, 3, 3)
    assert desk("describe", report["job"], "--json").json == report
    assert "shards  3" in " ".join(desk("describe", report["job"]).text.replace("  ", " ").split()).replace(
        "s 3", "s  3"
    )
    assert desk("get", report["job"], "--output-dir", tmp_path / "got").code == 0
    for place in ("made", "got"):
        assert len((tmp_path / place / "shards.jsonl").read_text().splitlines()) == 3
        assert (tmp_path / place / "shards/2/record.car").exists()
        assert desk("audit", "--car", tmp_path / place / "record.car").code == 0
    assert desk("cancel", report["job"]).code == 0
    assert "3 of 3 shards have ended" in desk("events", report["job"]).text


@pytest.mark.parametrize(
    ("kind", "detail", "said"),
    [
        ("submitted", {"shards": 4}, "submitted 4 shards"),
        ("submitted", {"shards": 1}, "submitted 1 shard"),
        ("assigned", {"nodes": ["a"]}, "assigned to 1 node"),
        ("assigned", {"nodes": ["a", "b"]}, "assigned to 2 nodes"),
        ("shards", {"ended": 1, "of": 1, "cached": 0, "failed": 0}, "1 of 1 shard has ended"),
        ("shards", {"ended": 1, "of": 2, "cached": 0, "failed": 0}, "1 of 2 shards have ended"),
        ("given-up", {"failed": 1}, "given up: 1 shard failed"),
        ("verdict", {"verdict": "agreed", "receipts": 1, "dissent": 0}, "verdict agreed: 1 receipt"),
    ],
)
def test_events_count_in_words_that_fit_the_number(kind, detail, said):
    assert event_phrase({"kind": kind, "detail": detail}) == said


def test_a_job_over_shards_that_is_under_way_says_so(desk, node, folder):
    node.control.runs_at_once = False
    told = desk("run", "python", desk.function, "-i", folder, *SPLIT, "--no-wait", "--json").json
    assert (told["task"], told["shards"], told["state"]) == (None, 3, "running")
    view = desk("describe", told["job"], "--json").json
    assert (view["task"], view["submission"]["shard_count"]) == (None, 3)
    assert "shard_count" in desk("describe", told["job"]).text
    assert told["job"][:8] in desk("list").text
    assert desk("get", told["job"]).code == 4


def test_the_function_of_shards_travels_once(desk, elsewhere, folder, monkeypatch):
    elsewhere.control.engine = FakeEngine(lambda *_: Gave(result=b"done"))
    sent = []
    put = NodeClient.put_blocks
    monkeypatch.setattr(NodeClient, "put_blocks", lambda client, car: sent.append(put(client, car)) or sent[-1])
    desk.run("-i", folder, *SPLIT)
    (folder / "0.txt").write_text("changed")
    desk.run("-i", folder, *SPLIT)
    assert len(sent) == 2
    assert sent[1]["bytes"] < sent[0]["bytes"]


def test_a_node_that_has_a_function_in_part_is_sent_the_rest(desk, elsewhere, folder, monkeypatch):
    sent = []
    put = NodeClient.put_blocks
    monkeypatch.setattr(NodeClient, "put_blocks", lambda client, car: sent.append(put(client, car)) or sent[-1])
    monkeypatch.setattr(NodeClient, "has_block", lambda client, cid: True)
    elsewhere.control.engine = FakeEngine(lambda *_: Gave(result=b"done"))
    elsewhere.control.holds = True
    assert desk.run("-i", folder, *SPLIT)["verdict"] == "agreed"
    assert len(sent) == 2


@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_shards_on_a_node_are_as_tainted_as_what_was_split(desk, request, where):
    desk.containers = FakeContainers()
    first = desk("run", "docker", "--json", "busybox").json
    node = request.getfixturevalue(where)
    node.control.engine = FakeEngine(lambda number, plan, store: Gave(result=b"X"))
    report = desk.run("-i", first["output"], "--sharding-glob-pattern", "/**/made.txt")
    assert (report["verdict"], report["parents"]) == ("agreed", [first["record"]])
    # Records of what was split travel to a node elsewhere with the shards, which name them.
    assert report["tainted"] is True

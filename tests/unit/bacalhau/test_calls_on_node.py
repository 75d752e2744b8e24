"""Calls of the Python API where a node runs, on this home and elsewhere: the really served API, without a network."""

import concurrent.futures
import json
import os
import sqlite3
import threading
from contextlib import closing
from dataclasses import replace

import pytest

import bacalhau
from bacalhau.executor import Executor
from bacalhau.home import Home
from bacalhau.node_client import NodeClient
from storage.blocks import block_key
from storage.cid import cid_text, parse_cid
from storage.errors import UnavailableError, UserError, VerificationError
from tests.unit.bacalhau import fake_node
from tests.unit.bacalhau.fake_node import PEER, served
from tests.unit.bacalhau.fakes import Desk, FakeEngine, Gave
from tests.unit.bacalhau.test_executor import fails, run_here, size, upper
from verifier.merge_types import load_merge, store_merge
from verifier.model import Function, Record, load_node


@pytest.fixture
def desk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BACALHAU_DIR", str(tmp_path / "home"))
    for name in ("BACALHAU_API", "BACALHAU_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return Desk(home=Home(tmp_path / "home"), engine=FakeEngine(run_here), read_output=None)


@pytest.fixture
def here(desk):
    """A node on the home of the calls."""
    desk.home.create()
    with served(desk.services()) as node:
        node.control.runs_at_once, node.control.engine = True, FakeEngine(run_here)
        said = {"api": node.url, "peer": PEER, "pid": os.getpid(), "addresses": []}
        desk.home.node_path.write_text(json.dumps(said))
        yield node
        desk.home.node_path.unlink()


@pytest.fixture
def elsewhere(desk, tmp_path, monkeypatch):
    """A node on another home, named by the environment."""
    home = Home(tmp_path / "elsewhere")
    home.create()
    with served(replace(desk.services(), home=home)) as node:
        node.control.runs_at_once, node.control.engine = True, FakeEngine(run_here)
        monkeypatch.setenv("BACALHAU_API", node.url)
        monkeypatch.setenv("BACALHAU_API_TOKEN", node.token)
        yield node


@pytest.fixture(params=["here", "elsewhere"])
def node(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def executor(desk):
    with Executor(services=desk.services()) as executor:
        yield executor


def test_a_call_goes_to_the_node_and_its_result_is_one_of_this_home(executor, desk, node):
    r = executor.submit(size, b"12345", times=2).result()
    assert (r.value, r.verdict, len(r.receipts), desk.engine.calls) == (10, "agreed", 3, 0)
    assert list(node.control.kept) == [r.job]
    assert r.audit()["verdict"] == "valid"
    with desk.jobs() as jobs:
        assert jobs.find(r.job).record == parse_cid(r.record)
    local = executor.call(size.with_options(node=False), b"12345", times=2)
    assert (local.task, local.output, desk.engine.calls) == (r.task, r.output, 3)
    assert list(node.control.kept) == [r.job]


def test_the_function_travels_to_a_node_elsewhere_once_and_again_where_something_of_it_lacks(
    executor, elsewhere, monkeypatch
):
    sent, put = [], NodeClient.put_blocks

    def counted(client, car):
        data = b"".join(car)
        sent.append(b"export {}" in data)  # the runtime of these tests
        return put(client, [data])

    monkeypatch.setattr(NodeClient, "put_blocks", counted)
    for number in range(3):
        executor.call(size, b"x" * number)
    assert sent == [True, False, False]
    with elsewhere.services.open_store() as store:
        source = load_node(store, parse_cid(executor.call(size, b"").function), Function).source
    with closing(sqlite3.connect(elsewhere.services.home.store_path)) as connection, connection:
        assert connection.execute("DELETE FROM blocks WHERE digest = ?", (block_key(source),)).rowcount == 1
    assert executor.call(size, b"5").value == 1
    assert sent[-2:] == [False, True]


def test_a_result_of_a_node_is_an_input_with_its_record_as_parent(executor, desk, node):
    first = executor.call(upper, b"abc")
    second = executor.call(size, first)
    third = executor.call(size, first / "outputs/outputs/made.txt")
    assert (second.value, third.value) == (3, 4)
    with desk.store() as store:
        for r in (second, third):
            assert load_node(store, parse_cid(r.record), Record).parents == (parse_cid(first.record),)
            assert r.audit()["verdict"] == "valid"


def test_what_is_asked_for_reaches_the_node(desk, node):
    with Executor(services=desk.services(), concurrency=5, confidence=4, cache=False) as executor:
        r = executor.call(size.with_options(timeout_s=7), b"")
        trusted = executor.call(size.with_options(trust=0.999, bad_nodes=0.2), b"")
    asked = node.control.kept[r.job].submission
    assert (asked.rule.replication, asked.rule.confidence, asked.timeout_s, asked.no_cache) == (5, 4, 7.0, True)
    assert asked.trust is None
    asked = node.control.kept[trusted.job].submission
    assert (asked.rule.replication, asked.trust.asked, asked.trust.bad) == (1, 0.999, 0.2)
    with Executor(services=desk.services(), trust=0.99, diverse=True) as executor:
        with pytest.raises(bacalhau.NotVerifiedError) as one_engine:
            executor.call(size, b"")
        asked = node.control.kept[one_engine.value.report["job"]].submission
    assert (asked.rule.replication, asked.rule.diverse, asked.trust.asked, asked.no_cache) == (2, True, 0.99, False)


def test_map_shard_and_aio_go_to_the_node(executor, desk, node, tmp_path):
    assert [r.value for r in executor.map(size, [b"x" * number for number in range(4)])] == [0, 1, 2, 3]
    for name in ("a.txt", "b.txt", "c.csv"):
        (tmp_path / "texts" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "texts" / name).write_text(name)
    sharded = executor.shard(upper, "texts", "/*.txt")
    assert (sharded.verified, list(sharded.values())) == (True, ["A.TXT", "B.TXT"])
    assert sharded.read("shards/1/result") == b"B.TXT"
    assert sharded.report["job"] in node.control.kept
    assert len(node.control.kept) == 5
    with desk.jobs() as jobs:
        assert len(list(jobs.each_shard(sharded.report["job"]))) == 2


def test_exceptions_come_back_as_from_nodes_of_this_process(executor, node):
    with pytest.raises(ValueError, match=r"no\ngood: 7") as caught:
        executor.submit(fails, b"").result()
    assert isinstance(caught.value, bacalhau.FunctionError)
    assert caught.value.verified.audit()["verdict"] == "valid"
    assert "Traceback" in str(caught.value.__cause__)
    node.control.engine = FakeEngine(lambda number, plan, store: Gave(result=b"%d" % number))
    with pytest.raises(bacalhau.NotVerifiedError) as split:
        executor.call(size, b"")
    assert (split.value.report["verdict"], split.value.report["output"]) == ("split", None)
    node.control.fails_with = UnavailableError("the disk is full", where="datastore", fix="make room")
    with pytest.raises(UnavailableError, match="datastore: the disk is full; make room"):
        executor.call(size, b"")


def test_a_call_that_waits_for_a_node_times_out_and_is_given_up_when_the_executor_is_stopped(desk, node):
    node.control.runs_at_once = False
    executor = Executor(services=desk.services(), max_workers=1)
    future, waiting = (executor.submit(size, data) for data in (b"1", b"2"))
    with pytest.raises(concurrent.futures.TimeoutError):
        future.result(timeout=0)
    assert waiting.cancel()
    job = None
    with NodeClient(node.url, node.token, is_elsewhere=True) as client:
        while job is None:
            job = next((one["job"] for one in client.jobs(1)), None)
    assert not future.cancel(), "it has begun"
    with pytest.raises(KeyboardInterrupt), executor:
        raise KeyboardInterrupt
    with pytest.raises(UnavailableError, match="was cancelled"):
        future.result()
    assert node.control.kept[job].cancelled


def test_an_interrupted_call_is_given_up_on_the_node(executor, node, monkeypatch):
    node.control.runs_at_once = False

    def interrupted(_client, _job, *, after=0):
        raise KeyboardInterrupt

    monkeypatch.setattr(NodeClient, "follow", interrupted)
    with pytest.raises(KeyboardInterrupt):
        executor.call(size, b"")
    (kept,) = node.control.kept.values()
    assert kept.cancelled


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda report, other: report.update(record=other.record, output=other.output), "the record of another task"),
        (lambda report, other: report.update(output=other.output), "the record of another output"),
        (lambda report, other: report.update(exit_code=3), "says exit code 3, and the receipts do not"),
        (lambda report, other: report.update(task=other.task), "the report of another task"),
        (lambda report, other: report.update(output=5), "says what is no result"),
        (lambda report, other: report.update(created_at="now"), "answers with what is no report"),
    ],
)
def test_what_a_node_elsewhere_claims_is_checked(executor, desk, elsewhere, monkeypatch, change, words):
    other = executor.call(size, b"other")
    job, save = NodeClient.job, NodeClient.save_results

    def lying(client, name):
        view = job(client, name)
        change(view["report"], other)
        return view

    def proof(client, name, stream):
        # The proof that goes with the lie, as far as there is one.
        save(client, other.job if change.__code__.co_names[1:2] == ("record",) else name, stream)

    monkeypatch.setattr(NodeClient, "job", lying)
    monkeypatch.setattr(NodeClient, "save_results", proof)
    with pytest.raises((VerificationError, UnavailableError), match=words):
        executor.call(size, b"this")


def test_a_record_with_fewer_receipts_than_were_asked_for_is_no_answer(desk, elsewhere, monkeypatch):
    submit = NodeClient.submit

    def weakly(client, order):
        return submit(client, order | {"rule": order["rule"] | {"replication": 1, "confidence": 1}})

    with Executor(services=desk.services()) as executor:
        monkeypatch.setattr(NodeClient, "submit", weakly)
        with pytest.raises(VerificationError, match="a record with 1 receipt, and 2 were asked for"):
            executor.call(size, b"2")
        with desk.jobs() as jobs:
            assert jobs.newest(1) == []


@pytest.mark.parametrize("kind", ["task", "shards"])
def test_a_record_that_leaves_out_what_its_input_comes_from_is_no_answer(executor, elsewhere, monkeypatch, kind):
    first = executor.call(upper, b"abc")

    def call():
        return executor.call(size, first) if kind == "task" else executor.shard(upper, first / "outputs", "/*/*")

    made = call()
    record = made.record if kind == "task" else made.report["shards"][0]["record"]
    with elsewhere.services.open_store() as store:
        assert load_node(store, parse_cid(record), Record).parents == (parse_cid(first.record),)
    submit = NodeClient.submit
    monkeypatch.setattr(NodeClient, "submit", lambda client, order: submit(client, order | {"parents": []} | (
        {"data_parents": []} if "data_parents" in order else {}
    )))  # fmt: skip
    with pytest.raises(VerificationError, match=f"does not name {first.record}, from which an input comes"):
        call()


def test_a_record_that_is_agreed_by_a_weaker_rule_alone_is_no_answer(desk, elsewhere, monkeypatch):
    submit = NodeClient.submit

    def on_one_engine(client, order):
        return submit(client, order | {"rule": order["rule"] | {"diverse": False}})

    monkeypatch.setattr(NodeClient, "submit", on_one_engine)
    with (
        Executor(services=desk.services(), diverse=True) as executor,
        pytest.raises(VerificationError, match="not agreed by the rule that was asked for"),
    ):
        executor.call(size, b"2")


def test_a_node_can_be_named_demanded_and_left_out(desk, elsewhere, monkeypatch):
    monkeypatch.delenv("BACALHAU_API")
    with Executor(services=desk.services()) as executor:
        executor.call(size, b"")
    assert elsewhere.control.kept == {}
    with Executor(services=desk.services(), node=True) as executor:
        words = "Executor: node: needs a node, and none runs here; start one with `bacalhau serve`, or leave it out"
        with pytest.raises(UserError, match="needs a node, and none runs here") as caught:
            executor.call(size, b"")
        assert str(caught.value) == words.replace("Executor", size.where)
    with Executor(services=desk.services(), node=elsewhere.url) as executor:
        assert executor.call(size, b"").job in elsewhere.control.kept
    monkeypatch.setenv("BACALHAU_API", "http://127.0.0.1:1")
    with Executor(services=desk.services(), node=False) as executor:
        assert executor.call(size, b"").verdict == "cached"
    with Executor(services=desk.services()) as executor, pytest.raises(UnavailableError, match="nothing answers there"):
        executor.call(size, b"")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"trust": 0.99, "concurrency": 3}, "trust: and concurrency both say how many nodes are needed"),
        ({"trust": 0.99, "confidence": 1}, "trust: and confidence both say how many nodes are needed"),
        ({"bad_nodes": 0.2}, "bad_nodes: means nothing without trust"),
        ({"trust": 0.3}, "trust=0.3: must be a probability from 0.5 to less than 1"),
        ({"trust": 0.99, "bad_nodes": 0.7}, "must be more than 0 and at most 0.49"),
        ({"node": ""}, "node: is empty"),
        ({"node": True, "dask": "tcp://127.0.0.1:1"}, "dask: and node both say where calls run"),
        ({"concurrency": 1}, "say confidence=1 to trust a single node"),
    ],
)
def test_what_does_not_go_together_is_refused(desk, arguments, words):
    with pytest.raises(UserError, match=words):
        Executor(services=desk.services(), **arguments)


def test_no_node_can_be_held_to_a_whole_jail(desk, here):
    with Executor(services=desk.services(), strict=True) as executor:
        with pytest.raises(UserError, match="is about this machine, and a node chooses others"):
            executor.call(size, b"")
        assert executor.call(size.with_options(node=False), b"").value == 0
    assert here.control.kept == {}


def test_trust_on_nodes_of_this_process_takes_as_many_as_of_strangers_and_claims_no_probability(desk):
    with Executor(services=desk.services(), trust=0.999) as executor:
        r = executor.call(size, b"")
        counted = executor.call(size.with_options(trust=0.99), b"1")
    assert (len(r.receipts), len(counted.receipts)) == (4, 3)
    assert (r.report["trust"]["asked"], r.report["trust"]["reached"], r.report["trust"]["basis"]) == (
        0.999, None, "one machine"
    )  # fmt: skip


def test_calls_that_go_to_a_node_need_no_lock_of_each_other(desk, node):
    with Executor(services=desk.services(), max_workers=8) as executor:
        barrier = threading.Barrier(8)

        def data(number):
            barrier.wait()
            return b"x" * number

        with concurrent.futures.ThreadPoolExecutor(8) as threads:
            values = threads.map(lambda number: executor.call(size, data(number)).value, range(8))
        assert list(values) == list(range(8))


# ---- statements of merges


def stated(job, how, store, other):
    """Return the statement of a job over shards as a node says it. other: a record of another job."""
    rows = sorted(job.shards, key=lambda row: row.number)
    records = {row.number: row.record for row in rows}
    output, records = {
        "its own": (job.output, records),
        "wrong output": (rows[0].output, records),
        "shard missing": (job.output, {0: records[0]}),
        "of another job": (job.output, dict.fromkeys(records, other)),
    }[how]
    return cid_text(store_merge(store, output, records))


@pytest.fixture
def say(monkeypatch):
    """Have the node say something else of its next jobs over shards: what a function makes of the job and its store."""

    def instead(make):
        whole = fake_node.finished_shards

        def finished(*args, **kwargs):
            job, store = whole(*args, **kwargs), args[4]
            return replace(job, report={**job.report, **make(job, store)})

        monkeypatch.setattr(fake_node, "finished_shards", finished)

    return instead


@pytest.fixture
def texts(tmp_path):
    (tmp_path / "texts").mkdir()
    for name in ("a.txt", "b.txt"):
        (tmp_path / "texts" / name).write_text(name)
    return "texts"


@pytest.mark.parametrize("how", ["wrong output", "shard missing", "of another job"])
def test_a_job_over_shards_whose_statement_is_not_that_of_its_shards_is_not_kept(
    executor, desk, elsewhere, say, texts, how
):
    other = parse_cid(executor.call(upper, b"x").record)
    said = []
    say(lambda job, store: said.append(stated(job, how, store, other)) or {"merge": said[0]})
    with pytest.raises(VerificationError, match="states another merge than that of the shards' records") as raised:
        executor.shard(upper, texts, "/*.txt")
    assert raised.value.where.endswith(said[0])
    with desk.jobs() as jobs:
        assert len(list(jobs.newest(9))) == 1


def test_a_job_over_shards_with_its_own_statement_is_kept(executor, desk, elsewhere, say, texts):
    say(lambda job, store: {"merge": stated(job, "its own", store, None)})
    report = executor.shard(upper, texts, "/*.txt").report
    with desk.store() as store:
        assert load_merge(store, parse_cid(report["merge"]))[0] == parse_cid(report["output"])


def test_a_job_over_shards_whose_output_is_not_theirs_is_not_kept(executor, elsewhere, say, texts):
    say(lambda job, store: {"output": cid_text(job.shards[0].output)})
    with pytest.raises(VerificationError, match="says another output than the shards give"):
        executor.shard(upper, texts, "/*.txt")

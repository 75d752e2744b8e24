"""Jobs that go by trust at a requester node: plans by what is known, verdicts by who said what, and checks."""

import threading
from contextlib import AsyncExitStack

import pytest
import trio

from network.node import requester_side, spot_checks, trust_book
from network.node.datastore import JobState, Machine
from network.node.sqlite_datastore import SqliteDatastore
from network.node.trust_book import TrustBook
from network.node.trust_count import count_once, count_records, graph_of
from network.node.trust_entries import DISSENT, read_trust
from network.result_store import Nodes, ResultStore
from network.shard_list import load_shards
from network.trust_terms import LEAST_RULE
from runtime.engine import UndeterminedError
from storage.errors import UserError
from storage.sqlite_block_store import SqliteBlockStore
from tests.unit.network.node.node_world import (
    JOB,
    Engine,
    Net,
    in_thread,
    put_shards,
    put_task,
    shards_submission,
    submission,
    until_event,
)
from tests.unit.network.node.offers import on_real_time
from tests.unit.network.node.test_shard_jobs import rows_of
from verifier.audit import audit_record
from verifier.compare import make_rule
from verifier.credibility import NEWCOMER, History, TrustGoal, Witness
from verifier.model import Record, load_node

GOAL = TrustGoal(asked=0.999)


def trusting(task, job=JOB, *, goal=GOAL, **more):
    return submission(task, job, **({"rule": LEAST_RULE, "trust": goal, "no_cache": True} | more))


def trusting_shards(shards, count, job=JOB, *, goal=GOAL, **more):
    return shards_submission(shards, count, job, **({"rule": LEAST_RULE, "trust": goal} | more))


def task_at(place):
    with SqliteBlockStore(place.folder / "blocks.sqlite") as store:
        return put_task(store)


def shards_at(place, count):
    with SqliteBlockStore(place.folder / "blocks.sqlite") as store:
        return put_shards(store, count)


def known_at(place):
    """Return what is on a requester's disk about its nodes."""
    book = TrustBook()
    with SqliteDatastore(place.folder / "datastore.sqlite") as datastore:
        book.load(datastore.entries(Machine.TRUST))
    return book.histories()


def give_passes(place, count, *nodes):
    """Have a requester know that nodes gave so many agreed outputs."""
    with SqliteBlockStore(place.folder / "blocks.sqlite") as store, SqliteDatastore(
        place.folder / "datastore.sqlite"
    ) as datastore:  # fmt: skip
        book = TrustBook()
        book.load(datastore.entries(Machine.TRUST))
        record = put_task(store)
        peers = frozenset(node.peer for node in nodes)
        for number in range(count):
            task = b"\x01\x71\x12\x20" + number.to_bytes(4, "big") * 8
            datastore.commit(
                book.note(Witness(task=task, agreeing=peers, dissenting=frozenset()), record, among=1)
            )  # fmt: skip


async def until_heard(node, count):
    """Wait until a requester knows of so many nodes: before that, it plans for newcomers."""
    while node.status().known_nodes < count:
        await trio.sleep(0.01)


def job_row(place, job=JOB):
    row = place.finished()[job]
    if row.record is None:
        return row, None
    with SqliteBlockStore(place.folder / "blocks.sqlite") as store:
        assert audit_record(store, row.record).verdict == "valid"
        return row, load_node(store, row.record, Record).rule


@on_real_time
async def test_newcomers_are_asked_in_numbers_and_the_record_states_the_counts(tmp_path):
    net = Net(tmp_path, [Engine() for _ in range(6)])
    task = task_at(net.requester)
    async with net.running() as node:
        await node.submit(trusting(task))
        events = await until_event(node, JOB, "ended")
        assert (await node.job(JOB)).submission == trusting(task)
    row, rule = job_row(net.requester)
    assert (row.verdict, rule) == ("agreed", make_rule(replication=4, confidence=4))
    assert row.report["trust"] == pytest.approx(0.9**4 / (0.9**4 + 0.1**4))
    assert len(row.report["receipts"]) == 4
    assigned = next(event for event in events if event.kind == "assigned")
    assert assigned.detail["passes"] == [0] * 4
    assert (assigned.detail["words"], assigned.detail["trust"]) == (4, 0.999)
    assert known_at(net.requester) == {peer: History(passes=1) for peer in row.report["receipts"]}


@on_real_time
async def test_a_long_record_makes_one_node_enough_and_only_such_nodes_are_asked(tmp_path):
    net = Net(tmp_path, [Engine() for _ in range(5)])
    task = task_at(net.requester)
    give_passes(net.requester, 50, *net.nodes[:3])
    async with net.running() as node:
        await until_heard(node, 5)
        await node.submit(trusting(task))
        await until_event(node, JOB, "ended")
    row, rule = job_row(net.requester)
    assert (row.verdict, rule) == ("agreed", make_rule(replication=1, confidence=1))
    (asked,) = row.report["receipts"]
    assert asked in {place.peer for place in net.nodes[:3]}
    assert row.report["trust"] >= 0.999
    assert known_at(net.requester)[asked] == History(passes=50), "who was alone has shown nothing"


@on_real_time
async def test_a_plan_waits_for_nodes_as_the_offers_do(tmp_path, monkeypatch):
    """Submitted before any node was heard of: as soon as those are there that are known well, one is enough."""
    monkeypatch.setattr(requester_side, "OFFER_MS", 50)
    net = Net(tmp_path, [Engine() for _ in range(3)])
    task = task_at(net.requester)
    give_passes(net.requester, 50, *net.nodes)
    async with net.requester.open(net.network) as node:
        await node.submit(trusting(task))
        async with AsyncExitStack() as stack:
            for place in net.nodes:
                await stack.enter_async_context(place.open(net.network))
            for place in net.nodes:
                await net.network.connect(net.requester.peer, place.peer)
            await until_event(node, JOB, "ended")
    row, rule = job_row(net.requester)
    assert (row.verdict, rule) == ("agreed", make_rule(replication=1, confidence=1))


@on_real_time
async def test_where_no_proven_node_is_left_others_are_asked(tmp_path):
    """Both that are known well fail; what they say does not count, and four newcomers do."""
    broken = [Engine(UndeterminedError("disk full")) for _ in range(2)]
    net = Net(tmp_path, [*broken, *(Engine() for _ in range(5))])
    task = task_at(net.requester)
    give_passes(net.requester, 50, *net.nodes[:2])
    async with net.running() as node:
        await until_heard(node, 7)
        await node.submit(trusting(task))
        await until_event(node, JOB, "ended")
    row, rule = job_row(net.requester)
    assert (row.verdict, rule) == ("agreed", make_rule(replication=1, confidence=1))
    assert row.report["trust"] >= 0.999
    assert len(row.report["receipts"]) == 4


@on_real_time
async def test_below_what_was_asked_it_is_not_verified(tmp_path, monkeypatch):
    monkeypatch.setattr(requester_side, "OFFER_MS", 50)
    net = Net(tmp_path, [Engine(), Engine(), Engine()])
    task = task_at(net.requester)
    async with net.running() as node:
        await until_heard(node, 3)
        node.requester.host.machine.grace_ms = 50
        await node.submit(trusting(task))
        await until_event(node, JOB, "ended")
        assert (await node.job(JOB)).state is JobState.ENDED
    row, _ = job_row(net.requester)
    assert (row.verdict, row.record, row.output) == ("too-few", None, None)
    assert 0.9 < row.report["trust"] < 0.999
    assert known_at(net.requester) == {}


@on_real_time
async def test_a_liar_among_newcomers_takes_more_of_them_and_loses_what_it_had(tmp_path):
    """Tasks of their own, since whoever has had a task before is the first to bid for it again."""
    liar = Engine(b"a lie")
    net = Net(tmp_path, [liar, *(Engine() for _ in range(5))])
    with SqliteBlockStore(net.requester.folder / "blocks.sqlite") as store:
        _, shards = load_shards(store, put_shards(store, 40))
    give_passes(net.requester, 2, *net.nodes)
    jobs = 0
    async with net.running() as node:
        await until_heard(node, 6)
        while not liar.calls and jobs < 40:
            await node.submit(trusting(shards[jobs].task, job=f"{jobs + 1:032x}"))
            jobs += 1
            await until_event(node, f"{jobs:032x}", "ended")
    assert liar.calls == 1
    row, _ = job_row(net.requester, f"{jobs:032x}")
    assert row.verdict == "agreed"
    assert row.report["dissent"] == [net.nodes[0].peer]
    assert len(row.report["receipts"]) >= 3
    assert known_at(net.requester)[net.nodes[0].peer] == History(passes=0, dissents=1)


async def until_begun(engines, task):
    """Wait until one of these engines, which are shut, has a task: it was given to all that it was to be given to."""
    began = threading.Semaphore(0)
    for engine in engines:
        engine.began = began
    while not any(task in engine.tasks for engine in engines):
        await in_thread(began.acquire)


@on_real_time
async def test_shards_need_fewer_nodes_as_their_records_grow(tmp_path, monkeypatch):
    """The first shard is given to nodes before anybody has a record, however long bids take: until then none ends."""
    monkeypatch.setattr(trust_book, "PLAN_AGAIN", 4)
    engines = [Engine() for _ in range(6)]
    for engine in engines:
        engine.gate.clear()
    net = Net(tmp_path, engines)
    count = 30
    shards = shards_at(net.requester, count)
    with SqliteBlockStore(net.requester.folder / "blocks.sqlite") as store:
        first = load_shards(store, shards)[1][0].task
    async with net.running() as node:
        await until_heard(node, 6)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(until_begun, engines, first)
            await node.submit(trusting_shards(shards, count))
        for engine in engines:
            engine.gate.set()
        await until_event(node, JOB, "ended")
    rows = rows_of(net.requester)
    assert {row.verdict for row in rows} == {"agreed"}
    with SqliteBlockStore(net.requester.folder / "blocks.sqlite") as store:
        rules = [load_node(store, row.record, Record).rule.confidence for row in rows]
    assert rules[0] == 4
    assert rules[-1] <= 2
    assert sum(engine.calls for engine in engines) == sum(rules)


@on_real_time
async def test_a_requester_that_was_restarted_knows_its_nodes_and_its_plans(tmp_path):
    engines = [Engine() for _ in range(6)]
    net = Net(tmp_path, engines)
    task = task_at(net.requester)
    give_passes(net.requester, 3, *net.nodes)
    for engine in engines:
        engine.gate.clear()
    async with trio.open_nursery() as nursery:
        stop, started = trio.Event(), trio.Event()

        async def keep_nodes():
            async with AsyncExitStack() as stack:
                for place in net.nodes:
                    await stack.enter_async_context(place.open(net.network))
                started.set()
                await stop.wait()

        nursery.start_soon(keep_nodes)
        await started.wait()
        async with net.requester_running() as node:
            await until_heard(node, 6)
            await node.submit(trusting(task))
            await until_event(node, JOB, "assigned")
        for engine in engines:
            engine.gate.set()
        async with net.requester_running() as node:
            await until_event(node, JOB, "ended")
        stop.set()
    row, rule = job_row(net.requester)
    assert (row.verdict, rule) == ("agreed", make_rule(replication=2, confidence=2))
    assert row.report["trust"] >= 0.999
    assert sum(engine.calls for engine in engines) == 2


@on_real_time
async def test_what_is_known_answers_only_if_its_nodes_are_trusted_that_far_now(tmp_path):
    engines = [Engine() for _ in range(6)]
    net = Net(tmp_path, engines)
    shards = shards_at(net.requester, 1)
    async with net.running() as node:
        await node.submit(shards_submission(shards, 1, rule=make_rule(replication=2)))
        await until_event(node, JOB, "ended")
        await node.submit(trusting_shards(shards, 1, job="1" * 32, goal=TrustGoal(asked=0.98)))
        await until_event(node, "1" * 32, "ended")
        assert sum(engine.calls for engine in engines) == 2
        await node.submit(trusting_shards(shards, 1, job="2" * 32))
        await until_event(node, "2" * 32, "ended")
        assert sum(engine.calls for engine in engines) == 4, "four words are needed, and two of them are known"
    assert [rows_of(net.requester, job * 32)[0].verdict for job in "12"] == ["cached", "agreed"]


@on_real_time
async def test_counts_that_the_policy_does_not_have_are_refused_at_once(tmp_path):
    net = Net(tmp_path, [Engine()])
    task = task_at(net.requester)
    net.requester.objection = lambda job: "at most 3 nodes" if job.rule.replication > 3 else ""
    async with net.running() as node:
        with pytest.raises(UserError, match="at most 3 nodes"):
            await node.submit(trusting(task))
        await node.submit(trusting(task, goal=TrustGoal(asked=0.9)))
        await until_event(node, JOB, "ended")


# ---- checks


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(spot_checks.SpotChecks, "pause_s", lambda checks: 0.0)


async def known_tasks(net, node, count, *, nodes=3):
    """Have tasks agreed on by the first nodes, so that they are known."""
    shards = shards_at(net.requester, count)
    await node.submit(shards_submission(shards, count, job="f" * 32, rule=make_rule(replication=nodes)))
    await until_event(node, "f" * 32, "ended")


def changed(net, before):
    return {peer: h for peer, h in known_at(net.requester).items() if before.get(peer, NEWCOMER) != h}


async def until_known(net, peer, is_so):
    while not is_so(known_at(net.requester).get(peer, NEWCOMER)):
        await trio.sleep(0.02)


@on_real_time
async def test_a_check_is_one_more_task_and_a_pass_for_whom_answers_it(tmp_path, at_once):
    engines = [Engine() for _ in range(4)]
    net = Net(tmp_path, engines)
    net.requester.spot_checks = 1.0
    task = task_at(net.requester)
    async with net.running() as node:
        await known_tasks(net, node, 1)
        before = known_at(net.requester)
        (fresh,) = [place for place in net.nodes if place.peer not in before]
        await node.submit(trusting(task, goal=TrustGoal(asked=0.5)))
        await until_event(node, JOB, "ended")
        await until_known(net, fresh.peer, lambda history: history.passes > 0)
        assert [job.submission.job for job in await node.jobs(limit=10)] == [JOB, "f" * 32], "nobody submitted it"
    assert changed(net, before) == {fresh.peer: History(passes=1)}


@on_real_time
async def test_whoever_lies_in_a_check_loses_its_record_with_evidence(tmp_path, at_once):
    engines = [Engine() for _ in range(4)]
    net = Net(tmp_path, engines)
    net.requester.spot_checks = 1.0
    task = task_at(net.requester)
    async with net.running() as node:
        await known_tasks(net, node, 1)
        (fresh,) = [place for place in net.nodes if place.peer not in known_at(net.requester)]
        fresh.engine.answer = b"a lie"
        await node.submit(trusting(task, goal=TrustGoal(asked=0.5)))
        await until_event(node, JOB, "ended")
        await until_known(net, fresh.peer, lambda history: history.dissents > 0)
    assert known_at(net.requester)[fresh.peer] == History(passes=0, dissents=1)
    with SqliteDatastore(net.requester.folder / "datastore.sqlite") as datastore:
        kept = read_trust(datastore.entries_below(Machine.TRUST, f"{DISSENT}/")).dissents[fresh.peer]
    with SqliteBlockStore(net.requester.folder / "blocks.sqlite") as store:
        assert store.has(kept.receipt)
        assert load_node(store, kept.record, Record).task != task


@on_real_time
async def test_jobs_that_go_by_counts_bring_no_checks(tmp_path, at_once):
    engines = [Engine() for _ in range(4)]
    net = Net(tmp_path, engines)
    net.requester.spot_checks = 1.0
    task = task_at(net.requester)
    async with net.running() as node:
        await known_tasks(net, node, 1)
        calls = sum(engine.calls for engine in engines)
        await node.submit(submission(task, no_cache=True))
        await until_event(node, JOB, "ended")
        assert sum(engine.calls for engine in engines) == calls + 3


@on_real_time
async def test_what_labels_chose_and_what_was_given_away_is_never_a_check(tmp_path):
    """The one because other nodes must not see it, the other because they may know it."""
    net = Net(tmp_path, [Engine() for _ in range(3)])
    for place in net.nodes:
        place.labels = {"zone": "eu"}
    task, shards = task_at(net.requester), shards_at(net.requester, 1)
    async with net.running() as node:
        await node.submit(submission(task, no_cache=True, selector=(("zone", "eu"),)))
        await until_event(node, JOB, "ended")
        await node.submit(shards_submission(shards, 1, job="2" * 32, selector=(("zone", "eu"),)))
        await until_event(node, "2" * 32, "ended")
        with ResultStore(net.requester.folder / "datastore.sqlite") as results:
            assert len(results.of_strangers(9)) == 2
            assert results.sample(9) == []
        await node.submit(submission(task, no_cache=True, job="1" * 32))
        await until_event(node, "1" * 32, "ended")
        with ResultStore(net.requester.folder / "datastore.sqlite") as results:
            ((drawn, record),) = results.sample(9)
            assert drawn == task
            results.published(record)
            assert results.sample(9) == []
            assert record in results.records(task, nodes=Nodes.NETWORK), "it still answers"


# ---- records of before, and of others


def test_records_of_before_are_counted_once_and_those_of_others_when_it_is_said(tmp_path):
    from tests.vectors.records.world import World, identity

    world = World(nodes=4, liars=1)
    record = world.build()
    with (
        SqliteBlockStore(tmp_path / "blocks.sqlite") as store,
        SqliteDatastore(tmp_path / "d.sqlite") as datastore,
        ResultStore(tmp_path / "d.sqlite") as results,
    ):
        store.put_many(world.store.kept.items())
        results.add(world.task, record, nodes=Nodes.NETWORK, at=1.0)
        for _ in range(2):
            count_once(datastore, results, store)
        book = TrustBook()
        book.load(datastore.entries(Machine.TRUST))
        liar = identity(3).peer
        assert book.histories()[liar] == History(dissents=1)
        assert {history.passes for peer, history in book.histories().items() if peer != liar} == {1}
        datastore.commit(book.forgive(liar))
        count_once(datastore, results, store)
        book.load(datastore.entries(Machine.TRUST))
        assert liar not in book.histories(), "forgiven is forgiven"
        found = count_records([*graph_of(record, store), world.task], datastore, store)
        assert (found.records, found.unsound) == (1, 1)
        assert datastore.entries(Machine.TRUST).keys() >= {f"{DISSENT}/{liar}"}

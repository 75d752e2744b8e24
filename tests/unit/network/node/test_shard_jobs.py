"""Jobs over shards at a requester node: each shard settled on its own, and the job when all are."""

import pytest
import trio

from network.job_store import JobStore
from network.node.datastore import Machine, Put
from network.node.sqlite_datastore import SqliteDatastore
from network.result_store import Nodes, ResultStore
from network.shard_list import load_shards
from network.transport_core import TransportCore
from storage.cid import parse_cid
from storage.errors import UnavailableError
from storage.sqlite_block_store import SqliteBlockStore
from tests.unit.network.node.node_world import (
    JOB,
    Engine,
    Net,
    put_shards,
    put_task,
    shards_submission,
    submission,
    until_event,
)
from tests.unit.network.node.offers import on_real_time
from tests.vectors.records.world import put_unverified
from verifier.compare import make_rule
from verifier.model import Record, load_node
from verifier.shard_merge import merge_shards

COUNT = 7
ALONE = make_rule(replication=1, confidence=1)


def shards_at(place, count=COUNT):
    with SqliteBlockStore(place.folder / "blocks.sqlite") as store:
        return put_shards(store, count)


def task_at(place):
    with SqliteBlockStore(place.folder / "blocks.sqlite") as store:
        return put_task(store)


def rows_of(place, job=JOB):
    with JobStore(place.folder / "datastore.sqlite") as jobs:
        return jobs.shards(job)


def left_of(place):
    """What a job that has ended left among the entries that grow with its shards."""
    with SqliteDatastore(place.folder / "datastore.sqlite") as datastore:
        settled = datastore.entries(Machine.SETTLEMENT)
        return [*settled, *(key for key in datastore.entries(Machine.REQUESTER) if key.startswith("step/"))]


@on_real_time
async def test_shards_name_the_records_that_gave_their_data_also_those_that_are_known(tmp_path):
    net = Net(tmp_path, [Engine(), Engine(), Engine()])
    with SqliteBlockStore(net.requester.folder / "blocks.sqlite") as store:
        shards, more = put_shards(store, 2), put_shards(store, 3)
        parent = put_unverified(store, parse_cid(load_shards(store, shards)[0].data))
    first, second = JOB, JOB[::-1]
    async with net.running() as node:
        await node.submit(shards_submission(shards, 2, first))
        await until_event(node, first, "ended")
        await node.submit(shards_submission(more, 3, second, data_parents=(parent,)))
        await until_event(node, second, "ended")
    with SqliteBlockStore(net.requester.folder / "blocks.sqlite") as store:
        named = [[load_node(store, row.record, Record).parents for row in rows_of(net.requester, job)]
                 for job in (first, second)]  # fmt: skip
    assert named == [[()] * 2, [(parent,)] * 3]
    assert [row.verdict for row in rows_of(net.requester, second)] == ["cached", "cached", "agreed"]


@on_real_time
async def test_each_shard_is_verified_and_the_job_is_one_output(tmp_path):
    net = Net(tmp_path, [Engine(), Engine(), Engine()])
    shards = shards_at(net.requester)
    async with net.running() as node:
        await node.submit(shards_submission(shards, COUNT))
        events = await until_event(node, JOB, "ended")
    rows = rows_of(net.requester)
    assert [row.number for row in rows] == list(range(COUNT))
    assert {row.verdict for row in rows} == {"agreed"}
    assert {row.exit_code for row in rows} == {0}
    job = net.requester.finished()[JOB]
    assert (job.task, job.record, job.verdict) == (None, None, "agreed")
    with SqliteBlockStore(net.requester.folder / "blocks.sqlite") as store:
        assert merge_shards(store, {row.number: row.output for row in rows}).output == job.output
    with ResultStore(net.requester.folder / "datastore.sqlite") as results:
        assert [results.records(row.task, nodes=Nodes.NETWORK) for row in rows] == [[row.record] for row in rows]
    kinds = {event.kind for event in events}
    assert kinds <= {"submitted", "shards", "fetching", "ended"}, "no steps of single shards"
    assert [event for event in events if event.kind == "shards"][-1].detail == {
        "ended": COUNT, "of": COUNT, "agreed": COUNT, "cached": 0, "failed": 0,
    }  # fmt: skip
    assert left_of(net.requester) == []


@on_real_time
async def test_what_was_verified_before_is_asked_of_nobody(tmp_path):
    engine = Engine()
    net = Net(tmp_path, [engine])
    few, many = shards_at(net.requester, 3), shards_at(net.requester, 5)
    async with net.running() as node:
        await node.submit(shards_submission(few, 3, rule=ALONE))
        await until_event(node, JOB, "ended")
        assert engine.calls == 3
        await node.submit(shards_submission(many, 5, job="1" * 32, rule=ALONE))
        await until_event(node, "1" * 32, "ended")
        assert engine.calls == 5
        await node.submit(shards_submission(many, 5, job="2" * 32, rule=ALONE))
        await until_event(node, "2" * 32, "ended")
        assert engine.calls == 5
        await node.submit(shards_submission(many, 5, job="3" * 32, rule=ALONE, no_cache=True))
        await until_event(node, "3" * 32, "ended")
        assert engine.calls == 10
    verdicts = [row.verdict for row in rows_of(net.requester, "1" * 32)]
    assert verdicts == ["cached"] * 3 + ["agreed"] * 2
    assert {row.verdict for row in rows_of(net.requester, "2" * 32)} == {"cached"}
    jobs = net.requester.finished()
    assert len({jobs[job * 32].output for job in "123"}) == 1


@on_real_time
async def test_what_somebody_dissented_from_is_known_as_well(tmp_path):
    """The record names the output of the liar, which nobody brings here."""
    liar = Engine(b"a lie")
    net = Net(tmp_path, [Engine(), Engine(), liar])
    shards = shards_at(net.requester, 2)
    async with net.running() as node:
        await node.submit(shards_submission(shards, 2))
        await until_event(node, JOB, "ended")
        await node.submit(shards_submission(shards, 2, job="1" * 32))
        await until_event(node, "1" * 32, "ended")
    assert liar.calls == 2
    assert {row.verdict for row in rows_of(net.requester, "1" * 32)} == {"cached"}


@on_real_time
async def test_after_more_failures_than_allowed_the_rest_is_given_up(tmp_path):
    net = Net(tmp_path, [Engine(exit_code=1)])
    shards = shards_at(net.requester, 40)
    async with net.running() as node:
        await node.submit(shards_submission(shards, 40, rule=ALONE, max_failures=1))
        events = await until_event(node, JOB, "ended")
        assert (await node.job(JOB)).cancelled
    given_up = next(event.detail for event in events if event.kind == "given-up")
    assert given_up["failed"] >= 2
    failed = [event.detail for event in events if event.kind == "shard"]
    assert failed[0] == {"shard": failed[0]["shard"], "verdict": "agreed", "exit_code": 1}
    rows = rows_of(net.requester)
    assert 2 <= len(rows) < 40
    assert {row.exit_code for row in rows} == {1}, "what the function itself failed at is verified all the same"


@on_real_time
async def test_a_job_over_shards_that_is_cancelled_ends_with_what_there_is(tmp_path):
    engine = Engine()
    engine.gate.clear()
    net = Net(tmp_path, [engine])
    shards = shards_at(net.requester)
    async with net.running() as node:
        await node.submit(shards_submission(shards, COUNT, rule=ALONE))
        await trio.to_thread.run_sync(engine.began.acquire)
        await node.cancel(JOB)
        events = await until_event(node, JOB, "ended")
    assert [event.kind for event in events if event.kind in ("cancelled", "ended")] == ["cancelled", "ended"]
    assert rows_of(net.requester) == ()
    assert left_of(net.requester) == []


@on_real_time
@pytest.mark.parametrize("stops_after", [0, 1, 3])
async def test_a_restart_goes_on_with_the_shards_that_are_left(tmp_path, stops_after):
    engine = Engine()
    net = Net(tmp_path, [engine])
    shards = shards_at(net.requester)
    async with net.running() as node:
        await node.submit(shards_submission(shards, COUNT, rule=ALONE))
        after = 0
        while stops_after and after < stops_after:
            await node.wait_for_events(JOB, after)
            events = await node.events(JOB)
            after = max((event.detail["ended"] for event in events if event.kind == "shards"), default=0)
            if events and events[-1].kind == "ended":
                break
    async with net.running() as node:
        events = await until_event(node, JOB, "ended")
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    assert [row.verdict for row in rows_of(net.requester)] == ["agreed"] * COUNT
    assert [event for event in events if event.kind == "shards"][-1].detail["ended"] == COUNT
    assert left_of(net.requester) == []


class Dying:
    """A datastore that fails for good at one commit, as if the power went."""

    def __init__(self, below, at):
        self._below, self._at, self.commits = below, at, 0

    def __getattr__(self, name):
        return getattr(self._below, name)

    def commit(self, changes):
        self.commits += 1
        if self.commits == self._at:
            raise UnavailableError("no power")
        self._below.commit(changes)


@on_real_time
@pytest.mark.parametrize("at", range(2, 9))
async def test_a_commit_that_fails_loses_no_shard(tmp_path, monkeypatch, at):
    monkeypatch.setattr("network.node.requester_side.DISK_PAUSE_S", 0.01)
    monkeypatch.setattr("network.node.settlement.DISK_PAUSE_S", 0.01)
    monkeypatch.setattr("network.node.machine_host.FIRST_PAUSE_S", 0.01)
    net = Net(tmp_path, [Engine()])
    net.requester.wrap = lambda below: Dying(below, at)
    shards = shards_at(net.requester)
    async with net.running() as node:
        await node.submit(shards_submission(shards, COUNT, rule=ALONE))
        await until_event(node, JOB, "ended")
    assert [row.verdict for row in rows_of(net.requester)] == ["agreed"] * COUNT


@on_real_time
async def test_a_small_job_does_not_wait_for_a_large_one(tmp_path, monkeypatch):
    monkeypatch.setattr("network.compute_node.MAX_IN_HAND", 8)  # else all of this one is in the node's hands at once
    engine = Engine()
    engine.gate.clear()
    net = Net(tmp_path, [engine])
    large = shards_at(net.requester, 60)
    small = task_at(net.requester)
    async with net.running() as node:
        await node.submit(shards_submission(large, 60, rule=ALONE, no_cache=True))
        await trio.to_thread.run_sync(engine.began.acquire)
        await node.submit(submission(small, job="1" * 32, rule=ALONE, no_cache=True))
        engine.gate.set()
        await until_event(node, JOB, "ended")
        await until_event(node, "1" * 32, "ended")
    assert engine.tasks.index(small) < 40, "at most 24 tasks had begun"


OTHER = "1" * 32


class FailsToAnswer:
    """Fails at the first commit that keeps known shards of another job: the disk is full for a moment."""

    def __init__(self, below):
        self._below, self.failed = below, 0

    def __getattr__(self, name):
        return getattr(self._below, name)

    def commit(self, changes):
        changes = list(changes)
        kept = [one for one in changes if isinstance(one, Put) and one.machine is Machine.SETTLEMENT]
        if not self.failed and any(one.key.startswith(OTHER) for one in kept):
            self.failed += 1
            raise UnavailableError("the disk is full")
        self._below.commit(changes)


@on_real_time
async def test_known_shards_that_cannot_be_kept_at_first_are_answered_again(tmp_path, monkeypatch):
    monkeypatch.setattr("network.node.requester_side.DISK_PAUSE_S", 0.01)
    net = Net(tmp_path, [Engine()])
    few, many = shards_at(net.requester, 3), shards_at(net.requester, 5)
    net.requester.wrap = FailsToAnswer
    async with net.running() as node:
        await node.submit(shards_submission(few, 3, rule=ALONE))
        await until_event(node, JOB, "ended")
        await node.submit(shards_submission(many, 5, job=OTHER, rule=ALONE))
        await until_event(node, OTHER, "ended")
    assert [row.verdict for row in rows_of(net.requester, OTHER)] == ["cached"] * 3 + ["agreed"] * 2


@pytest.mark.parametrize(
    ("selector", "zones", "verdicts"),
    [((), "ab", ["cached"] * 2), ("b", "bb", ["cached"] * 2), ("b", "ab", ["agreed"] * 2)],
)
@on_real_time
async def test_known_results_answer_where_nodes_are_selected_if_theirs_would_be(tmp_path, selector, zones, verdicts):
    net = Net(tmp_path, [Engine(), Engine()])
    for place, zone in zip(net.nodes, zones, strict=True):
        place.labels = {"zone": zone, "name": place.folder.name}
    selector = tuple(("zone", zone) for zone in selector)
    shards = shards_at(net.requester, 2)
    async with net.running() as node:
        await node.submit(shards_submission(shards, 2, rule=ALONE, selector=(("name", "node0"),)))
        await until_event(node, JOB, "ended")
        await node.submit(shards_submission(shards, 2, job=OTHER, rule=ALONE, selector=selector))
        await until_event(node, OTHER, "ended")
    assert [row.verdict for row in rows_of(net.requester, OTHER)] == verdicts


@on_real_time
async def test_what_only_a_shard_has_comes_with_the_word_about_it(tmp_path, monkeypatch):
    """The node has the function from before: it asks for nothing."""
    asked = []
    fetch = TransportCore.fetch_blocks

    async def fetch_blocks(self, peer, cids, *, deadline_s):
        asked.append(self.peer)
        return await fetch(self, peer, cids, deadline_s=deadline_s)

    monkeypatch.setattr(TransportCore, "fetch_blocks", fetch_blocks)
    engine = Engine()
    net = Net(tmp_path, [engine])
    (node_place,) = net.nodes
    task_at(node_place)
    shards = shards_at(net.requester)
    async with net.running() as node:
        await node.submit(shards_submission(shards, COUNT, rule=ALONE))
        await until_event(node, JOB, "ended")
    assert engine.calls == COUNT
    assert asked.count(node_place.peer) == 0
    assert [row.verdict for row in rows_of(net.requester)] == ["agreed"] * COUNT

"""Whether a node may go on from a checkpoint: what the submitter said, as it reaches the engines of nodes."""

import dataclasses

import pytest

from network.capacity_book import CapacityBook
from network.node.spot_checks import SpotChecks
from network.node.trust_book import TrustBook
from runtime.checkpoint_model import may_resume
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
from verifier.model import Input, Task, load_node, store_node


class Watched(Engine):
    """Notes by whose checkpoints it is told to go on, and for whom."""

    def __init__(self):
        super().__init__()
        self.told = []

    def execute(self, plan, *arguments, **more):
        self.told.append((plan.checkpoints_of, plan.submitter))
        return super().execute(plan, *arguments, **more)


def seeded(store):
    """Put a task with a seed of its own into a store: it can have checkpoints."""
    parts = load_node(store, put_task(store), Task)
    input_ = store_node(store, dataclasses.replace(load_node(store, parts.input, Input), seed="5eed"))
    return store_node(store, Task(function=parts.function, input=input_))


async def told(net, make, submit):
    """Submit what `make` puts into the requester's store, and return what each engine was told."""
    with SqliteBlockStore(net.requester.folder / "blocks.sqlite") as store:
        made = make(store)
    async with net.running() as node:
        await node.submit(submit(made))
        await until_event(node, JOB, "ended")
    return [place.engine.told for place in net.nodes]


@on_real_time
async def test_each_node_is_told_of_its_own_checkpoints_in_the_requesters_name(tmp_path):
    net = Net(tmp_path, [Watched() for _ in range(3)])
    assert await told(net, seeded, submission) == [[(place.peer, net.requester.peer)] for place in net.nodes]


@on_real_time
async def test_shards_are_told_alike(tmp_path):
    net = Net(tmp_path, [Watched() for _ in range(3)])
    found = await told(net, lambda store: put_shards(store, 2), lambda shards: shards_submission(shards, 2))
    assert found == [[(place.peer, net.requester.peer)] * 2 for place in net.nodes]


@pytest.mark.parametrize(
    ("make", "options"), [(seeded, {"no_cache": True}), (put_task, {})], ids=["to compare", "without a seed"]
)
def test_all_others_run_whole(tmp_path, make, options):
    @on_real_time
    async def run():
        net = Net(tmp_path, [Watched() for _ in range(3)])
        found = await told(net, make, lambda task: submission(task, **options))
        assert found == [[("", net.requester.peer)]] * 3

    run()


@on_real_time
async def test_nodes_of_the_release_before_run_whole_and_agree(tmp_path, monkeypatch):
    net = Net(tmp_path, [Watched() for _ in range(3)])
    old = net.nodes[0].peer
    readers = CapacityBook.readers
    monkeypatch.setattr(CapacityBook, "readers", lambda book, peers: readers(book, peers) - {old})
    found = await told(net, seeded, submission)
    assert found[0] == [("", net.requester.peer)]
    assert found[1:] == [[(place.peer, net.requester.peer)] for place in net.nodes[1:]]
    assert net.requester.finished()[JOB].verdict == "agreed"


@on_real_time
async def test_a_check_is_told_from_work_by_nothing_here(tmp_path):
    net = Net(tmp_path, [Watched() for _ in range(3)])
    await told(net, seeded, submission)
    with SqliteBlockStore(net.requester.folder / "blocks.sqlite") as store:
        job = net.requester.finished()[JOB]
        checks = SpotChecks(store=store, trust=TrustBook(), sample=lambda count: [(job.task, job.record)])
        (check,) = checks.make(1, reveal_ms=1, offer_ms=1, queue_ms=1)
        assert check.resumes
        assert may_resume(load_node(store, load_node(store, job.task, Task).input, Input))

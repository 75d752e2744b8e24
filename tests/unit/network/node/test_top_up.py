"""What is known among nodes and too weak is added to: what is missing runs on others, and the record is audited."""

from network.node.job_events import ENDED
from network.result_store import ResultStore
from storage.sqlite_block_store import SqliteBlockStore
from tests.unit.network.node.datastore_world import job_name
from tests.unit.network.node.node_world import (
    Engine,
    Net,
    shards_submission,
    submission,
    until_event,
)
from tests.unit.network.node.offers import on_real_time
from tests.unit.network.node.test_node import audited, task_at
from tests.unit.network.node.test_shard_jobs import shards_at
from verifier.blindness import blind_nodes, load_rounds
from verifier.compare import make_rule
from verifier.model import Receipt, Record, load_node

WEAK = make_rule(replication=1, confidence=1)


def engines_of(net):
    return sum(place.engine.calls for place in net.nodes)


async def run(node, job, task, **more):
    await node.submit(submission(task, job, **more))
    await until_event(node, job, ENDED)


def evidence(net, job):
    """Return the receipts of a job's record, the record, and which of its nodes were blind."""
    with SqliteBlockStore(net.requester.folder / "blocks.sqlite") as store:
        record = load_node(store, net.requester.finished()[job].record, Record)
        receipts = [load_node(store, cid, Receipt) for cid in (*record.receipts, *record.dissent)]
        return receipts, record, blind_nodes(receipts, load_rounds(receipts, store))


@on_real_time
async def test_only_what_is_missing_runs_on_other_nodes(tmp_path):
    net = Net(tmp_path, [Engine(), Engine(), Engine()])
    weak, strong, again = map(job_name, (1, 2, 3))
    task = task_at(net.requester)
    async with net.running() as node:
        await run(node, weak, task, rule=WEAK)
        assert engines_of(net) == 1
        await run(node, strong, task)
        assert engines_of(net) == 2
        await run(node, again, task)
        assert engines_of(net) == 2
    receipts, record, blind = evidence(net, strong)
    assert len({receipt.node for receipt in receipts}) == len(record.receipts) == 2
    (first,), _, _ = evidence(net, weak)
    assert blind == {first.node}
    assert audited(net.requester, strong)[0] == "valid"


@on_real_time
async def test_what_was_given_away_is_not_added_to(tmp_path):
    net = Net(tmp_path, [Engine(), Engine(), Engine()])
    weak, strong = map(job_name, (1, 2))
    task = task_at(net.requester)
    async with net.running() as node:
        await run(node, weak, task, rule=WEAK)
        with ResultStore(net.requester.folder / "datastore.sqlite") as results:
            results.published(net.requester.finished()[weak].record)
        await run(node, strong, task)
    receipts, _, blind = evidence(net, strong)
    assert engines_of(net) == 4
    assert blind == {receipt.node for receipt in receipts}


@on_real_time
async def test_shards_are_added_to_one_by_one(tmp_path):
    net = Net(tmp_path, [Engine(), Engine(), Engine()])
    weak, strong = map(job_name, (1, 2))
    shards = shards_at(net.requester, 3)
    async with net.running() as node:
        for job, rule in ((weak, WEAK), (strong, make_rule())):
            await node.submit(shards_submission(shards, 3, job, rule=rule))
            await until_event(node, job, ENDED)
    assert engines_of(net) == 6

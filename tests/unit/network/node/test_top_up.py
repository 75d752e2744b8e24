"""What is known among nodes and too weak is added to: what is missing runs on others, and the record is audited."""

import pytest

from network.node.job_events import ENDED
from network.result_store import ResultStore
from network.shard_list import load_shards
from network.trust_terms import LEAST_RULE
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
from tests.unit.network.node.test_trust_jobs import until_heard
from verifier.blindness import blind_nodes, load_rounds
from verifier.compare import make_rule
from verifier.credibility import TrustGoal, Witness
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
async def test_where_answers_are_to_be_trusted_as_many_are_asked_as_the_nodes_of_before_lack(tmp_path):
    """Four newcomers are needed. That both of before agreed on this very task is no pass of theirs in it."""
    net = Net(tmp_path, [Engine() for _ in range(5)])
    weak, strong = map(job_name, (1, 2))
    task = task_at(net.requester)
    async with net.running() as node:
        await until_heard(node, 5)
        await run(node, weak, task, rule=make_rule(replication=2))
        await run(node, strong, task, rule=LEAST_RULE, trust=TrustGoal(asked=0.999))
    receipts, record, _ = evidence(net, strong)
    assert engines_of(net) == len(receipts) == 4
    assert record.rule == make_rule(replication=4, confidence=4)
    report, row = audited(net.requester, strong)
    assert (report, row["trust"]) == ("valid", pytest.approx(0.9**4 / (0.9**4 + 0.1**4)))


@on_real_time
async def test_a_node_that_dissented_since_is_no_one_to_add_to(tmp_path):
    net = Net(tmp_path, [Engine() for _ in range(6)])
    weak, strong = map(job_name, (1, 2))
    task = task_at(net.requester)
    async with net.running() as node:
        await until_heard(node, 6)
        await run(node, weak, task, rule=WEAK)
        (first,), record, _ = evidence(net, weak)
        node.requester._trust.note(
            Witness(task=task, agreeing=frozenset(), dissenting=frozenset({first.node})), record.commitments
        )
        await run(node, strong, task, rule=LEAST_RULE, trust=TrustGoal(asked=0.999))
    receipts, _, _ = evidence(net, strong)
    assert engines_of(net) == 5
    assert first.node not in {receipt.node for receipt in receipts}


EU = (("zone", "eu"),)


@pytest.mark.parametrize(
    ("zones", "runs", "verdict"),
    [
        (("eu", "eu", "eu"), 1, "agreed"),  # one is missing
        (("us", "eu", "eu"), 2, "agreed"),  # what one without the label said is nothing to add to
    ],
)
@on_real_time
async def test_labels_choose_of_what_is_known_by_what_its_nodes_say_of_themselves_now(tmp_path, zones, runs, verdict):
    net = Net(tmp_path, [Engine() for _ in zones])
    for place, zone in zip(net.nodes, zones, strict=True):
        place.labels = {"zone": zone, "name": place.folder.name}
    weak, strong, again = map(job_name, (1, 2, 3))
    task = task_at(net.requester)
    two = make_rule(replication=2)
    async with net.running() as node:
        await until_heard(node, 3)
        await run(node, weak, task, rule=WEAK, selector=(("name", "node0"),))
        await run(node, strong, task, rule=two, selector=EU)
        assert engines_of(net) == 1 + runs
        await run(node, again, task, rule=two, selector=EU)
        assert engines_of(net) == 1 + runs, "two of them are known now"
    receipts, _, _ = evidence(net, strong)
    assert len(receipts) == 2
    assert {zones[number] for number in range(3) if net.nodes[number].peer in {one.node for one in receipts}} == {"eu"}
    assert audited(net.requester, strong)[0] == "valid"
    assert net.requester.finished()[again].record == net.requester.finished()[strong].record


@on_real_time
async def test_what_labels_chose_is_added_to_by_labels_alone(tmp_path):
    """Else it would be told of as if anybody might be asked, and trusted as if nobody had chosen."""
    net = Net(tmp_path, [Engine() for _ in range(5)])
    for place in net.nodes:
        place.labels = {"zone": "eu"}
    weak, *others = map(job_name, (1, 2, 3))
    trusted = {"rule": LEAST_RULE, "trust": TrustGoal(asked=0.98), "selector": EU}
    counted = {"rule": make_rule(replication=2)}
    async with net.running() as node:
        await until_heard(node, 5)
        shards = shards_at(net.requester, 2)
        await node.submit(shards_submission(shards, 2, weak, rule=WEAK, selector=EU))
        await until_event(node, weak, ENDED)
        with SqliteBlockStore(net.requester.folder / "blocks.sqlite") as store:
            tasks = [one.task for one in load_shards(store, shards)[1]]
        for job, task, more in zip(others, tasks, (trusted, counted), strict=True):
            before = engines_of(net)
            await run(node, job, task, **more)
            assert engines_of(net) == before + 2


@on_real_time
async def test_what_was_chosen_and_given_away_is_not_added_to(tmp_path):
    net = Net(tmp_path, [Engine() for _ in range(3)])
    for place in net.nodes:
        place.labels = {"zone": "eu"}
    weak, strong = map(job_name, (1, 2))
    task = task_at(net.requester)
    async with net.running() as node:
        await until_heard(node, 3)
        await run(node, weak, task, rule=WEAK, selector=EU)
        with ResultStore(net.requester.folder / "datastore.sqlite") as results:
            results.published(net.requester.finished()[weak].record)
        await run(node, strong, task, rule=make_rule(replication=2), selector=EU)
    assert engines_of(net) == 3


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

"""What a node counts: the numbers alone, and on nodes that run a job."""

from dataclasses import replace

import pytest

from network.messages import Bid
from network.node.measures import BOUNDS_S, MESSAGES, OTHER, VERDICTS, Measures, Seconds
from network.transport_memory import MemoryNetwork
from runtime.engine import Execution, UndeterminedError
from storage.cid import RAW, make_cid
from storage.sqlite_block_store import SqliteBlockStore
from tests.unit.network.node.node_world import JOB, Engine, Net, Place, put_task, submission, until_event
from tests.unit.network.node.offers import on_real_time
from tests.vectors.records.world import STATE
from verifier.compare import Decision, make_rule
from verifier.model import EngineInfo, Verdict


def execution(**values):
    cid = make_cid(RAW, b"")
    engine = EngineInfo(name="scripted", version="1", arch="x86_64", isolation=())
    usual = {"task": cid, "output": cid, "exit_code": 0, "fuel": None, "state_digest": STATE, "engine": engine}
    return Execution(**(usual | values))


def test_a_bucket_holds_what_is_not_longer_than_its_bound():
    seconds = Seconds()
    for took in (0.0, BOUNDS_S[0], BOUNDS_S[0] + 0.001, BOUNDS_S[-1] + 1):
        seconds.add(took)
    summed = dict(seconds.summed())
    assert (summed[BOUNDS_S[0]], summed[BOUNDS_S[1]], summed[BOUNDS_S[-1]], summed[float("inf")]) == (2, 3, 3, 4)
    assert seconds.total_s == pytest.approx(2 * BOUNDS_S[0] + 0.001 + BOUNDS_S[-1] + 1)


def test_executions_are_counted_by_how_they_ended():
    measures = Measures()
    measures.executed(execution(), 1.0)
    measures.executed(execution(exit_code=1), 1.0)
    measures.not_executed("undetermined", 1.0)
    counts = {name: sum(seconds.buckets) for name, seconds in measures.executions.items()}
    assert counts == {"done": 1, "function-failed": 1, "undetermined": 1, "given-up": 0}


def test_fuel_goes_with_the_seconds_of_the_function_alone():
    measures = Measures()
    measures.executed(execution(fuel=100, timings_s={"run": 0.25, "collect": 0.75, "reset": 0.002}), 9.0)
    measures.executed(execution(fuel=10), 2.0)
    measures.executed(execution(), 5.0)
    assert (measures.fuel, measures.fuel_s) == (110, 2.5)
    assert (sum(measures.resets.buckets), measures.resets.total_s) == (1, 0.002)


def test_what_a_stranger_calls_a_message_is_no_label():
    measures = Measures()
    measures.hear([Bid.VERSION, "bid/999", "x" * 40, ""])
    measures.say("")
    assert measures.received == {"bid": 1, OTHER: 3}
    assert not measures.sent
    assert set(MESSAGES.values()) >= {"offer", "bid", "assign", "decline"}


def test_a_verdict_that_is_not_in_the_list_of_labels_would_be_lost():
    assert {verdict.value for verdict in Verdict} <= set(VERDICTS)


class Receipt:
    def __init__(self, output, exit_code=0):
        self.output, self.exit_code = output, exit_code


@pytest.mark.parametrize(
    ("agreeing", "dissenting", "verdict", "disagreements", "dissents"),
    [
        ((1, 1, 1), (), Verdict.AGREED, 0, 0),
        ((1, 1), (2,), Verdict.AGREED, 1, 1),
        ((), (1, 2, 3), Verdict.SPLIT, 1, 0),
        ((), (1,), Verdict.TOO_FEW, 0, 0),
        ((), (), Verdict.TOO_FEW, 0, 0),
    ],
)
def test_disagreement_is_counted_by_task_and_dissent_by_receipt(agreeing, dissenting, verdict, disagreements, dissents):
    measures = Measures()
    decision = Decision(
        verdict=verdict,
        claim=None,
        agreeing=tuple(map(Receipt, agreeing)),
        dissenting=tuple(map(Receipt, dissenting)),
        same_state=True,
    )
    measures.decided(decision, withdrawn=False)
    assert measures.verdicts == {verdict.value: 1}
    assert (measures.disagreements, measures.dissents) == (disagreements, dissents)
    withdrawn = Measures()
    withdrawn.decided(decision, withdrawn=True)
    assert withdrawn.verdicts == {"withdrawn": 1}
    assert (withdrawn.disagreements, withdrawn.dissents) == (0, 0)


@on_real_time
async def test_nodes_count_a_job_with_a_liar_and_one_that_was_verified_before(tmp_path):
    net = Net(tmp_path, [Engine(), Engine(b"a lie"), Engine()])
    with SqliteBlockStore(net.requester.folder / "blocks.sqlite") as store:
        task = put_task(store)
    async with net.running() as node:
        await node.submit(submission(task))
        await until_event(node, JOB, "ended")
        again = "f" * 32
        await node.submit(replace(submission(task), job=again))
        await until_event(node, again, "ended")
        await node.submit(replace(submission(task), job=again))
        levels, measures = node.levels(), node.measures
    assert measures.jobs == 2
    assert measures.verdicts == {"agreed": 1, "cached": 1}
    assert (measures.disagreements, measures.dissents) == (1, 1)
    assert measures.sent["offer"] >= 3
    assert measures.received["bid"] >= 3
    assert measures.sent["assign"] >= 3
    assert measures.received["reveal"] >= 3
    assert not measures.sent["bid"]
    assert not measures.sent[OTHER]
    assert (levels.jobs_open, levels.tasks_open, levels.tasks_unassigned, levels.executions) == (0, 0, 0, 0)
    assert (levels.peers, levels.is_healthy) == (3, True)


@on_real_time
async def test_a_node_counts_its_bids_and_how_its_executions_ended(tmp_path):
    place = Place(tmp_path / "alone", 1, engine=Engine(exit_code=3), computes=True, requests=True)
    with SqliteBlockStore(place.folder / "blocks.sqlite") as store:
        task = put_task(store)
    async with place.open(MemoryNetwork()) as node:
        await node.submit(submission(task, rule=make_rule(replication=1, confidence=1)))
        await until_event(node, JOB, "ended")
    measures = node.measures
    assert (measures.sent["bid"], measures.received["assign"]) == (1, 1)
    counts = {name: sum(seconds.buckets) for name, seconds in measures.executions.items()}
    assert counts == {"done": 0, "function-failed": 1, "undetermined": 0, "given-up": 0}


@on_real_time
async def test_an_execution_that_the_host_fails_is_undetermined(tmp_path):
    failing = Place(tmp_path / "failing", 9, engine=Engine(UndeterminedError("disk full")), requests=True)
    with SqliteBlockStore(failing.folder / "blocks.sqlite") as store:
        task = put_task(store)
    async with failing.open(MemoryNetwork()) as node:
        await node.submit(submission(task, rule=make_rule(replication=1, confidence=1)))
        await until_event(node, JOB, "undetermined")
        counts = {name: sum(seconds.buckets) for name, seconds in node.measures.executions.items()}
    assert counts == {"done": 0, "function-failed": 0, "undetermined": 1, "given-up": 0}

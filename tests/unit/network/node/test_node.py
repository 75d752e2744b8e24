"""A node's driver: real datastores and block stores, a network of memory, an engine that is scripted."""

from contextlib import AsyncExitStack

import pytest
import trio

from network.message_codec import encode, sign_close, sign_commit
from network.messages import Bid, Close, Offer
from network.node import lost_peers
from network.node.datastore import JobState
from network.transport import PeerRefusedError, PeerUnreachableError
from runtime.engine import UndeterminedError
from storage.cid import DAG_CBOR, make_cid
from storage.errors import UnavailableError, UserError, VerificationError
from storage.sqlite_block_store import SqliteBlockStore
from tests.unit.network.node.node_world import (
    JOB,
    UNIT,
    Engine,
    Net,
    in_thread,
    put_task,
    submission,
    until_event,
)
from tests.unit.network.node.offers import on_real_time
from tests.vectors.records.world import identity
from verifier.audit import audit_record
from verifier.commitment import close_round, sign_commitment
from verifier.compare import make_rule


def task_at(place):
    with SqliteBlockStore(place.folder / "blocks.sqlite") as store:
        return put_task(store)


def audited(place, job=JOB):
    """Return the audit's verdict on a finished job's record, and its report."""
    row = place.finished()[job]
    with SqliteBlockStore(place.folder / "blocks.sqlite") as store:
        return audit_record(store, row.record).verdict, row.report


@on_real_time
async def test_three_nodes_agree_and_the_output_comes_to_the_requester(tmp_path):
    net = Net(tmp_path, [Engine(), Engine(), Engine()])
    task = task_at(net.requester)
    async with net.running() as node:
        await node.submit(submission(task, labels=("a",)))
        events = await until_event(node, JOB, "ended")
        kept = await node.job(JOB)
    assert kept.state is JobState.ENDED
    kinds = [event.kind for event in events]
    assert kinds[:2] == ["submitted", "assigned"]
    assert kinds.count("committed") == kinds.count("revealed") == 3
    assert kinds[-3:] == ["verdict", "fetching", "ended"]
    verdict, report = audited(net.requester)
    assert verdict == "valid"
    assert sorted(report["receipts"]) == sorted(place.peer for place in net.nodes)
    assert report["problem"] == ""


@on_real_time
async def test_a_node_that_gives_something_else_is_named_in_the_dissent(tmp_path):
    net = Net(tmp_path, [Engine(), Engine(b"a lie"), Engine()])
    task = task_at(net.requester)
    async with net.running() as node:
        await node.submit(submission(task))
        await until_event(node, JOB, "ended")
    verdict, report = audited(net.requester)
    assert verdict == "valid"
    assert report["dissent"] == [net.nodes[1].peer]


@on_real_time
async def test_a_host_that_fails_has_no_vote_and_another_node_is_asked(tmp_path):
    net = Net(tmp_path, [Engine(UndeterminedError("disk full")), Engine(), Engine(), Engine()])
    task = task_at(net.requester)
    rule = make_rule(replication=4, confidence=3)
    async with net.running() as node:
        await node.submit(submission(task, rule=rule))
        await until_event(node, JOB, "ended")
    verdict, report = audited(net.requester)
    assert verdict == "valid"
    assert report["undetermined"] == [net.nodes[0].peer]


@on_real_time
async def test_a_job_that_the_policy_does_not_have_is_not_accepted(tmp_path):
    net = Net(tmp_path, [Engine()])
    task = task_at(net.requester)
    net.requester.objection = lambda job: f"not with {job.rule.replication} nodes"
    async with net.running() as node:
        with pytest.raises(UserError, match="not with 3 nodes"):
            await node.submit(submission(task))
        assert await node.job(JOB) is None


@on_real_time
async def test_inputs_that_are_to_be_verified_are_checked_by_the_node(tmp_path):
    net = Net(tmp_path, [Engine()])
    task = task_at(net.requester)

    def refuse(job):
        raise VerificationError("an input is tainted", where=job.job)

    net.requester.check_inputs = refuse
    async with net.running() as node:
        with pytest.raises(VerificationError, match="an input is tainted"):
            await node.submit(submission(task, require_verified=True))
        assert await node.job(JOB) is None
        alone = make_rule(replication=1, confidence=1)
        await node.submit(submission(task, rule=alone))  # who does not ask for it is not refused
        await until_event(node, JOB, "ended")


@on_real_time
async def test_submitting_twice_is_submitting_once(tmp_path):
    net = Net(tmp_path, [Engine(), Engine(), Engine()])
    task = task_at(net.requester)
    async with net.running() as node:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(node.submit, submission(task))
        await until_event(node, JOB, "ended")
        await node.submit(submission(task))
        with pytest.raises(UserError, match="another job has this id"):
            await node.submit(submission(task, rule=make_rule(confidence=3)))
        assert len(await node.jobs(limit=10)) == 1
    assert [place.engine.calls for place in net.nodes] == [1, 1, 1]


@on_real_time
async def test_a_task_that_is_not_here_is_refused_and_nothing_of_it_is_kept(tmp_path):
    net = Net(tmp_path, [Engine()])
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with SqliteBlockStore(elsewhere / "blocks.sqlite") as store:
        task = put_task(store)
    async with net.running() as node:
        with pytest.raises(UnavailableError):
            await node.submit(submission(task))
        assert await node.job(JOB) is None
        assert node.status().jobs_open == 0


@on_real_time
async def test_a_requester_that_was_restarted_finishes_what_it_had(tmp_path):
    engines = [Engine(), Engine(), Engine()]
    for engine in engines:
        engine.gate.clear()
    net = Net(tmp_path, engines)
    task = task_at(net.requester)
    async with trio.open_nursery() as nursery:
        stop = trio.Event()
        started = trio.Event()

        async def keep_nodes():
            async with AsyncExitStack() as stack:
                for place in net.nodes:
                    await stack.enter_async_context(place.open(net.network))
                started.set()
                await stop.wait()

        nursery.start_soon(keep_nodes)
        await started.wait()
        async with net.requester_running() as node:
            await node.submit(submission(task))
            await until_event(node, JOB, "assigned")
        for engine in engines:
            engine.gate.set()
        async with net.requester_running() as node:
            events = await until_event(node, JOB, "ended")
        stop.set()
    assert [event.kind for event in events].count("submitted") == 1
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    assert audited(net.requester)[0] == "valid"
    assert [engine.calls for engine in engines] == [1, 1, 1]


@on_real_time
async def test_a_node_that_was_restarted_executes_again_and_the_job_ends(tmp_path):
    slow, other = Engine(), Engine()
    slow.gate.clear()
    net = Net(tmp_path, [slow, other])
    task = task_at(net.requester)
    first, second = net.nodes
    async with second.open(net.network), net.requester.open(net.network) as node:
        await net.network.connect(net.requester.peer, second.peer)
        async with first.open(net.network):
            await net.network.connect(net.requester.peer, first.peer)
            await node.submit(submission(task, rule=make_rule(replication=2)))
            await in_thread(slow.began.acquire)
        slow.gate.set()
        async with first.open(net.network):
            await net.network.connect(net.requester.peer, first.peer)
            await until_event(node, JOB, "ended")
    assert audited(net.requester)[0] == "valid"
    assert slow.calls == 2


@on_real_time
async def test_a_node_that_vanishes_and_stays_away_is_waited_for_no_longer(tmp_path, monkeypatch):
    monkeypatch.setattr(lost_peers, "LOST_AFTER_S", 0.05)
    gone = Engine()
    gone.gate.clear()
    net = Net(tmp_path, [Engine(), Engine(), gone])
    task = task_at(net.requester)
    first, second, third = net.nodes
    async with first.open(net.network), second.open(net.network), net.requester.open(net.network) as node:
        async with third.open(net.network):
            for place in net.nodes:
                await net.network.connect(net.requester.peer, place.peer)
            await node.submit(submission(task))
            await in_thread(gone.began.acquire)
        await until_event(node, JOB, "ended")
    job = net.requester.finished()[JOB]
    assert job.verdict == "agreed"
    assert job.report["undetermined"] == [net.nodes[2].peer]
    assert job.report["faults"] == {}


@on_real_time
async def test_a_cancelled_job_ends_without_a_record_and_its_executions_are_given_up(tmp_path):
    engines = [Engine(), Engine(), Engine()]
    for engine in engines:
        engine.gate.clear()
    net = Net(tmp_path, engines)
    task = task_at(net.requester)
    async with net.running() as node:
        await node.submit(submission(task))
        for engine in engines:
            await in_thread(engine.began.acquire)
        await node.cancel(JOB)
        await node.cancel(JOB)
        events = await until_event(node, JOB, "ended")
        for engine in engines:
            await in_thread(engine.gate.wait)
        assert (await node.job(JOB)).cancelled
        with pytest.raises(UserError, match="no job"):
            await node.cancel("f" * 32)
    assert [event.kind for event in events].count("cancelled") == 1
    row = net.requester.finished()[JOB]
    assert (row.record, row.verdict) == (None, "too-few")
    assert [engine.given_up for engine in engines] == [1, 1, 1]


class FullDisk:
    """A datastore that refuses the first commits."""

    def __init__(self, below, failures):
        self.below, self.failures = below, failures

    def __getattr__(self, name):
        return getattr(self.below, name)

    def commit(self, changes):
        if self.failures:
            self.failures -= 1
            raise UnavailableError("disk is full")
        self.below.commit(changes)


@on_real_time
async def test_a_submission_that_cannot_be_kept_is_refused_and_the_node_goes_on(tmp_path, autojump_pause):
    net = Net(tmp_path, [Engine(), Engine(), Engine()])
    net.requester.wrap = lambda datastore: FullDisk(datastore, 1)
    task = task_at(net.requester)
    async with net.running() as node:
        with pytest.raises(UnavailableError, match="full"):
            await node.submit(submission(task))
        assert await node.job(JOB) is None
        await node.submit(submission(task))
        await until_event(node, JOB, "ended")
    assert audited(net.requester)[0] == "valid"


@on_real_time
async def test_a_selector_is_held_to(tmp_path):
    net = Net(tmp_path, [Engine(), Engine(), Engine()])
    net.nodes[0].labels = net.nodes[2].labels = {"zone": "eu"}
    task = task_at(net.requester)
    async with net.running() as node:
        await node.submit(submission(task, rule=make_rule(replication=2), selector=(("zone", "eu"),)))
        await until_event(node, JOB, "ended")
    assert sorted(audited(net.requester)[1]["receipts"]) == sorted([net.nodes[0].peer, net.nodes[2].peer])
    assert net.nodes[1].engine.calls == 0


@on_real_time
async def test_a_node_may_be_its_own_requester(tmp_path):
    net = Net(tmp_path, [Engine(), Engine()])
    net.requester.computes = True
    task = task_at(net.requester)
    async with net.running() as node:
        await node.submit(submission(task))
        await until_event(node, JOB, "ended")
        status = node.status()
    assert set(audited(net.requester)[1]["receipts"]) == {place.peer for place in (net.requester, *net.nodes)}
    assert status.roles == ("compute", "requester")
    assert status.known_nodes == 3


@on_real_time
async def test_a_node_without_the_role_says_so(tmp_path):
    net = Net(tmp_path, [Engine()])
    task = task_at(net.nodes[0])
    async with net.nodes[0].open(net.network) as node:
        with pytest.raises(UserError, match="no requester"):
            await node.submit(submission(task))


@pytest.fixture
def autojump_pause(monkeypatch):
    monkeypatch.setattr("network.node.machine_host.FIRST_PAUSE_S", 0.0)


class Silent:
    async def answer(self, peer, payload):
        return b""

    async def receive(self, peer, payload):
        pass


TASK = make_cid(DAG_CBOR, b"no task")


def a_commitment(who):
    return sign_commitment(who, task=TASK, nonce="ab" * 32, output=TASK, state_digest="5a" * 32)


def forged_close(session):
    node = sign_close(identity(90), session, 1, close_round(TASK, [a_commitment(identity(90))])).to_node()
    return node | {"round": 2}


def junk(session):
    """What no honest peer sends: nonsense, another version, too long for its kind, forged, of nobody's session."""
    forged = sign_commit(identity(90), session, a_commitment(identity(90)))
    return [
        b"\xff" * 100,
        b"\xa2\x61v\x68offer/99" + b"\0" * 50,
        encode(Bid(session=session, engine="x", arch="y")).ljust(1 << 19, b"\0"),
        encode(forged),
        encode(Close.from_node(forged_close(session))),
        encode(Offer(session=session, job=JOB, task=TASK, demand=UNIT)),
    ]


@on_real_time
async def test_a_flood_of_nonsense_gets_its_sender_hung_up_on_and_stops_nobody(tmp_path):
    net = Net(tmp_path, [Engine(), Engine(), Engine()])
    net.requester.computes = True
    task = task_at(net.requester)
    with SqliteBlockStore(tmp_path / "stranger.sqlite") as store:
        async with net.running() as node, net.network.join(identity(90), Silent(), store) as stranger:
            await net.network.connect(identity(90).peer, net.requester.peer)
            hung_up = trio.Event()

            async def flood():
                with pytest.raises((PeerUnreachableError, PeerRefusedError)):  # noqa: PT012
                    while True:
                        for message in junk("ab" * 32):
                            await stranger.send(net.requester.peer, message, deadline_s=5.0)
                hung_up.set()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(flood)
                await node.submit(submission(task))
                await until_event(node, JOB, "ended")
                await hung_up.wait()
            assert identity(90).peer not in node.status().connected
            assert node.status().store_ok
    assert audited(net.requester)[0] == "valid"

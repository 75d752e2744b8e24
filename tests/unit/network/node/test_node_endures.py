"""What others do, or what a disk holds, that must neither end a node nor keep one of its jobs from ending."""

import dataclasses
import sqlite3
from contextlib import closing

import pytest
import trio
import trio.testing

from network.compute_node import MAX_BACKLOG_EACH
from network.message_bundle import MAX_MESSAGES, join
from network.message_codec import decode, encode, session_id
from network.messages import Offer, Refuse
from network.node.compute_side import MAX_HEADERS_EACH
from network.node.datastore import JobState, Move, Put, Submit
from network.node.reasons import reason
from network.node.selection import JobSelection
from network.node.selection_policy import SelectionPolicy
from network.protocol_events import Received
from storage.blocks import block_key, block_missing
from storage.cid import DAG_CBOR, RAW, cid_text, make_cid
from storage.errors import UnavailableError, UserError, VerificationError
from storage.sqlite_block_store import SqliteBlockStore
from tests.unit.network.node import node_world
from tests.unit.network.node.node_world import (
    JOB,
    UNIT,
    Engine,
    Net,
    in_thread,
    make_job,
    put_task,
    submission,
    until_event,
)
from tests.unit.network.node.offers import on_real_time
from tests.vectors.records.world import identity
from verifier.compare import make_rule

SMALL = dataclasses.replace(UNIT, memory=1)
"""Too little for any task."""
ALONE = make_rule(replication=1, confidence=1)


def task_at(place):
    with SqliteBlockStore(place.folder / "blocks.sqlite") as store:
        return put_task(store)


@on_real_time
async def test_an_agreed_output_that_no_function_writes_ends_its_job_and_not_the_node(tmp_path, monkeypatch):
    def picky(submission, session, *, problem):
        if session.output is not None and not problem:
            raise UserError("'result' is not there")
        return make_job(submission, session, problem=problem)

    monkeypatch.setattr(node_world, "make_job", picky)
    net = Net(tmp_path, [Engine()])
    task = task_at(net.requester)
    async with net.running() as node:
        await node.submit(submission(task, rule=ALONE))
        await until_event(node, JOB, "ended")
    assert "'result' is not there" in net.requester.finished()[JOB].report["problem"]


@on_real_time
async def test_a_bug_of_ours_ends_neither_the_node_nor_the_job(tmp_path, monkeypatch):
    failures = [ValueError("a bug"), ValueError("the same bug")]

    def failing(submission, session, *, problem):
        if submission.job == JOB:
            raise failures.pop(0)
        return make_job(submission, session, problem=problem)

    monkeypatch.setattr(node_world, "make_job", failing)
    net = Net(tmp_path, [Engine()])
    task = task_at(net.requester)
    for other in ("1" * 32, "2" * 32):
        async with net.running() as node:
            if failures[1:]:
                await node.submit(submission(task, rule=ALONE))
                await until_event(node, JOB, "fetching")
            await node.submit(submission(task, job=other, rule=ALONE))
            await until_event(node, other, "ended")
            assert (await node.job(JOB)).state is JobState.SETTLING


def damage(cid, connection):
    connection.execute("UPDATE blocks SET data = x'00' WHERE digest = ?", (block_key(cid),))


def remove(cid, connection):
    connection.execute("DELETE FROM blocks WHERE digest = ?", (block_key(cid),))


@on_real_time
@pytest.mark.parametrize("harm", [damage, remove])
async def test_a_task_that_is_gone_from_the_disk_ends_its_job_once_and_unverified(tmp_path, harm):
    engine = Engine()
    engine.gate.clear()
    net = Net(tmp_path, [engine])
    task = task_at(net.requester)
    async with net.running() as node:
        await node.submit(submission(task, rule=ALONE))
        await in_thread(engine.began.acquire)  # the node has fetched the task
        machine = node.requester.host.machine
        with closing(sqlite3.connect(net.requester.folder / "blocks.sqlite")) as connection, connection:
            harm(task, connection)
        engine.gate.set()
        events = await until_event(node, JOB, "ended")
        assert (await node.job(JOB)).state is JobState.ENDED
        assert node.requester.host.machine is machine  # it was not made anew
    assert events[-1].detail["verdict"] is None
    assert cid_text(task) in events[-1].detail["reason"]
    assert JOB not in net.requester.finished()
    with SqliteBlockStore(net.requester.folder / "blocks.sqlite") as store:
        put_task(store)  # whole again, and nothing is begun again
    async with net.running() as node:
        await node.submit(submission(task, job="1" * 32, rule=ALONE))
        await until_event(node, "1" * 32, "ended")
        assert [one.number for one in await node.events(JOB)] == [one.number for one in events]
    assert set(net.requester.finished()) == {"1" * 32}


@on_real_time
@pytest.mark.parametrize("error", [VerificationError("is damaged"), block_missing(make_cid(RAW, b"x"))])
async def test_a_report_that_cannot_be_made_from_this_disk_ends_its_job_unverified(tmp_path, monkeypatch, error):
    def failing(submission, session, *, problem):
        raise error

    monkeypatch.setattr(node_world, "make_job", failing)
    net = Net(tmp_path, [Engine()])
    task = task_at(net.requester)
    async with net.running() as node:
        await node.submit(submission(task, rule=ALONE))
        events = await until_event(node, JOB, "ended")
    assert events[-1].detail == {"verdict": None, "reason": reason(str(error), otherwise="")}
    assert net.requester.finished() == {}


@on_real_time
async def test_what_was_found_out_about_one_demand_is_no_answer_to_another(tmp_path, monkeypatch):
    """Two offers of one session are looked at together, and the refused one comes to the machine first."""
    net = Net(tmp_path, [Engine()])
    (place,) = net.nodes
    task = task_at(place)
    other = net.requester.peer
    good = Offer(session=session_id(other, JOB, task), job=JOB, task=task, demand=UNIT)
    bad = dataclasses.replace(good, demand=dataclasses.replace(UNIT, memory=0))

    async def refusal(_self, offered):
        return "too little" if offered.demand == bad.demand else ""

    monkeypatch.setattr(JobSelection, "refusal", refusal)
    async with place.open(net.network) as node:
        side, brought = node.compute, []
        await side.host.ask(Received(peer=other, message=b"nonsense"))  # from now on it has its machine

        async def bring(event):
            brought.append(event)

        monkeypatch.setattr(side.host, "bring", bring)
        await side.receive(other, [encode(bad)])
        await side.receive(other, [encode(good)])
        for event in brought:
            side.host.machine.handle(event)
        assert [task.demand for task in side.host.machine.tasks.values()] == [good.demand]


@on_real_time
async def test_a_node_that_is_cancelled_stops_its_engine(tmp_path):
    stopped = []
    engine = Engine()
    engine.stop = lambda: stopped.append(True)
    net = Net(tmp_path, [engine])
    with trio.CancelScope() as scope:
        async with net.nodes[0].open(net.network):
            scope.cancel()
            await trio.lowlevel.checkpoint()
    assert stopped


class Stranger:
    """Offers a task, and keeps what is said to that."""

    def __init__(self):
        self.said = trio.Event()
        self.message = None

    async def answer(self, peer, payload):
        return b""

    async def receive(self, peer, payload):
        if isinstance(message := decode(payload, peer), Refuse):
            self.message = message
            self.said.set()


@on_real_time
@pytest.mark.parametrize("is_denied", [False, True])
async def test_an_offer_that_is_refused_leaves_nothing_on_the_disk(tmp_path, is_denied):
    net = Net(tmp_path, [Engine()])
    (place,) = net.nodes
    me, stranger = identity(90), Stranger()
    allowed = frozenset() if is_denied else frozenset({me.peer})
    place.policy = SelectionPolicy(denied_requesters=frozenset({me.peer}) - allowed, accepts_stateless=False)
    with SqliteBlockStore(tmp_path / "stranger.sqlite") as store:
        task = put_task(store)
        asked = []
        put = store.get
        store.get = lambda cid: (asked.append(cid), put(cid))[1]
        offer = Offer(session=session_id(me.peer, JOB, task), job=JOB, task=task, demand=SMALL)
        async with place.open(net.network), net.network.join(me, stranger, store) as transport:
            await net.network.connect(me.peer, place.peer)
            await transport.send(place.peer, encode(offer), deadline_s=5.0)
            await stranger.said.wait()
    with SqliteBlockStore(place.folder / "blocks.sqlite") as store:
        assert store.size() == (0, 0)
    assert bool(asked) is not is_denied
    assert stranger.message.reason


@on_real_time
async def test_blocks_are_on_the_disk_before_what_names_them(tmp_path, monkeypatch):
    seen = []
    sync = SqliteBlockStore.sync
    monkeypatch.setattr(SqliteBlockStore, "sync", lambda store: (seen.append(("sync", store.path)), sync(store)))
    net = Net(tmp_path, [Engine()])
    for place in (net.requester, *net.nodes):
        place.wrap = lambda below, place=place: Watched(below, place.folder / "blocks.sqlite", seen)
    task = task_at(net.requester)
    async with net.running() as node:
        await node.submit(submission(task, rule=ALONE))
        await until_event(node, JOB, "ended")
    here, there = (place.folder / "blocks.sqlite" for place in (net.requester, *net.nodes))
    at_requester = [what for what, where in seen if where == here]
    for named in ("Submit", "verdict"):
        assert at_requester[at_requester.index(named) - 1] == "sync"
    at_node = [what for what, where in seen if where == there]
    assert at_node.index("sync") < at_node.index("committed")


class Watched:
    """A datastore that notes when it is told of blocks."""

    def __init__(self, below, where, seen):
        self._below, self._where, self._seen = below, where, seen

    def __getattr__(self, name):
        return getattr(self._below, name)

    def commit(self, changes):
        for change in changes:
            if isinstance(change, Submit):
                self._seen.append(("Submit", self._where))
            elif isinstance(change, Move) and change.outcome:
                self._seen.append(("verdict", self._where))
            elif isinstance(change, Put) and b"committed" in change.value:
                self._seen.append(("committed", self._where))
        self._below.commit(changes)


class Doubtful:
    """A datastore that says once of a verdict which it has kept that it has not."""

    def __init__(self, below):
        self._below = below
        self.failures = 1

    def __getattr__(self, name):
        return getattr(self._below, name)

    def commit(self, changes):
        changes = list(changes)
        self._below.commit(changes)
        if self.failures and any(isinstance(change, Move) and change.outcome for change in changes):
            self.failures -= 1
            raise UnavailableError("an error of the disk, after the commit")


@on_real_time
async def test_a_verdict_that_was_kept_although_the_disk_denied_it_is_settled(tmp_path):
    net = Net(tmp_path, [Engine()])
    net.requester.wrap = Doubtful
    task = task_at(net.requester)
    async with net.running() as node:
        await node.submit(submission(task, rule=ALONE))
        await until_event(node, JOB, "ended")
    assert net.requester.finished()[JOB].record is not None


@on_real_time
async def test_of_one_peers_offers_no_more_are_looked_at_than_its_backlog_holds(tmp_path):
    net = Net(tmp_path, [Engine()])
    [place], stranger = net.nodes, identity(99).peer
    jobs = [f"{number:032x}" for number in range(8 * MAX_BACKLOG_EACH)]
    offers = []
    for job in jobs:
        task = make_cid(DAG_CBOR, job.encode())
        offers.append(encode(Offer(session=session_id(stranger, job, task), job=job, task=task, demand=UNIT)))
    async with place.open(net.network) as node, trio.open_nursery() as nursery:
        node._transport.fetch_blocks = never
        before = trio.lowlevel.current_statistics().tasks_living
        for at in range(0, len(offers), MAX_MESSAGES):
            nursery.start_soon(node.receive, stranger, join(offers[at : at + MAX_MESSAGES]))
        await trio.testing.wait_all_tasks_blocked(0.05)
        living = trio.lowlevel.current_statistics().tasks_living - before
        nursery.cancel_scope.cancel()
    assert MAX_HEADERS_EACH < living <= MAX_BACKLOG_EACH + MAX_HEADERS_EACH + len(offers) // MAX_MESSAGES + 8


async def never(*_arguments, **_named):
    await trio.sleep_forever()

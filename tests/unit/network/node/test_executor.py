"""Executions in threads: what they must not keep from others, and what ends them."""

import dataclasses
import random
import threading

import pytest
import trio
import trio.testing

from network.demand import demand_of, room_of
from network.node.disk_promises import DiskPromises
from network.node.executor import Executor
from network.node.task_header import Headers
from network.protocol_events import Executed, ExecutionFailed, Run
from runtime.capacity_gate import CapacityGate
from runtime.capacity_ledger import CapacityLedger
from runtime.demand import task_room
from runtime.engine import UndeterminedError
from runtime.plan import plan_of_task
from storage.cid import RAW, make_cid
from storage.dag_walk import walk
from storage.errors import UnavailableError
from storage.sqlite_block_store import SqliteBlockStore
from storage.sqlite_pins import hold_all
from storage.unixfs_import import Importer
from tests.unit.network.node.node_world import TOTAL, UNIT, Engine, in_thread, put_task
from tests.unit.network.node.offers import ALICE, BOB, on_real_time
from verifier.model import Function, Input, Task, load_node, store_node


class Trickle:
    """A peer that always has one more block, and takes its time."""

    name = "trickle"

    def __init__(self):
        self.asked = threading.Semaphore(0)
        self.answer = threading.Semaphore(0)
        self.is_closed = False

    def dag(self, root):
        raise UnavailableError("has no stream")
        yield

    def block(self, cid):
        self.asked.release()
        self.answer.acquire()
        if self.is_closed:
            raise UnavailableError("is not wanted any more")
        raise AssertionError("nobody closed it")

    def close(self):
        self.is_closed = True
        self.answer.release()


def executor(store, nursery, engine, sources=(), **more):
    values = {"fitness": lambda plan, store: "", "threads": 2, "wall_clock_s": 60.0}
    values["disk"] = DiskPromises(lambda: 1 << 40)
    values["gate"] = CapacityGate(CapacityLedger(room_of(TOTAL)))
    values["node"] = BOB
    return Executor(engine=engine, store=store, sources=lambda first: sources, nursery=nursery, **(values | more))


@on_real_time
async def test_executions_leave_threads_to_everything_else(tmp_path):
    engine = Engine()
    engine.gate.clear()
    limiter = trio.to_thread.current_default_thread_limiter()
    limiter.total_tokens = 2
    with SqliteBlockStore(tmp_path / "blocks.sqlite") as store:
        task = put_task(store)
        async with trio.open_nursery() as nursery:
            chosen, ended = executor(store, nursery, engine), []
            for session in ("a", "b"):
                chosen.start(Run(session=session, task=task, requester=ALICE, demand=UNIT), ended.append)
            while engine.calls < 2:
                await trio.lowlevel.checkpoint()
            assert await trio.to_thread.run_sync(store.has, task)
            engine.gate.set()
    assert len(ended) == 2


@on_real_time
async def test_who_gives_blocks_slowly_keeps_no_slot_after_its_task_was_given_up(tmp_path):
    engine, source = Engine(), Trickle()
    with SqliteBlockStore(tmp_path / "blocks.sqlite") as store:
        task = put_task(store)
        async with trio.open_nursery() as nursery:
            chosen, ended = executor(store, nursery, engine, [source], threads=1), []
            chosen.start(Run(session="a", task=make_cid(RAW, b"far away"), requester=ALICE, demand=UNIT), ended.append)
            await in_thread(source.asked.acquire)
            chosen.start(Run(session="b", task=task, requester=ALICE, demand=UNIT), ended.append)
            chosen.give_up("a")
    assert [event.session for event in ended] == ["b"]
    assert not isinstance(ended[0], ExecutionFailed)


class Giver:
    """A peer that has the blocks of a store."""

    name = "giver"

    def __init__(self, store):
        self.store = store
        self.calls = 0

    def dag(self, root):
        self.calls += 1
        yield from walk(self.store, root)

    def block(self, cid):
        return self.store.get(cid)

    def close(self):
        pass


def large_task(tmp_path):
    """Return a task whose data is a megabyte, the store that has it, and its bytes as the task's links claim them."""
    store = SqliteBlockStore(tmp_path / "giver.sqlite")
    task = put_task(store)
    parts = load_node(store, task, Task)
    data = Importer(store).bytes(random.Random(1).randbytes(1 << 20)).cid
    asked = dataclasses.replace(load_node(store, parts.input, Input), data=data)
    task = store_node(store, dataclasses.replace(parts, input=store_node(store, asked)))
    return store, task, task_room(plan_of_task(task, store, 60.0), store)


@on_real_time
@pytest.mark.parametrize("less", [0, 1, 1 << 26])
async def test_no_more_is_fetched_than_was_reserved(tmp_path, less):
    giver, task, room = large_task(tmp_path)
    demand = dataclasses.replace(demand_of(room), disk=room.disk_bytes - less)
    engine = Engine()
    with giver, SqliteBlockStore(tmp_path / "blocks.sqlite") as store:
        async with trio.open_nursery() as nursery:
            chosen, ended = executor(store, nursery, engine, [Giver(giver)]), []
            chosen.start(Run(session="a", task=task, requester=ALICE, demand=demand), ended.append)
        (event,) = ended
        here = sum(len(data) for _, data in walk(store, task)) if not isinstance(event, ExecutionFailed) else None
        assert chosen.gate.free == room_of(TOTAL)
        if less == 0:
            assert here + (1 << 26) == room.disk_bytes
        else:
            assert event.reason == "too little of its disk is left for what the function may write"
        assert engine.calls == (less == 0)


@on_real_time
async def test_a_task_that_is_larger_than_it_claims_stops_at_what_was_reserved(tmp_path):
    giver, task, _ = large_task(tmp_path)
    source, demand = Giver(giver), dataclasses.replace(UNIT, disk=100_000)
    with giver, SqliteBlockStore(tmp_path / "blocks.sqlite") as store:
        async with trio.open_nursery() as nursery:
            chosen, ended = executor(store, nursery, Engine(), [source]), []
            chosen.start(Run(session="a", task=task, requester=ALICE, demand=demand), ended.append)
        with store.reading() as connection:
            (size,) = connection.execute("SELECT coalesce(sum(length(data)), 0) FROM blocks").fetchone()
    assert ended[0].reason == (
        "the task was not fetched as a whole: there is more than the 100000 bytes that were reserved"
    )
    assert size <= 100_000
    assert source.calls == 1  # it is not asked for again


@on_real_time
async def test_what_was_given_up_keeps_its_room_until_it_has_ended(tmp_path):
    """The machine counts it as free at once; the next one begins when it is."""
    engine, all_of_it = Engine(), dataclasses.replace(UNIT, memory=TOTAL.memory)
    ended, may_end = [], threading.Event()
    engine.gate.clear()
    with SqliteBlockStore(tmp_path / "blocks.sqlite") as store:
        task = put_task(store)
        async with trio.open_nursery() as nursery:
            chosen = executor(store, nursery, engine)
            chosen.alter = lambda execution, _store: may_end.wait(20) and execution
            engine.gate.set()
            chosen.start(Run(session="a", task=task, requester=ALICE, demand=all_of_it), ended.append)
            await in_thread(engine.began.acquire)
            chosen.give_up("a")
            chosen.start(Run(session="b", task=task, requester=ALICE, demand=all_of_it), ended.append)
            await trio.testing.wait_all_tasks_blocked()
            assert (engine.calls, chosen.gate.free.memory_bytes) == (1, 0)
            may_end.set()
        assert engine.calls == 2
        assert chosen.gate.free == room_of(TOTAL)
    assert [event.session for event in ended] == ["b"]


@on_real_time
async def test_a_node_that_ends_gives_back_what_waits_and_what_runs(tmp_path):
    engine = Engine()
    engine.gate.clear()
    with SqliteBlockStore(tmp_path / "blocks.sqlite") as store:
        task = put_task(store)
        async with trio.open_nursery() as nursery:
            chosen = executor(store, nursery, engine)
            for session in "abcdef":
                chosen.start(Run(session=session, task=task, requester=ALICE, demand=UNIT), lambda event: None)
            await in_thread(engine.began.acquire)
            nursery.cancel_scope.cancel()
        assert chosen.gate.free == room_of(TOTAL)
        engine.gate.set()


@on_real_time
@pytest.mark.parametrize("missing", [0, 1])
async def test_nothing_is_fetched_to_a_disk_that_has_filled_up_since_the_node_started(tmp_path, missing):
    giver, task, room = large_task(tmp_path)
    source, full = Giver(giver), room.disk_bytes - missing
    with giver, SqliteBlockStore(tmp_path / "blocks.sqlite") as store:
        async with trio.open_nursery() as nursery:
            chosen, ended = executor(store, nursery, Engine(), [source], disk=DiskPromises(lambda: full)), []
            chosen.start(Run(session="a", task=task, requester=ALICE, demand=demand_of(room)), ended.append)
    assert source.calls == 1 - missing
    assert isinstance(ended[0], ExecutionFailed) is bool(missing)
    if missing:
        assert ended[0].reason == f"{room.disk_bytes} bytes of disk are needed: {full} are free"


@on_real_time
async def test_a_task_whose_data_is_here_needs_disk_for_what_its_function_may_write_alone(tmp_path):
    giver, task, room = large_task(tmp_path)
    engine, output = Engine(), 1 << 26
    with giver as store:
        for free in (output, output - 1):
            async with trio.open_nursery() as nursery:
                chosen, ended = executor(store, nursery, engine, disk=DiskPromises(lambda free=free: free)), []
                chosen.start(Run(session="a", task=task, requester=ALICE, demand=demand_of(room)), ended.append)
            assert isinstance(ended[0], ExecutionFailed) is (free < output)
    assert engine.calls == 1


def test_promises_fit_into_what_is_free_and_shrink_as_they_are_kept():
    left = {"a": 60, "b": 50}
    promises = DiskPromises(lambda: 100 - (60 - left["a"]))
    promises.make("a", lambda: left["a"])
    with pytest.raises(UndeterminedError, match="50 bytes of disk are needed: 100 are free, and 60 are promised"):
        promises.make("b", lambda: left["b"])
    left["a"] = 0  # written: what is free has become less by as much
    with pytest.raises(UndeterminedError, match="50 bytes of disk are needed: 40 are free"):
        promises.make("b", lambda: left["b"])
    left["b"] = 40
    promises.make("b", lambda: left["b"])
    promises.make("b", lambda: left["b"])  # its own does not stand in its way
    promises.end("b")
    promises.end("b")
    promises.make("c", lambda: 40)


class LateGiver(Giver):
    """A requester that is being restarted: so many tries find nobody, the next one everything."""

    def __init__(self, store, fails):
        super().__init__(store)
        self.tries, self.fails = 0, fails

    def dags(self, roots, has):
        self.tries += 1
        self.check_back()
        for root in roots:
            yield from walk(self.store, root)

    def dag(self, root):
        self.check_back()
        yield from walk(self.store, root)

    def block(self, cid):
        self.check_back()
        return self.store.get(cid)

    def check_back(self):
        if self.tries <= self.fails:
            raise UnavailableError("is away")


@on_real_time
@pytest.mark.parametrize("fails", [0, 1])
async def test_a_second_try_pays_nothing_for_what_came_with_the_offer(tmp_path, fails):
    giver, task, room = large_task(tmp_path)
    parts = load_node(giver, task, Task)
    lock = load_node(giver, parts.function, Function).lock
    header = [(cid, giver.get(cid)) for cid in (task, parts.function, parts.input, lock)]
    with giver, SqliteBlockStore(tmp_path / "blocks.sqlite") as store:
        async with trio.open_nursery() as nursery:
            source, ended = LateGiver(giver, fails), []
            headers = Headers()
            headers.note(task, header)
            chosen = executor(store, nursery, Engine(), [source], headers=headers)
            chosen.start(Run(session="a", task=task, requester=ALICE, demand=demand_of(room)), ended.append)
    assert source.tries == fails + 1
    assert [type(one) for one in ended] == [Executed]


@on_real_time
async def test_a_task_that_came_whole_asks_nobody_and_is_written_with_its_output_at_once(tmp_path):
    with SqliteBlockStore(tmp_path / "giver.sqlite") as giver, SqliteBlockStore(tmp_path / "blocks.sqlite") as store:
        task = put_task(giver)
        headers = Headers()
        headers.note(task, list(walk(giver, task)))
        async with trio.open_nursery() as nursery:
            source, ended = Trickle(), []
            chosen = executor(store, nursery, Engine(), [source], headers=headers)
            chosen.start(Run(session="a", task=task, requester=ALICE, demand=UNIT), ended.append)
        (event,) = ended
        assert event.took_ms >= 0
        output = event.execution.output
        assert not store.has(task)
        assert not store.has(output)
        assert chosen.made == 1
        chosen.pending.flush()
        hold_all(store, [task, output])

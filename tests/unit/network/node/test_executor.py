"""Executions in threads: what they must not keep from others, and what ends them."""

import threading

import trio

from network.node.executor import Executor
from network.protocol_events import ExecutionFailed, Run
from storage.cid import RAW, make_cid
from storage.errors import UnavailableError
from storage.sqlite_block_store import SqliteBlockStore
from tests.unit.network.node.node_world import Engine, in_thread, put_task
from tests.unit.network.node.offers import ALICE, on_real_time


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
    values = {"fitness": lambda plan: "", "slots": 2, "wall_clock_s": 60.0}
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
                chosen.start(Run(session=session, task=task, requester=ALICE), ended.append)
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
            chosen, ended = executor(store, nursery, engine, [source], slots=1), []
            chosen.start(Run(session="a", task=make_cid(RAW, b"far away"), requester=ALICE), ended.append)
            await in_thread(source.asked.acquire)
            chosen.start(Run(session="b", task=task, requester=ALICE), ended.append)
            chosen.give_up("a")
    assert [event.session for event in ended] == ["b"]
    assert not isinstance(ended[0], ExecutionFailed)

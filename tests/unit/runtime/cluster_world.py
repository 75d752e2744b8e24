"""A cluster in this process: its workers are threads that dial the node's door; their engine is scripted."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from pathlib import Path

from runtime.cluster import Ended, Order, WorkerRoom
from runtime.cluster_engine import ClusterEngine
from runtime.cluster_worker_client import WorkerPlace, execute_order
from runtime.door_transport import Door
from runtime.engine import Execution, UndeterminedError
from runtime.plan import make_plan
from storage.cid import RAW, make_cid
from tests.vectors.records.world import STATE, tree
from verifier.model import EngineInfo, Function, Input, Limits, Lock, Runtime, store_node

GIGABYTE = 1 << 30
ROOM = WorkerRoom(name="tcp://worker:1", slots=2, memory_bytes=4 * GIGABYTE)
DATA = b"the data"


def plan_of(store, data=DATA):
    """Put a task into a store and return its plan."""
    source = tree(store, {"function.py": b"def main(data): ..."})
    lock = Lock(python="3.14", platform="p", wheels=())
    runtime = store_node(store, Runtime(profile="p", pyodide="1", files=()))
    function = Function(source=source, entry="main", lock=store_node(store, lock), runtime=runtime)
    cid = make_cid(RAW, data)
    store.put(cid, data)
    limits = Limits(fuel=None, memory=256 << 20, output=1 << 20)
    input_ = Input(data=cid, volumes=(), outputs=(), args={}, env={}, seed=None, epoch=0, limits=limits)
    return make_plan(function, input_, lock, store=store, wall_clock_s=60.0)


class Engine:
    """Reads the data, and gives it back as the result; before that it waits for `gate`, or for being given up."""

    def __init__(self):
        self.began = threading.Semaphore(0)
        self.gate = threading.Event()
        self.gate.set()
        self.given_up = threading.Semaphore(0)
        self.error = None
        self.submitters = []
        self.checkpoints_of = []

    def execute(self, plan, store, progress=lambda phrase: None, stop=None):
        self.submitters.append(plan.submitter)
        self.checkpoints_of.append(plan.checkpoints_of)
        data = store.get(plan.input.data)
        progress("running the function")
        ended = threading.Event()

        def end():
            ended.set()
            self.given_up.release()
            self.gate.set()

        with stop.ending(end):
            self.began.release()
            self.gate.wait()
        if ended.is_set():
            raise UndeterminedError("given up")
        if self.error is not None:
            raise self.error
        output = tree(store, {"result": data, "stdout": b"", "stderr": b"", "exit_code": b"0"})
        engine = EngineInfo(name="scripted", version="1", arch="x", isolation=("process",))
        return Execution(
            task=plan.task,
            output=output,
            exit_code=0,
            fuel=7,
            state_digest=STATE,
            engine=engine,
            timings_s={"run": 1.0},
        )

    def stop(self):
        self.gate.set()


class Threads:
    """A cluster that executes each order at once in a thread, with `work`: by default as a worker does."""

    def __init__(self, root: Path, engine: Engine, *rooms: WorkerRoom):
        self.place = WorkerPlace(root=root, engine=engine)
        self.rooms = rooms or (ROOM,)
        self.orders: list[Order] = []
        self.taken_back = 0
        self.watchers = []
        self.threads: list[threading.Thread] = []
        self.closed = False
        self.work = self.as_a_worker

    def workers(self):
        return self.rooms

    def watch(self, tell):
        self.watchers.append(tell)

    def change(self, *rooms):
        self.rooms = rooms
        for tell in self.watchers:
            tell()

    def submit(self, order, memory_bytes, ended):
        self.orders.append(order)
        thread = threading.Thread(target=lambda: ended(Ended(problem=self.work(order))))
        self.threads.append(thread)
        thread.start()

        def take_back():
            self.taken_back += 1

        return take_back

    def as_a_worker(self, order):
        return execute_order(order, self.place, None, name="tcp://worker:1")

    def close(self):
        self.closed = True


@contextmanager
def cluster_world(root: Path, *rooms: WorkerRoom):
    """Give an engine on a cluster of threads; all of them have ended with the block."""
    scripted = Engine()
    cluster = Threads(root, scripted, *rooms)
    engine = ClusterEngine(cluster=cluster, door=Door("127.0.0.1"))
    try:
        yield engine, cluster, scripted
    finally:
        engine.stop()
        for thread in cluster.threads:
            thread.join()

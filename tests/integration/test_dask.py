"""Executions on the workers of a real Dask cluster: three processes, of which some are killed in the middle."""

import importlib.util
import logging
import os
import queue
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import pytest

from tests.integration import dask_gate  # noqa: F401

# isort: split
import dask
from distributed import Security

import bacalhau
from runtime.checkpoint_store import list_checkpoints
from runtime.cluster_engine import ClusterEngine
from runtime.dask_client import DaskCluster, address_towards, connect, door_context
from runtime.door_transport import Door
from runtime.engine import UndeterminedError
from runtime.stop_signal import StopSignal
from storage.blocks import MemoryBlockStore
from storage.dag_walk import walk
from storage.errors import UnavailableError, UserError
from storage.unixfs_read import UnixfsReader
from tests.integration.conftest import House
from tests.integration.dask_world import children_of, client_of, dask_world, kill
from tests.integration.stack_world import PATIENCE_S, Node, run, wait_for_end
from tests.requirements_gate import need
from verifier.model import Runtime, load_node

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("dask")]

FIRST_BYTES = "def main(data):\n    return data[:5]\n"
STEPS = """
def main(data):
    yield
    total = sum(range(25_000_000))
    yield
    return total
"""
"""The second step takes longer than a checkpoint needs to be worth its while."""
ENDLESS = "def main(data):\n    while True:\n        pass\n"


class GatedStore(MemoryBlockStore):
    """A node's store that is asked for one block and waits: then an execution is in the middle, on a worker."""

    def __init__(self, cid):
        super().__init__()
        self.cid = cid
        self.asked = queue.SimpleQueue()
        self.answers = queue.SimpleQueue()

    def get(self, cid):
        if cid == self.cid:
            self.asked.put(None)
            self.answers.get(timeout=PATIENCE_S)
        return super().get(cid)

    def open(self):
        for _ in range(10):
            self.answers.put(None)


@pytest.fixture(scope="module")
def house(session_store, session_home, tmp_path_factory, caches):
    with House(session_store, session_home, tmp_path_factory.mktemp("functions"), caches) as house:
        yield house


@pytest.fixture(scope="module")
def workers_home(house, tmp_path_factory):
    """BACALHAU_DIR of workers that find the images and the instrumented modules of this run of the tests."""
    house.run(FIRST_BYTES, data=b"makes what is missing")
    home = tmp_path_factory.mktemp("workers")
    place = home / "cluster-worker"
    place.mkdir()
    wheels = house.engine.wheels_dir
    for name, target in (
        ("wheels", wheels),
        ("images", wheels.parent / "images"),
        ("runtimes", house.home / "runtimes"),
    ):
        (place / name).symlink_to(target)
    return home


@pytest.fixture(scope="module")
def world(workers_home, tmp_path_factory):
    """Three workers; one loss of a worker is forgiven, the second one of the same task is not."""
    with dask_world(tmp_path_factory.mktemp("dask") / "world", home=workers_home, allowed_failures=1) as world:
        yield world


@pytest.fixture(scope="module")
def client(world):
    with client_of(world, workers=3) as client:
        yield client


@pytest.fixture(scope="module")
def runtime(house):
    return load_node(house.store, house.plan(FIRST_BYTES, data=b"x").function.runtime, Runtime)


@pytest.fixture(scope="module")
def engine(client, runtime):
    with engine_on(DaskCluster(client, runtime)) as engine:
        yield engine


@contextmanager
def engine_on(cluster):
    engine = ClusterEngine(cluster=cluster, door=Door(address_towards(cluster), context=door_context(cluster)))
    try:
        yield engine
    finally:
        engine.stop()


@pytest.fixture
def pids(client, world, workers_home, engine):
    """Processes of the three workers by address; those that a test kills are replaced after it."""
    yield client.run(os.getpid)
    gone = 3 - len([process for process in world.workers if process.poll() is None])
    for _ in range(gone):
        world.start_worker(home=workers_home)
    wait_for_room(engine.cluster, 3)


def wait_for_room(cluster, slots):
    changed = threading.Event()
    cluster.watch(changed.set)
    while sum(worker.slots for worker in cluster.workers()) != slots:
        assert changed.wait(PATIENCE_S)
        changed.clear()


def task_store(house, plan, kind=MemoryBlockStore, *arguments):
    """Return a store that holds a task, and nothing that an execution gives."""
    store = kind(*arguments)
    for cid, data in walk(house.store, plan.task):
        store.put(cid, data)
    return store


def result_of(store, execution):
    reader = UnixfsReader(store)
    return reader.read_bytes(reader.resolve(execution.output, "result"), 1 << 20)


def busy(client):
    """Return the address of the one worker that has something to do."""
    (found,) = (address for address, keys in client.processing().items() if keys)
    return found


@contextmanager
def executing(engine, plan, store, progress=lambda phrase: None):
    """Execute in a thread; nothing of it is left behind the block, also if that fails."""
    stop = StopSignal()
    with ThreadPoolExecutor() as threads:
        future = threads.submit(engine.execute, plan, store, progress, stop)
        try:
            yield future, stop
        finally:
            stop.set()
            if isinstance(store, GatedStore):
                store.open()


def end_worker(world, pid):
    kill(pid)
    (process,) = (process for process in world.workers if process.pid == pid)
    process.wait(PATIENCE_S)


def test_an_execution_elsewhere_gives_what_one_here_gives(house, engine, runtime):
    plan = house.plan(FIRST_BYTES, data=b"as it is here, so it is there")
    here = house.execute(plan).execution
    store = task_store(house, plan)
    said = []
    there = engine.execute(plan, store, said.append)
    assert (there.output, there.state_digest, there.fuel) == (here.output, here.state_digest, here.fuel)
    assert result_of(store, there) == b"as it"
    assert "running the function" in said
    assert there.engine.name == "pyodide-node"


def test_a_worker_goes_on_from_a_checkpoint_of_its_own(house, engine, workers_home):
    plan = replace(house.plan(STEPS, seed="5eed"), checkpoints_of="this node")
    store, said = task_store(house, plan), []
    whole = engine.execute(plan, store, said.append)
    assert list_checkpoints(workers_home / "cluster-worker" / "checkpoints")
    assert not any("going on" in phrase for phrase in said)
    gone_on = engine.execute(plan, store, said.append)
    assert sum("going on from there" in phrase for phrase in said) == 1
    assert (gone_on.output, gone_on.state_digest, gone_on.fuel) == (whole.output, whole.state_digest, whole.fuel)


def test_a_worker_killed_in_the_middle_is_followed_by_another(house, engine, client, world, pids):
    plan = house.plan(FIRST_BYTES, data=b"twice begun, once done")
    store = task_store(house, plan, GatedStore, plan.input.data)
    with executing(engine, plan, store) as (running, _):
        store.asked.get(timeout=PATIENCE_S)
        lost = pids[busy(client)]
        inside = children_of(lost)
        assert inside
        end_worker(world, lost)
        store.answers.put(None)
        store.asked.get(timeout=PATIENCE_S)
        assert pids[busy(client)] != lost
        store.answers.put(None)
        assert result_of(store, running.result(PATIENCE_S)) == b"twice"
    for pid in inside:
        wait_for_end(pid)


def test_what_workers_die_of_is_undetermined(house, engine, client, world, pids):
    plan = house.plan(FIRST_BYTES, data=b"never done")
    store = task_store(house, plan, GatedStore, plan.input.data)
    with executing(engine, plan, store) as (running, _):
        for _ in range(2):
            store.asked.get(timeout=PATIENCE_S)
            end_worker(world, pids[busy(client)])
            store.answers.put(None)
        with pytest.raises(UndeterminedError, match=r"does not execute it: Attempted to run task .* on 2 different"):
            running.result(PATIENCE_S)


def test_given_up_while_it_computes_the_process_there_ends(house, engine, client, pids):
    plan = house.plan(ENDLESS, data=b"x", fuel=(1 << 53) - 1)
    store, runs = task_store(house, plan), threading.Event()
    with executing(engine, plan, store, lambda phrase: runs.set() if "running" in phrase else None) as (running, stop):
        assert runs.wait(PATIENCE_S)
        worker = pids[busy(client)]
        inside = children_of(worker)
        assert inside
        stop.set()
        with pytest.raises(UndeterminedError, match="given up"):
            running.result(PATIENCE_S)
    for pid in inside:
        wait_for_end(pid)
    assert client.run(os.getpid)[next(address for address, pid in pids.items() if pid == worker)] == worker


def test_a_worker_of_another_release_is_not_used(runtime, world, client, engine, workers_home, tmp_path, caplog):
    other = tmp_path / "bacalhau-9.9.9.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: bacalhau\nVersion: 9.9.9\n")
    pid = world.start_worker("--name", "other", home=workers_home, path=tmp_path)
    try:
        client.wait_for_workers(4, timeout=PATIENCE_S)
        with caplog.at_level(logging.WARNING), engine_on(connect(world.address, runtime)) as second:
            assert len(second.cluster.workers()) == 3
        assert "is not used: it has version 9.9.9, and this node " in caplog.text
    finally:
        end_worker(world, pid)
    wait_for_room(engine.cluster, 3)


def test_a_node_runs_what_is_submitted_to_it_on_the_workers(world, engine, house, tmp_path):
    need("network", importlib.util.find_spec("libp2p") is not None, "the extra `network`; make setup installs it")
    node = Node("node", tmp_path / "node", 0, ("--workers", world.address))
    try:
        node.start()
        report = run(node.directory, "-c", "print('hello')", "--concurrency", 1, "--confidence", 1)
        assert (report["verdict"], report["stdout"]) == ("agreed", "hello\n")
        assert [receipt["node"] for receipt in report["receipts"]] == [node.facts["peer"]]
        assert not (node.directory / "images").exists()  # nothing was executed here
    finally:
        node.stop()


def test_an_executor_runs_its_calls_on_the_workers(client, engine, house, tmp_path):
    @bacalhau.function
    def where(data, times=1):
        return len(data.read()) * times

    with bacalhau.Executor(dask=client, home=tmp_path / "home") as executor:
        assert executor._runner.at_once == 3
        results = list(executor.map(where, [b"1", b"22", b"333"], [2, 2, 2]))
    assert [r.value for r in results] == [2, 4, 6]
    assert {r.audit()["verdict"] for r in results} == {"valid"}
    assert not (tmp_path / "home" / "images").exists()  # nothing was executed here
    assert client.status == "running"


def test_a_client_that_has_given_up_is_replaced(world, runtime, engine, house):
    plan = house.plan(FIRST_BYTES, data=b"after all")
    store = task_store(house, plan)
    with engine_on(connect(world.address, runtime)) as second:
        second.cluster._client.close()
        second.cluster._look()
        assert len(second.cluster.workers()) == 3
        assert result_of(store, second.execute(plan, store)) == b"after"


def test_a_scheduler_that_goes_and_comes_back_with_a_worker_that_has_nothing(house, runtime, workers_home, tmp_path):
    before = house.plan(FIRST_BYTES, data=b"before")
    plan = house.plan(FIRST_BYTES, data=b"in between")
    store = task_store(house, plan, GatedStore, plan.input.data)
    with (
        dask_world(tmp_path / "world", workers=1, home=workers_home) as world,
        engine_on(connect(world.address, runtime)) as engine,
    ):
        wait_for_room(engine.cluster, 1)
        for cid, data in walk(house.store, before.task):
            store.put(cid, data)
        engine.execute(before, store)  # the image of this worker is with the node now
        with executing(engine, plan, store) as (running, _):
            store.asked.get(timeout=PATIENCE_S)
            world.end_scheduler()  # what the worker does could still be done; so it goes too
            end_worker(world, world.workers[0].pid)
            wait_for_room(engine.cluster, 0)
            store.answers.put(None)
            with pytest.raises(UndeterminedError):
                running.result(PATIENCE_S)
        world.start_scheduler()
        world.start_worker()
        wait_for_room(engine.cluster, 1)
        store.open()
        said = []
        assert result_of(store, engine.execute(plan, store, said.append)) == b"in be"
        assert not [phrase for phrase in said if "making an image" in phrase]  # it has the other worker's
        assert list(world.scratch.rglob("cluster-worker/images/*/*/memory"))


def test_a_scheduler_that_is_not_there_is_told_in_one_line(runtime, monkeypatch):
    monkeypatch.setattr("runtime.dask_client.CONNECT_S", 0.1)
    with pytest.raises(UnavailableError) as raised:
        connect("tcp://127.0.0.1:1", runtime)
    assert str(raised.value).startswith("--workers tcp://127.0.0.1:1: no Dask scheduler answers: ")
    for wrong in ("http://127.0.0.1:1", "tcp://127.0.0.1", "127.0.0.1:1", "tcp://h:99999", "tcp://:1"):
        with pytest.raises(UserError, match="is no address of a Dask scheduler"):
            connect(wrong, runtime)
    with pytest.raises(UserError, match="there are no certificates for TLS"):
        connect("tls://127.0.0.1:1", runtime)


def test_over_tls_with_the_certificates_of_the_cluster(house, runtime, workers_home, tmp_path):
    made, files = Security.temporary(), {}
    for name in ("tls_ca_file", "tls_client_cert", "tls_client_key"):
        (tmp_path / name).write_text(getattr(made, name))
        files[name] = str(tmp_path / name)
    flags = ("--tls-ca-file", files["tls_ca_file"], "--tls-cert", files["tls_client_cert"],
             "--tls-key", files["tls_client_key"])  # fmt: skip
    names = {"ca-file": "tls_ca_file", "client.cert": "tls_client_cert", "client.key": "tls_client_key"}
    configured = {f"distributed.comm.tls.{name}": files[file] for name, file in names.items()}
    plan = house.plan(FIRST_BYTES, data=b"unread by others")
    store = task_store(house, plan)
    with (
        dask_world(tmp_path / "world", *flags, workers=1, home=workers_home) as world,
        dask.config.set(configured),
        engine_on(connect(world.address, runtime)) as engine,
    ):
        wait_for_room(engine.cluster, 1)
        assert engine.door.contact.startswith("tls://")
        assert result_of(store, engine.execute(plan, store)) == b"unrea"

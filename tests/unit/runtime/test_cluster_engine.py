"""An engine whose executions are elsewhere: what travels, what is checked, and what comes of workers that are lost."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import pytest

from runtime.channel_transport import Channel
from runtime.cluster import WorkerRoom
from runtime.cluster_engine import MOST_TRIES
from runtime.cluster_worker_client import execute_order, make_place
from runtime.door_transport import dial
from runtime.engine import UndeterminedError
from runtime.execution_claim import BEGIN, claim_of
from runtime.jail import Level
from runtime.pool_capacity import PoolCapacity
from runtime.stop_signal import StopSignal
from storage.blocks import MemoryBlockStore
from storage.cid import RAW, cid_text, make_cid
from storage.dag_walk import walk
from storage.errors import VerificationError
from storage.sqlite_block_store import SqliteBlockStore
from storage.unixfs_read import UnixfsReader
from tests.unit.runtime.cluster_world import DATA, GIGABYTE, Engine, cluster_world, plan_of


@pytest.fixture
def world(tmp_path):
    with cluster_world(tmp_path) as world:
        yield world


@pytest.fixture
def store():
    return MemoryBlockStore()


def die_in_the_middle(order):
    channel = Channel(dial(order.contact, order.ticket, None), "node")
    channel.tell({"type": BEGIN, "worker": "tcp://lost:1"})
    channel.block(order.task)
    channel.close()


def result_of(store, execution):
    reader = UnixfsReader(store)
    return reader.read_bytes(reader.resolve(execution.output, "result"), 1 << 20)


def test_the_worker_gets_what_it_reads_and_the_node_the_whole_output(world, store):
    engine, cluster, _ = world
    said = []
    execution = engine.execute(plan_of(store), store, said.append)
    assert result_of(store, execution) == DATA
    assert list(walk(store, execution.output))
    assert (execution.fuel, execution.engine.isolation, execution.timings_s) == (7, ("process",), {"run": 1.0})
    assert said == ["running the function"]
    assert cluster.taken_back == len(cluster.orders) == 1
    with SqliteBlockStore(cluster.place.store_path) as kept:
        assert kept.has(plan_of(MemoryBlockStore()).input.data)
        assert not kept.has(plan_of(store).function.source)  # the scripted engine has not read it


def test_a_second_time_nothing_travels_to_the_worker(world, store):
    engine, _, _ = world
    plan = plan_of(store)
    engine.execute(plan, store)
    without = MemoryBlockStore()
    assert result_of(without, engine.execute(plan, without)) == DATA


def test_whoever_asked_is_told_to_the_worker(world, store):
    engine, _, scripted = world
    engine.execute(replace(plan_of(store), submitter="alice"), store)
    assert scripted.submitters == ["alice"]


def test_a_worker_keeps_checkpoints_of_its_own_for_the_node_that_it_is_told(world, store, tmp_path):
    engine, cluster, scripted = world
    for node in ("", "node a", "node b"):
        engine.execute(replace(plan_of(store), checkpoints_of=node), store)
    assert scripted.checkpoints_of == ["", "node a", "node b"]
    place = make_place(tmp_path, cluster.orders[0], PoolCapacity(workers=1, memory_bytes=1))
    assert place.engine.checkpoints_dir == tmp_path / "checkpoints"


def test_the_jail_that_was_chosen_is_asked_of_the_worker(world, store, tmp_path):
    engine, cluster, _ = world
    chosen = replace(engine, strict=True, level=Level.BUBBLEWRAP)
    for one in (engine, chosen):
        one.execute(plan_of(store), store)
    places = [make_place(tmp_path, order, PoolCapacity(workers=1, memory_bytes=1)) for order in cluster.orders]
    assert [(place.engine.strict, place.engine.level) for place in places] == [(False, None), (True, Level.BUBBLEWRAP)]


@pytest.mark.parametrize(("error", "kind"), [(UndeterminedError("disk full"), UndeterminedError),
                                             (VerificationError("a wheel lies"), VerificationError)])  # fmt: skip
def test_a_failure_there_is_a_failure_here(world, store, error, kind):
    engine, cluster, scripted = world
    scripted.error = error
    with pytest.raises(kind, match=f"worker tcp://worker:1: {error.problem}"):
        engine.execute(plan_of(store), store)
    assert len(cluster.orders) == 1


def test_a_block_that_is_not_here_is_undetermined(world, store):
    engine, _, _ = world
    plan = plan_of(store)
    lacking = MemoryBlockStore()
    for cid, data in walk(store, plan.task):
        if cid != plan.input.data:
            lacking.put(cid, data)
    with pytest.raises(UndeterminedError, match="block is not in this store"):
        engine.execute(plan, lacking)


def test_given_up_in_the_middle_ends_what_runs_there(world, store):
    engine, cluster, scripted = world
    scripted.gate.clear()
    stop = StopSignal()
    with ThreadPoolExecutor() as threads:
        running = threads.submit(engine.execute, plan_of(store), store, stop=stop)
        scripted.began.acquire()
        stop.set()
        with pytest.raises(UndeterminedError, match="given up"):
            running.result()
    scripted.given_up.acquire()
    assert cluster.taken_back == 1


def test_an_engine_that_is_stopped_ends_all_and_takes_no_more(world, store):
    engine, cluster, scripted = world
    scripted.gate.clear()
    plan = plan_of(store)
    with ThreadPoolExecutor() as threads:
        running = [threads.submit(engine.execute, plan, store) for _ in range(2)]
        for _ in running:
            scripted.began.acquire()
        engine.stop()
        for one in running:
            with pytest.raises(UndeterminedError, match="given up"):
                one.result()
    with pytest.raises(UndeterminedError):
        engine.execute(plan, store)
    assert cluster.closed


def test_a_lost_worker_is_followed_by_another(world, store):
    engine, cluster, _ = world

    def die(order):
        die_in_the_middle(order)
        cluster.work = cluster.as_a_worker
        return ""

    cluster.work = die
    assert result_of(store, engine.execute(plan_of(store), store)) == DATA
    assert len(cluster.orders) == 2


def test_the_cluster_places_an_order_anew_and_the_first_worker_is_hung_up_on(world, store):
    """As when Dask takes a worker for lost that is only silent."""
    engine, cluster, scripted = world
    scripted.gate.clear()
    with ThreadPoolExecutor() as threads:
        running = threads.submit(engine.execute, plan_of(store), store)
        scripted.began.acquire()
        other = Engine()
        place = type(cluster.place)(root=cluster.place.root, engine=other)
        again = threads.submit(partial(execute_order, cluster.orders[0], place, None, name="tcp://other:1"))
        scripted.given_up.acquire()
        assert result_of(store, running.result()) == DATA
        assert again.result() == ""
    assert len(cluster.orders) == 1


def test_what_kills_every_worker_is_undetermined_after_a_few(world, store):
    engine, cluster, _ = world

    def die(order):
        die_in_the_middle(order)
        return ""

    cluster.work = die
    with pytest.raises(UndeterminedError, match=f"{MOST_TRIES} workers were lost with it"):
        engine.execute(plan_of(store), store)
    assert len(cluster.orders) == MOST_TRIES


def test_a_worker_that_never_dials_is_no_worker(world, store):
    engine, cluster, _ = world
    cluster.work = lambda order: ""
    with pytest.raises(UndeterminedError, match="without a word"):
        engine.execute(plan_of(store), store)


def test_what_the_cluster_refuses_is_undetermined_with_its_reason(world, store):
    engine, cluster, _ = world
    cluster.work = lambda order: "4 workers died with it"
    with pytest.raises(UndeterminedError, match="4 workers died with it"):
        engine.execute(plan_of(store), store)
    assert len(cluster.orders) == 1


def test_a_node_that_cannot_be_reached_is_told_in_one_line(world, store, monkeypatch):
    engine, _, _ = world
    object.__setattr__(engine.door, "contact", "tcp://127.0.0.1:1")
    with pytest.raises(UndeterminedError) as raised:
        engine.execute(plan_of(store), store)
    assert str(raised.value).startswith("worker tcp://worker:1: tcp://127.0.0.1:1: cannot be reached: ")
    assert "--workers-contact" in str(raised.value)


CID = cid_text(make_cid(RAW, b"made"))


class Liar:
    """A worker that claims an output, and answers for its blocks as it likes."""

    def __init__(self, cluster, answer, **claims):
        self.cluster, self.answer, self.claims = cluster, answer, claims

    def __call__(self, order):
        honest = MemoryBlockStore()
        plan_of(honest)
        channel = Channel(dial(order.contact, order.ticket, None), "node")
        execution = self._execute(order, honest)
        channel.tell(claim_of(execution) | self.claims)
        try:
            while True:
                self.answer(channel, channel.hear(), honest)
        except UndeterminedError:
            return ""
        finally:
            channel.close()

    def _execute(self, order, store):
        return Engine().execute(plan_of(store), store, stop=StopSignal())


def wrong_bytes(channel, question, store):
    channel.tell({"type": "block"}, b"something else")


def nothing(channel, question, store):
    channel.tell({"type": "absent", "problem": "lost it"})


def nonsense(channel, question, store):
    channel.tell({"type": "nonsense"})


def everything(channel, question, store):
    channel.answer(question, store)


@pytest.mark.parametrize(
    ("answer", "claims", "problem"),
    [
        (wrong_bytes, {}, "gave no output: sent bytes that are not baf"),
        (nonsense, {}, "gave no output: answered with 'nonsense' in place of a block"),
        (nothing, {}, "does not give its output: lost it"),
        (everything, {"output": "bafkreih"}, "is no account of an execution"),
        (everything, {"exit_code": 256}, "is no account of an execution"),
        (everything, {"exit_code": True}, "is no account of an execution"),
        (everything, {"fuel": -1}, "is no account of an execution"),
        (everything, {"state_digest": "ab"}, "is no account of an execution"),
        (everything, {"engine": ["a", "b"]}, "is no account of an execution"),
        (everything, {"engine": ["a", "b", "c", [1]]}, "is no account of an execution"),
        (everything, {"timings_s": {"run": float("nan")}}, "is no account of an execution"),
        (everything, {"made": [["a"]]}, "is no list of things made"),
        (everything, {"made": [["a" * 256, CID]]}, "made more, or of longer names"),
        (everything, {"made": [["a", CID]] * 1025}, "made more, or of longer names"),
    ],
)
def test_a_worker_that_lies_gives_no_output(world, store, answer, claims, problem):
    engine, cluster, _ = world
    plan = plan_of(store)
    before = {cid for cid, _ in walk(store, plan.task)}
    cluster.work = Liar(cluster, answer, **claims)
    with pytest.raises(UndeterminedError, match=problem):
        engine.execute(plan, store)
    assert {cid for cid, _ in walk(store, plan.task)} == before


def test_an_honest_claim_of_the_same_worker_is_taken(world, store):
    engine, cluster, _ = world
    cluster.work = Liar(cluster, everything)
    assert result_of(store, engine.execute(plan_of(store), store)) == DATA


def test_an_output_beyond_its_limit_is_not_fetched(world, store, monkeypatch):
    engine, _, _ = world
    monkeypatch.setattr("runtime.worker_visit.SPARE_BYTES", -(1 << 20) + 100)
    with pytest.raises(UndeterminedError, match="more than the 100 bytes allowed"):
        engine.execute(plan_of(store), store)


def test_no_more_is_under_way_than_workers_have_room_for(world, store):
    engine, cluster, scripted = world
    scripted.gate.clear()
    plan = plan_of(store)
    with ThreadPoolExecutor() as threads:
        running = [threads.submit(engine.execute, plan, store) for _ in range(5)]
        for _ in range(2):
            scripted.began.acquire()
        assert (engine.room.under_way, len(cluster.orders)) == (2, 2)
        scripted.gate.set()
        assert {one.result().output for one in running} == {running[0].result().output}
    assert len(cluster.orders) == 5


def test_room_follows_the_workers(world, store):
    engine, cluster, _ = world
    cluster.change()
    with ThreadPoolExecutor() as threads:
        running = threads.submit(engine.execute, plan_of(store), store)
        cluster.change(WorkerRoom(name="w", slots=1, memory_bytes=8 * GIGABYTE))
        assert result_of(store, running.result()) == DATA


def test_waiting_for_room_can_be_given_up(world, store):
    engine, cluster, _ = world
    cluster.change()
    stop = StopSignal()
    with ThreadPoolExecutor() as threads:
        running = threads.submit(engine.execute, plan_of(store), store, stop=stop)
        stop.set()
        with pytest.raises(UndeterminedError, match="given up"):
            running.result()
    assert cluster.orders == []


def test_what_no_worker_is_large_enough_for_is_not_waited_for(tmp_path, store):
    small = WorkerRoom(name="w", slots=8, memory_bytes=100 << 20)
    with (
        cluster_world(tmp_path, *[small] * 8) as (engine, _, _),
        pytest.raises(UndeterminedError, match="no worker of the cluster has more than 104857600"),
    ):
        engine.execute(plan_of(store), store)


class Caches:
    """A worker's caches of one thing; whoever makes it gives `content`."""

    def __init__(self, content=b"an image"):
        self.content, self.brought = content, []

    def bring(self, node, plan, store, ask):
        cid = ask("thing")
        if cid is not None:
            self.brought.append(store.get(cid))
        return () if cid is not None else ("thing",)

    def give(self, node, plan, unknown, store):
        cid = make_cid(RAW, self.content)
        store.put(cid, self.content)
        return [(name, cid) for name in unknown]


def on_another_worker(cluster, root, caches):
    cluster.place = type(cluster.place)(root=root, engine=cluster.place.engine, caches=caches)
    return caches


def test_what_one_worker_made_goes_to_another(world, store, tmp_path):
    engine, cluster, _ = world
    first = on_another_worker(cluster, tmp_path / "one", Caches())
    engine.execute(plan_of(store), store)
    second = on_another_worker(cluster, tmp_path / "two", Caches(b"is never made"))
    engine.execute(plan_of(store), store)
    assert (first.brought, second.brought) == ([], [b"an image"])


def test_what_a_worker_made_and_does_not_give_is_not_known(world, store, tmp_path, monkeypatch):
    engine, cluster, _ = world
    monkeypatch.setattr("runtime.worker_visit.MAX_MADE_BYTES", 4)
    on_another_worker(cluster, tmp_path / "one", Caches())
    assert result_of(store, engine.execute(plan_of(store), store)) == DATA
    assert engine.made.known("thing", store) is None


def test_blocks_are_cleared_away_at_the_worker_when_they_are_many(world, store, monkeypatch):
    engine, cluster, _ = world
    cluster.place = type(cluster.place)(root=cluster.place.root, engine=cluster.place.engine, max_kept_bytes=0)
    engine.execute(plan_of(store), store)
    for thread in cluster.threads:
        thread.join()
    with SqliteBlockStore(cluster.place.store_path) as kept:
        assert kept.size() == (0, 0)

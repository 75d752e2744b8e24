"""Whatever is changed in whatever order, closed and opened anywhere: SQLite remembers what the model does."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from network.job_store import JobStore
from network.node.datastore import (
    AddEvent,
    AddResult,
    Finish,
    JobState,
    Machine,
    MarkCancelled,
    Move,
    NotePeer,
    Put,
    Remove,
    RemoveBelow,
    Submit,
)
from network.node.sqlite_datastore import SqliteDatastore
from network.result_store import Nodes, ResultStore
from storage.cid import DAG_CBOR, RAW, make_cid
from tests.unit.network.node.datastore_model import ModelDatastore
from tests.unit.network.node.datastore_world import finished, job_name, peer, submission

NUMBERS = st.integers(1, 4)
JOBS = NUMBERS.map(job_name)
TIMES = st.sampled_from([0.0, -1.5, 1e9, 1e9 + 2**-20])
WORDS = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=20)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
JSON = st.recursive(SCALARS, lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(), part, max_size=3))
MAPS = st.dictionaries(st.text(), JSON, max_size=3)

SUBMISSIONS = st.builds(
    submission,
    NUMBERS,
    created_at=TIMES,
    labels=st.lists(WORDS, max_size=3).map(tuple),
    selector=st.lists(st.tuples(WORDS, WORDS), max_size=2).map(tuple),
    min_bids=st.integers(0, 2**63 - 1),
    timeout_s=st.floats(0.001, 604_800),
    parents=st.lists(st.binary(max_size=3).map(lambda data: make_cid(RAW, data)), max_size=2).map(tuple),
    origins=st.lists(MAPS, max_size=2).map(tuple),
    shards=st.none() | st.just(make_cid(DAG_CBOR, b"list")),
    shard_count=st.integers(0, 2**63 - 1),
    max_failures=st.none() | st.integers(0, 9),
    no_cache=st.booleans(),
)
MACHINES = st.sampled_from(Machine)
KEYS = st.sampled_from(["a", "b", "c/\0d", "", "c/", "c0", "c/e/f", "c/\U0010ffff"])
PREFIXES = st.sampled_from(["c/", "a/", "c/e/"])
CIDS = st.binary(max_size=1).map(lambda data: make_cid(RAW, data))
CHANGES = st.one_of(
    st.builds(Put, machine=MACHINES, key=KEYS, value=st.binary(max_size=40)),
    st.builds(Remove, machine=MACHINES, key=KEYS),
    st.builds(RemoveBelow, machine=MACHINES, prefix=PREFIXES),
    st.builds(AddResult, task=CIDS, record=CIDS, at=TIMES),
    st.builds(Submit, submission=SUBMISSIONS),
    st.builds(Move, job=JOBS, state=st.sampled_from(JobState), outcome=st.none() | st.binary(max_size=20)),
    st.builds(MarkCancelled, job=JOBS),
    st.builds(AddEvent, job=JOBS, at=TIMES, kind=WORDS, detail=MAPS),
    st.builds(Finish, job=st.builds(finished, NUMBERS, created_at=TIMES, verdict=WORDS)),
    st.builds(NotePeer, peer=NUMBERS.map(peer), address=WORDS, at=TIMES),
)
REOPEN = None


def check(store, model, path):
    for machine in Machine:
        assert store.entries(machine) == model.entries(machine)
        for prefix in ("c/", "c/e/"):
            assert store.entries_below(machine, prefix) == model.entries_below(machine, prefix)
    assert store.unfinished() == model.unfinished()
    for limit in (0, 2, 10):
        assert store.jobs(limit=limit) == model.jobs(limit=limit)
    for job in map(job_name, range(1, 5)):
        assert store.job(job) == model.job(job)
        for after, limit in ((0, 1000), (1, 2)):
            assert store.events(job, after=after, limit=limit) == model.events(job, after=after, limit=limit)
    assert list(store.peers().items()) == list(model.peers().items())
    with ResultStore(path) as results:
        for task, records in model.results.items():
            assert set(results.records(task, nodes=Nodes.NETWORK)) == set(records)
    with JobStore(path) as jobs:
        assert {job.id: job for job in jobs.newest(10)} == model.finished


@settings(deadline=None)
@given(st.lists(st.just(REOPEN) | st.lists(CHANGES, max_size=6), max_size=12))
def test_a_datastore_remembers_what_its_model_does(steps):
    model = ModelDatastore()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "datastore.sqlite"
        store = SqliteDatastore(path)
        try:
            for changes in steps:
                if changes is REOPEN:
                    store.close()
                    store = SqliteDatastore(path)
                else:
                    store.commit(changes)
                    model.commit(changes)
                check(store, model, path)
        finally:
            store.close()

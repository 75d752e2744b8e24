import json
import math
import multiprocessing
import sqlite3
from dataclasses import replace
from types import MappingProxyType

import pytest

from network.datastore_file import SCHEMA_VERSION
from network.job_shards import JobShard
from network.job_store import JobStore
from network.lineage_tables import LINEAGE
from network.node.datastore import (
    AddEvent,
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
from network.node.datastore_rows import MAX_DETAIL_BYTES, MAX_ENTRY_BYTES, MAX_OUTCOME_BYTES, MAX_ROW_BYTES
from network.node.sqlite_datastore import SqliteDatastore
from storage import dag_cbor
from storage.cid import DAG_CBOR, RAW, make_cid
from storage.errors import UnavailableError, UserError
from tests.unit.network.node.datastore_world import TASK, address, finished, job_name, peer, submission

REQUESTER, COMPUTE = Machine.REQUESTER, Machine.COMPUTE

FULL = submission(
    9,
    created_at=1_700_000_000.123456789,
    labels=("blue", "with 'quotes' and \N{SNOWMAN}"),
    selector=(("zone", "eu"), ("disk", "ssd")),
    min_bids=3,
    timeout_s=0.25,
    parents=(make_cid(RAW, b"one"), make_cid(RAW, b"two")),
    shards=make_cid(DAG_CBOR, b"list"),
    shard_count=7,
    max_failures=2,
    no_cache=True,
    origins=({"url": "https://x/", "size": 2**70, "headers": [["a", "\udc80"], ["b", 1.5, None, True]]}, {}),
)

# The statements of version 1, as they were published.
V1 = (
    "PRAGMA page_size = 8192",
    "PRAGMA auto_vacuum = INCREMENTAL",
    "PRAGMA journal_mode = WAL",
    "CREATE TABLE jobs(id TEXT PRIMARY KEY NOT NULL, created_at REAL NOT NULL, labels TEXT NOT NULL,"
    " task BLOB NOT NULL, function BLOB NOT NULL, input BLOB NOT NULL, output BLOB, record BLOB,"
    " verdict TEXT NOT NULL, tier TEXT NOT NULL, exit_code INTEGER, report TEXT NOT NULL)",
    "CREATE INDEX jobs_by_time ON jobs(created_at)",
    "CREATE INDEX jobs_by_task ON jobs(task)",
    "CREATE INDEX jobs_by_output ON jobs(output)",
    "CREATE INDEX jobs_by_record ON jobs(record)",
    f"PRAGMA application_id = {0x42414C4A}",
    "PRAGMA user_version = 1",
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "datastore.sqlite"


@pytest.fixture
def store(path):
    with SqliteDatastore(path) as store:
        yield store


def damage(path, sql):
    connection = sqlite3.connect(path)
    with connection:
        assert connection.execute(sql).rowcount > 0
    connection.close()


def test_entries_are_kept_replaced_and_removed_for_each_machine(store):
    store.commit([Put(machine=REQUESTER, key="a", value=b"1"), Put(machine=COMPUTE, key="a", value=b"2")])
    store.commit([Put(machine=REQUESTER, key="a", value=b""), Put(machine=REQUESTER, key="b", value=b"\x00\xff")])
    assert store.entries(REQUESTER) == {"a": b"", "b": b"\x00\xff"}
    store.commit([Remove(machine=REQUESTER, key="a"), Remove(machine=REQUESTER, key="never there")])
    assert store.entries(REQUESTER) == {"b": b"\x00\xff"}
    assert store.entries(COMPUTE) == {"a": b"2"}


def test_changes_of_one_commit_happen_in_their_order(store):
    put = Put(machine=COMPUTE, key="a", value=b"1")
    store.commit([put, Remove(machine=COMPUTE, key="a")])
    assert store.entries(COMPUTE) == {}
    store.commit([Remove(machine=COMPUTE, key="a"), put])
    assert store.entries(COMPUTE) == {"a": b"1"}


@pytest.mark.parametrize("asked", [submission(1), FULL])
def test_a_submission_comes_back_as_it_was(path, asked):
    with SqliteDatastore(path) as store:
        store.commit([Submit(submission=asked)])
    with SqliteDatastore(path) as store:
        kept = store.job(asked.job)
        assert kept.submission == asked
        assert (kept.state, kept.cancelled, kept.outcome) == (JobState.RUNNING, False, b"")
        assert store.job(job_name(404)) is None


def test_origins_may_be_any_mapping(store):
    store.commit([Submit(submission=submission(1, origins=(MappingProxyType({"url": "x"}),)))])
    assert store.job(job_name(1)).submission.origins == ({"url": "x"},)


def test_the_same_id_again_is_the_same_job(store):
    store.commit([Submit(submission=submission(1)), Move(job=job_name(1), state=JobState.SETTLING, outcome=b"o")])
    before = store.job(job_name(1))
    store.commit([Submit(submission=submission(1, labels=("other",)))])
    assert store.job(job_name(1)) == before


def test_a_job_moves_and_keeps_its_outcome(store):
    job = job_name(1)
    store.commit([Submit(submission=submission(1))])
    store.commit([Move(job=job, state=JobState.SETTLING, outcome=b"verdict"), MarkCancelled(job=job)])
    store.commit([Move(job=job, state=JobState.ENDED)])
    kept = store.job(job)
    assert (kept.state, kept.cancelled, kept.outcome) == (JobState.ENDED, True, b"verdict")
    store.commit([Move(job=job, state=JobState.ENDED, outcome=b"")])
    assert store.job(job).outcome == b""


def test_a_change_of_a_job_that_is_not_there_changes_nothing(store):
    store.commit([Move(job=job_name(1), state=JobState.ENDED), MarkCancelled(job=job_name(1))])
    assert store.jobs(limit=10) == []


def test_unfinished_jobs_come_oldest_first_and_all_jobs_newest_first(store):
    # 2 and 3 are equally old: they come in the order in which they were given.
    ages = {1: 30.0, 2: 10.0, 3: 10.0, 4: 20.0}
    store.commit([Submit(submission=submission(number, created_at=age)) for number, age in ages.items()])
    store.commit([Move(job=job_name(4), state=JobState.ENDED), Move(job=job_name(3), state=JobState.SETTLING)])
    assert [kept.submission.job for kept in store.unfinished()] == [job_name(n) for n in (2, 3, 1)]
    assert [kept.submission.job for kept in store.jobs(limit=3)] == [job_name(n) for n in (1, 4, 3)]
    assert store.jobs(limit=0) == store.jobs(limit=-1) == []


def test_events_are_numbered_from_one_without_gaps_for_each_job(path):
    one, two = job_name(1), job_name(2)
    with SqliteDatastore(path) as store:
        store.commit([AddEvent(job=one, at=1.0, kind="submitted"), AddEvent(job=two, at=0.5, kind="submitted")])
        with pytest.raises(ValueError, match="finite"):
            store.commit([AddEvent(job=one, at=2.0, kind="lost"), AddEvent(job=one, at=math.nan, kind="bad")])
    with SqliteDatastore(path) as store:
        # A clock that went back changes no order.
        store.commit([AddEvent(job=one, at=0.0, kind="assigned", detail=MappingProxyType({"node": ["a", 1.5, None]}))])
        store.commit([AddEvent(job=one, at=3.0, kind="ended", detail={"reason": "\udc80"})])
        events = store.events(one)
    assert [(event.number, event.at, event.kind) for event in events] == [
        (1, 1.0, "submitted"),
        (2, 0.0, "assigned"),
        (3, 3.0, "ended"),
    ]
    assert [event.detail for event in events] == [{}, {"node": ["a", 1.5, None]}, {"reason": "\udc80"}]
    assert {event.job for event in events} == {one}


def test_events_are_read_from_a_number_on_and_no_more_than_asked_for(store):
    store.commit([AddEvent(job="j", at=0.0, kind=str(number)) for number in range(1, 8)])
    assert [event.number for event in store.events("j", after=2, limit=3)] == [3, 4, 5]
    assert store.events("j", after=7) == store.events("j", limit=0) == store.events("j", limit=-1) == []
    assert store.events("another") == []


def test_a_finished_job_is_kept_once(store, path):
    first = finished(1)
    store.commit([Finish(job=first)])
    store.commit([Finish(job=replace(first, verdict="agreed")), Finish(job=finished(2))])
    with JobStore(path) as jobs:
        assert jobs.find(first.id) == first
        assert jobs.count() == 2


def test_the_last_address_of_a_peer_counts_and_the_newest_come_first(store):
    notes = [(1, 10.0), (2, 30.0), (3, 20.0), (4, 20.0)]
    store.commit([NotePeer(peer=peer(n), address=address(n), at=at) for n, at in notes])
    assert list(store.peers()) == [peer(n) for n in (2, 4, 3, 1)]
    store.commit([NotePeer(peer=peer(1), address=address(77), at=40.0)])
    assert next(iter(store.peers().items())) == (peer(1), address(77))
    assert len(store.peers()) == 4


def test_of_over_a_thousand_peers_the_oldest_are_forgotten(store):
    store.commit([NotePeer(peer=peer(n), address="/x", at=float(n)) for n in range(1, 1003)])
    assert list(store.peers()) == [peer(n) for n in range(1002, 2, -1)]


def test_a_commit_that_fails_changes_nothing(store):
    put = Put(machine=COMPUTE, key="a", value=b"1")
    # A lone surrogate is refused by SQLite alone, after the first change was made.
    with pytest.raises(UnicodeEncodeError):
        store.commit([put, Put(machine=COMPUTE, key="\udc80", value=b"2")])
    with pytest.raises(UserError):
        store.commit([put, Submit(submission=submission(1, min_bids=-1))])
    assert store.entries(COMPUTE) == {}
    store.commit([put])
    assert store.entries(COMPUTE) == {"a": b"1"}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"job": "1"}, "submission: job: must be 32"),
        ({"created_at": math.inf}, "submission: created_at: must be a finite"),
        ({"labels": ("a", "\x1b[31m")}, "submission: labels[1]: has a control character"),
        ({"labels": ("a",) * 65}, "submission: labels: has more than 64"),
        ({"selector": (("zone", "eu", "x"),)}, "submission: selector[0]: must be a name and a value"),
        ({"timeout_s": 0.0}, "submission: timeout_s: must be 1 ms"),
        ({"timeout_s": math.nan}, "submission: timeout_s: must be 1 ms"),
        ({"min_bids": -1}, "submission: min_bids: must be 0"),
        ({"parents": (b"no cid",)}, "submission: parents[0]: "),
        ({"origins": ({"x": math.nan},)}, "submission: origins: must be JSON"),
        ({"origins": ({"x": TASK},)}, "submission: origins: must be JSON"),
        ({"origins": ({"x": "y" * (8 << 20)},)}, "submission: origins: are longer"),
    ],
)
def test_a_submission_out_of_bounds_is_the_users_error(store, values, said):
    with pytest.raises(UserError) as caught:
        store.commit([Submit(submission=submission(1, **values))])
    assert str(caught.value).startswith(said)
    assert store.jobs(limit=1) == []


@pytest.mark.parametrize(
    "change",
    [
        Put(machine=COMPUTE, key="a", value=bytes(MAX_ENTRY_BYTES + 1)),
        Move(job=job_name(1), state=JobState.ENDED, outcome=bytes(MAX_OUTCOME_BYTES + 1)),
        AddEvent(job="j", at=0.0, kind="x", detail={"reason": "y" * MAX_DETAIL_BYTES}),
        AddEvent(job="j", at=0.0, kind="x", detail={"reason": math.nan}),
        NotePeer(peer="somebody", address="/x", at=0.0),
        NotePeer(peer=peer(1), address="/x", at=math.inf),
        Finish(job=finished(1, report={"result": "x" * (16 << 20)})),
    ],
)
def test_what_is_too_large_or_cannot_be_read_again_is_refused(store, change):
    with pytest.raises(ValueError, match=r"bound|finite|JSON compliant|peer id"):
        store.commit([change])


def test_the_largest_that_is_allowed_can_be_read(store):
    origins = ({"x": "y" * ((8 << 20) - 20)},)
    store.commit([Submit(submission=submission(1, origins=origins))])
    store.commit([Move(job=job_name(1), state=JobState.ENDED, outcome=bytes(MAX_OUTCOME_BYTES))])
    store.commit([Put(machine=COMPUTE, key="a", value=bytes(MAX_ENTRY_BYTES))])
    assert len(store.job(job_name(1)).outcome) == MAX_OUTCOME_BYTES
    assert len(store.entries(COMPUTE)["a"]) == MAX_ENTRY_BYTES


# ---- by the first digits of an id


def test_a_unique_prefix_names_a_job_that_has_not_ended(store):
    one, two = submission(1, job="abcd" + "0" * 28), submission(2, job="abce" + "0" * 28)
    store.commit([Submit(submission=one), Submit(submission=two), Move(job=two.job, state=JobState.ENDED)])
    assert store.find("abcd").submission == one
    assert store.find("ABCE0").submission == two
    assert store.find(one.job).submission == one


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("abc", "too short"),
        ("ffff", "no job here"),
        ("abc%", "neither a job id nor a CID"),
        ("", "neither a job id nor a CID"),
        ("a" * 33, "neither a job id nor a CID"),
        ("abcd", "several jobs"),
        ("abce", "not given to the node"),
    ],
)
def test_what_names_no_job_of_the_node_is_the_users_error(store, text, problem):
    store.commit([Submit(submission=submission(1, job="abcd" + "0" * 28))])
    store.commit([Finish(job=finished(1, id=digits + "f" * 28)) for digits in ("abcd", "abce")])
    with pytest.raises(UserError, match=problem):
        store.find(text)


def test_a_job_that_has_ended_is_one_job_though_it_is_kept_twice(store, path):
    name = job_name(0xABCD << 112)
    store.commit([Submit(submission=submission(job=name)), Finish(job=finished(id=name))])
    assert store.find("abcd").submission.job == name
    with JobStore(path) as jobs:
        assert jobs.find("abcd").id == name


def test_commands_do_not_deny_a_job_that_has_not_ended(store, path):
    store.commit([Submit(submission=submission(1, job="abcd" + "0" * 28))])
    with JobStore(path) as jobs:
        with pytest.raises(UserError, match="of a node has no outcome"):
            jobs.find("abcd")
        jobs.add(finished(id="abcd" + "1" * 28))
        with pytest.raises(UserError, match="several jobs"):
            jobs.find("abcd")


# ---- the file


def make_v1(path):
    job = finished(7, labels=("old",))
    row = (job.id, job.created_at, json.dumps(job.labels), job.task, job.function, job.input, None, None)
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in V1:
        connection.execute(statement)
    rest = (job.verdict, job.tier, None, json.dumps(job.report))
    connection.execute(f"INSERT INTO jobs VALUES({', '.join('?' * 12)})", (*row, *rest))
    connection.close()
    return job


@pytest.mark.parametrize("first", [JobStore, SqliteDatastore])
def test_a_file_of_version_1_is_upgraded_by_whoever_is_first(path, first):
    old = make_v1(path)
    first(path).close()
    with SqliteDatastore(path) as store, JobStore(path) as jobs:
        assert jobs.newest(10) == [old]
        store.commit([Submit(submission=FULL), Put(machine=COMPUTE, key="a", value=b"1")])
        assert store.find(FULL.job).submission == FULL
        with pytest.raises(UserError, match="not given to the node"):
            store.find(old.id)


def make_v2(path):
    """Make what version 2 made: a new file without what came since."""
    SqliteDatastore(path).close()
    connection = sqlite3.connect(path, isolation_level=None)
    drop_lineage(connection)
    for table in ("shards", "results"):
        connection.execute(f"DROP TABLE {table}")
    connection.execute("PRAGMA user_version = 2")
    connection.close()


def drop_lineage(connection):
    for kind in ("TRIGGER", "TABLE"):  # a table takes its indices along
        for statement in LINEAGE:
            if statement.startswith(f"CREATE {kind}"):
                connection.execute(f"DROP {kind} {statement.split()[2].partition('(')[0]}")


def make_v3(path):
    """Make what version 3 made, whose shards said less."""
    SqliteDatastore(path).close()
    connection = sqlite3.connect(path, isolation_level=None)
    for column in ("first", "picks", "input", "fuel", "receipts", "reason"):
        connection.execute(f"ALTER TABLE shards DROP COLUMN {column}")
    drop_lineage(connection)
    connection.execute("PRAGMA user_version = 3")
    connection.close()


def make_v4(path):
    """Make what the version before this one made, which knew nothing of where records come from."""
    SqliteDatastore(path).close()
    connection = sqlite3.connect(path, isolation_level=None)
    drop_lineage(connection)
    connection.execute("PRAGMA user_version = 4")
    connection.close()


def test_an_upgraded_file_has_the_tables_of_a_new_one(tmp_path):
    make_v1(tmp_path / "v1.sqlite")
    make_v2(tmp_path / "v2.sqlite")
    make_v3(tmp_path / "v3.sqlite")
    make_v4(tmp_path / "v4.sqlite")
    schemas = []
    for name in ("v1.sqlite", "v2.sqlite", "v3.sqlite", "v4.sqlite", "new.sqlite"):
        SqliteDatastore(tmp_path / name).close()
        connection = sqlite3.connect(tmp_path / name)
        schemas.append(sorted(connection.execute("SELECT type, name, sql FROM sqlite_schema").fetchall(), key=str))
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        connection.close()
    assert all(schema == schemas[-1] for schema in schemas)


def test_a_job_finishes_with_its_shards_and_only_once(path):
    shard = JobShard(number=0, task=make_cid(DAG_CBOR, b"s"), output=None, record=None, verdict="split", exit_code=None)
    job = replace(finished(7), task=None, shards=(shard, replace(shard, number=1)))
    with SqliteDatastore(path) as store, JobStore(path) as jobs:
        store.commit([Finish(job=job)])
        store.commit([Finish(job=job)])
        assert jobs.find(job.id) == replace(job, shards=())
        assert jobs.shards(job.id) == job.shards


def test_a_file_of_a_future_version_is_left_alone(path):
    SqliteDatastore(path).close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    with pytest.raises(UnavailableError, match=f"its schema is version {SCHEMA_VERSION + 1}"):
        SqliteDatastore(path)


def open_and_add(path, kind, number, barrier):
    barrier.wait()
    if kind == "node":
        with SqliteDatastore(path) as store:
            for key in range(20):
                store.commit([Put(machine=COMPUTE, key=f"{number}-{key}", value=b"x")])
                store.commit([AddEvent(job="j", at=0.0, kind="x")])
    else:
        with JobStore(path) as jobs:
            for part in range(20):
                jobs.add(finished(number * 100 + part))


@pytest.mark.parametrize("is_old", [False, True])
def test_processes_that_open_one_file_at_the_same_time_all_find_it_whole(path, is_old):
    if is_old:
        make_v1(path)
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(4)
    kinds = ("node", "command", "node", "command")
    processes = [
        context.Process(target=open_and_add, args=(path, kind, number, barrier)) for number, kind in enumerate(kinds)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    with SqliteDatastore(path) as store, JobStore(path) as jobs:
        assert len(store.entries(COMPUTE)) == 40
        assert [event.number for event in store.events("j")] == list(range(1, 41))
        assert jobs.count() == 40 + is_old


def test_a_commit_is_synced_and_so_is_the_name_of_its_log(path):
    with SqliteDatastore(path) as store:
        assert store._connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
        assert store._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    with JobStore(path) as jobs:
        assert jobs._connection.execute("PRAGMA synchronous").fetchone() == (1,)  # NORMAL


def test_the_log_is_there_when_the_folder_is_synced(path, monkeypatch):
    seen = []
    log = path.with_name(path.name + "-wal")
    monkeypatch.setattr("storage.sqlite_file.os.fsync", lambda _fd: seen.append(log.exists()))
    with SqliteDatastore(path):
        # The first is of the new file, before it is linked to its place.
        assert seen == [False, True]


@pytest.mark.parametrize(
    ("change", "read"),
    [
        ("submissions SET submission = X'00'", lambda store: store.unfinished()),
        ("submissions SET submission = 'text'", lambda store: store.jobs(limit=1)),
        ("submissions SET submission = substr(submission, 2)", lambda store: store.job(job_name(1))),
        ("submissions SET origins = '{'", lambda store: store.job(job_name(1))),
        ("submissions SET origins = '[1]'", lambda store: store.job(job_name(1))),
        ("submissions SET origins = 5", lambda store: store.job(job_name(1))),
        ("submissions SET state = 'x'", lambda store: store.unfinished()),
        ("submissions SET cancelled = 'x'", lambda store: store.unfinished()),
        ("submissions SET outcome = 7", lambda store: store.unfinished()),
        ("submissions SET id = '0000" + "f" * 28 + "'", lambda store: store.jobs(limit=1)),
        ("entries SET value = 'x'", lambda store: store.entries(COMPUTE)),
        ("entries SET key = X'00'", lambda store: store.entries(COMPUTE)),
        ("events SET detail = '{'", lambda store: store.events("j")),
        ("events SET detail = '[]'", lambda store: store.events("j")),
        (f"events SET detail = '{'[' * 100_000}'", lambda store: store.events("j")),
        ("events SET at = 'x'", lambda store: store.events("j")),
        ("events SET kind = X'00'", lambda store: store.events("j")),
        ("peers SET peer = 'x'", lambda store: store.peers()),
        ("peers SET address = X'00'", lambda store: store.peers()),
        (f"entries SET value = zeroblob({MAX_ROW_BYTES + 1})", lambda store: store.entries(COMPUTE)),
        (f"submissions SET outcome = zeroblob({MAX_ROW_BYTES + 1})", lambda store: store.unfinished()),
    ],
)
def test_a_damaged_row_is_unavailable_and_says_which_file(path, change, read):
    with SqliteDatastore(path) as store:
        store.commit(
            [
                Put(machine=COMPUTE, key="a", value=b"1"),
                Submit(submission=submission(1)),
                AddEvent(job="j", at=0.0, kind="x"),
                NotePeer(peer=peer(1), address=address(1), at=0.0),
            ]
        )
        read(store)
        damage(path, f"UPDATE {change}")
        with pytest.raises(UnavailableError) as caught:
            read(store)
    assert caught.value.where == str(path)
    assert "move the file away" in caught.value.fix


def test_what_is_no_database_is_unavailable(path):
    path.write_text("no database, but long enough to be taken for one" * 10)
    with pytest.raises(UnavailableError, match="cannot be read or kept"):
        SqliteDatastore(path)


def test_a_submission_of_the_version_before_is_one_task_that_runs(path):
    """As `submission-entry/1` had it: no shards, and nothing was known from before."""
    with SqliteDatastore(path) as store:
        store.commit([Submit(submission=submission(1))])
    connection = sqlite3.connect(path)
    node = dag_cbor.decode(connection.execute("SELECT submission FROM submissions").fetchone()[0])
    for name in ("shards", "shard_count", "max_failures", "no_cache"):
        del node[name]
    old = dag_cbor.encode(node | {"v": "submission-entry/1"})
    with connection:
        connection.execute("UPDATE submissions SET submission = ?", (old,))
    connection.close()
    with SqliteDatastore(path) as store:
        assert store.job(job_name(1)).submission == submission(1, no_cache=True)


def test_entries_below_a_prefix_go_together(store):
    keys = ("a", "a/1", "a/2/x", "a0", "b/1")
    store.commit([Put(machine=machine, key=key, value=b"x") for machine in (REQUESTER, COMPUTE) for key in keys])
    assert list(store.entries_below(REQUESTER, "a/")) == ["a/1", "a/2/x"]
    store.commit([RemoveBelow(machine=REQUESTER, prefix="a/")])
    assert list(store.entries(REQUESTER)) == ["a", "a0", "b/1"]
    assert list(store.entries(COMPUTE)) == sorted(keys)
    with pytest.raises(ValueError, match="ends in /"):
        store.commit([RemoveBelow(machine=REQUESTER, prefix="a")])

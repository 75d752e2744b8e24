import multiprocessing
import sqlite3
import threading
import uuid
from dataclasses import replace

import pytest

from network.job_shards import JobShard
from network.job_store import Job, JobStore
from storage.cid import DAG_CBOR, DAG_PB, make_cid
from storage.errors import UnavailableError, UserError

TASK = make_cid(DAG_CBOR, b"task")
OUTPUT = make_cid(DAG_PB, b"output")
RECORD = make_cid(DAG_CBOR, b"record")

AGREED = Job(
    id="abcd" + "0" * 28,
    created_at=1000.5,
    labels=("blue", 'with "quotes"'),
    task=TASK,
    function=make_cid(DAG_CBOR, b"function"),
    input=make_cid(DAG_CBOR, b"input"),
    output=OUTPUT,
    record=RECORD,
    verdict="agreed",
    tier="verified",
    exit_code=0,
    report={"job": "abcd", "result": "42", "receipts": []},
)
SPLIT = replace(
    AGREED, id="abce" + "0" * 28, created_at=2000.0, output=None, record=None, verdict="split", exit_code=None
)


@pytest.fixture
def jobs(tmp_path):
    with JobStore(tmp_path / "datastore.sqlite") as store:
        yield store


def test_a_job_comes_back_as_it_was(jobs):
    jobs.add(AGREED)
    jobs.add(SPLIT)
    assert jobs.find(AGREED.id) == AGREED
    assert jobs.find(SPLIT.id) == SPLIT
    assert jobs.count() == 2


def test_jobs_outlive_the_process(tmp_path):
    with JobStore(tmp_path / "new" / "jobs.sqlite") as store:
        store.add(AGREED)
    with JobStore(tmp_path / "new" / "jobs.sqlite") as store:
        assert store.newest(10) == [AGREED]


def test_a_unique_prefix_names_a_job(jobs):
    jobs.add(AGREED)
    jobs.add(SPLIT)
    assert jobs.find("abcd") == AGREED
    assert jobs.find("ABCE0") == SPLIT


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("abc", "too short"),
        ("ffff", "no job here"),
        ("abc%", "neither a job id nor a CID"),
        ("", "neither a job id nor a CID"),
        ("a" * 33, "neither a job id nor a CID"),
    ],
)
def test_what_names_no_job_is_the_users_error(jobs, text, problem):
    jobs.add(AGREED)
    with pytest.raises(UserError, match=problem):
        jobs.find(text)


def test_a_prefix_of_two_jobs_is_refused(jobs):
    jobs.add(AGREED)
    jobs.add(replace(AGREED, id="abcd" + "1" * 28))
    with pytest.raises(UserError, match="several jobs"):
        jobs.find("abcd")
    assert jobs.find("abcd1").id.endswith("1")


def test_lookups_give_the_newest_first(jobs):
    older = replace(AGREED, id=uuid.uuid4().hex, created_at=1.0, record=make_cid(DAG_CBOR, b"older"))
    newer = replace(AGREED, id=uuid.uuid4().hex, created_at=3.0, record=make_cid(DAG_CBOR, b"newer"))
    for job in (older, newer, SPLIT):
        jobs.add(job)
    assert jobs.by_output(OUTPUT) == [newer, older]
    assert jobs.by_task(TASK) == [SPLIT, newer, older]
    assert jobs.by_record(older.record) == older
    assert jobs.by_record(RECORD) is None
    assert jobs.newest(2) == [SPLIT, newer]


def test_an_id_is_used_once(jobs):
    jobs.add(AGREED)
    with pytest.raises(ValueError, match="there already"):
        jobs.add(replace(SPLIT, id=AGREED.id))
    assert jobs.newest(10) == [AGREED]


def test_an_id_is_32_hex_digits():
    with pytest.raises(ValueError, match="32 hex"):
        replace(AGREED, id="abcd")


def test_threads_share_a_store(jobs):
    def add():
        for _ in range(10):
            jobs.add(replace(AGREED, id=uuid.uuid4().hex))

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert jobs.count() == 40


def _add_and_die(path):
    store = JobStore(path)
    store.add(AGREED)
    store._connection.execute("BEGIN IMMEDIATE")
    store._connection.execute("UPDATE jobs SET verdict = 'half'")
    multiprocessing.current_process().kill()


def test_a_killed_process_leaves_whole_jobs_and_no_lock(tmp_path):
    path = tmp_path / "jobs.sqlite"
    process = multiprocessing.get_context("spawn").Process(target=_add_and_die, args=(path,))
    process.start()
    process.join()
    with JobStore(path) as store:
        assert store.newest(10) == [AGREED]
        store.add(SPLIT)


def test_another_programs_database_is_left_alone(tmp_path):
    path = tmp_path / "other.sqlite"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE theirs(x)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(UnavailableError, match="another program"):
        JobStore(path)
    assert path.read_bytes() == before


def test_what_is_no_database_is_unavailable(tmp_path):
    path = tmp_path / "jobs.sqlite"
    path.write_text("no database, but long enough to be taken for one" * 10)
    with pytest.raises(UnavailableError, match="cannot be read or kept"):
        JobStore(path)


@pytest.mark.parametrize("change", ["report = '{'", "labels = 'x'", "task = X'00'", "id = 'x'"])
def test_a_damaged_row_is_unavailable(tmp_path, change):
    path = tmp_path / "jobs.sqlite"
    with JobStore(path) as store:
        store.add(AGREED)
        store._connection.execute(f"UPDATE jobs SET {change}")  # noqa: S608  constants only
        with pytest.raises(UnavailableError, match="damaged"):
            store.newest(1)


# ---- shards

SHARDS = tuple(
    JobShard(
        number=number,
        task=make_cid(DAG_CBOR, b"task %d" % number),
        output=make_cid(DAG_PB, b"output %d" % number) if number else None,
        record=make_cid(DAG_CBOR, b"record %d" % number) if number else None,
        verdict="agreed" if number else "split",
        exit_code=number - 1 if number else None,
        first=f"folder/{number}.txt",
        picks=10 + number,
        input=make_cid(DAG_CBOR, b"input %d" % number),
        fuel=1 << 40 if number else None,
        receipts=3,
        reason="" if number else "3 nodes gave 3 different outputs",
    )
    for number in range(3)
)
SHARDED = replace(AGREED, id="abcf" + "0" * 28, task=None, record=None, shards=SHARDS)


def test_a_job_over_shards_has_no_task_of_its_own(jobs):
    jobs.add(AGREED)
    jobs.add(SHARDED)
    assert jobs.find(SHARDED.id) == replace(SHARDED, shards=())
    assert jobs.shards(SHARDED.id) == SHARDS
    assert jobs.shards(AGREED.id) == ()
    assert jobs.by_task(TASK) == [AGREED]


def test_shards_are_read_in_parts(jobs):
    many = tuple(replace(SHARDS[1], number=number) for number in range(2100))
    jobs.add(replace(SHARDED, shards=many))
    assert tuple(jobs.each_shard(SHARDED.id)) == many
    assert [one.number for one in jobs.shards(SHARDED.id, after=7, limit=2)] == [8, 9]
    assert list(jobs.each_shard(AGREED.id)) == []


@pytest.mark.parametrize("text", [{"first": "a" * 257}, {"reason": "a" * 401}])
def test_a_shards_texts_are_bounded(text):
    with pytest.raises(ValueError, match="bounded"):
        replace(SHARDS[0], **text)


@pytest.mark.parametrize("name", ["task", "output", "record"])
def test_shards_are_found_by_what_they_are_and_gave(jobs, name):
    jobs.add(SHARDED)
    assert jobs.shards_with(getattr(SHARDS[1], name)) == [(SHARDED.id, SHARDS[1])]
    assert jobs.shards_with(RECORD) == []


def test_all_that_shards_keep_is_listed(jobs):
    jobs.add(SHARDED)
    kept = {cid for one in SHARDS for cid in (one.task, one.output, one.record) if cid is not None}
    assert set(jobs.roots_of_shards()) == kept
    assert len(kept) == 7


def test_a_job_that_is_there_leaves_the_shards_that_are_there(jobs):
    jobs.add(SHARDED)
    with pytest.raises(ValueError, match="is there already"):
        jobs.add(replace(SHARDED, shards=(replace(SHARDS[0], number=7),)))
    assert jobs.shards(SHARDED.id) == SHARDS

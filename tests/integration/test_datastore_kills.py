"""kill -9 of a node's memory at points that a seed chooses: all that was acknowledged is there, and nothing by half.

Which byte it has reached when it is killed differs from run to run; how many lines it may still say does not.
"""

import random
import sqlite3
from pathlib import Path

import pytest

from network.job_store import JobStore
from network.node.datastore import Machine
from network.node.sqlite_datastore import SqliteDatastore
from tests.integration.datastore_abuser import COUNT, changes_of
from tests.integration.killed_process import kill_after, start
from tests.unit.network.node.datastore_model import ModelDatastore
from tests.unit.network.node.datastore_world import job_name

KILLS = 60
ABUSER = Path(__file__).with_name("datastore_abuser.py")


@pytest.mark.integration
def test_60_kills_in_a_stream_of_commits_lose_none_and_halve_none(tmp_path):
    choice, path, model, done = random.Random(0), tmp_path / "datastore.sqlite", ModelDatastore(), 0
    for _ in range(KILLS):
        said = kill_after(start(ABUSER, path), choice.randrange(12), choice.randrange(30_000))
        with SqliteDatastore(path) as store, JobStore(path) as jobs:
            found = int(store.entries(Machine.REQUESTER).get(COUNT, b"0"))
            acknowledged = max([done, *(words["done"] for words in said)])
            # One more may have been made whole before it could be said.
            assert acknowledged <= found <= acknowledged + 1
            for number in range(done + 1, found + 1):
                model.commit(changes_of(number))
            done = found
            check(store, jobs, model, done)
    assert done > 3 * KILLS
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


def check(store, jobs, model, done):
    for machine in Machine:
        assert store.entries(machine) == model.entries(machine)
    assert store.jobs(limit=done + 1) == model.jobs(limit=done + 1)
    assert store.unfinished() == model.unfinished()
    for job in map(job_name, range(1, done + 1)):
        assert store.events(job) == model.events(job)
    assert list(store.peers().items()) == list(model.peers().items())
    assert {job.id: job for job in jobs.newest(-1)} == model.finished

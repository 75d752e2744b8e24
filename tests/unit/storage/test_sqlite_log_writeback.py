"""The log is written back beside the work, a bounded amount of it waits, and a write-back that fails is no error."""

import sqlite3
import threading
from contextlib import closing

import pytest

from storage import sqlite_log_writeback
from storage.cid import RAW, make_cid
from storage.sqlite_block_store import SqliteBlockStore
from storage.sqlite_file import LOG_PAGES
from storage.sqlite_log_writeback import BESIDE_BYTES, MOST_BYTES, LogWriteback


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "log-writeback"]


class Slow:
    """In place of a thread: lasts until it is waited for."""

    made = 0

    def __init__(self, **_arguments):
        self.is_going_on = False

    def start(self):
        Slow.made += 1
        self.is_going_on = True

    def is_alive(self):
        return self.is_going_on

    def join(self):
        self.is_going_on = False


@pytest.fixture
def slow(monkeypatch):
    monkeypatch.setattr(sqlite_log_writeback, "Thread", Slow)
    Slow.made = 0


def test_what_a_large_put_writes_reaches_the_database_before_it_is_closed(tmp_path):
    path = tmp_path / "blocks.sqlite"
    blocks = [bytes([number]) * (1 << 20) for number in range(BESIDE_BYTES >> 20)]
    with SqliteBlockStore(path) as store:
        store.put_many((make_cid(RAW, data), data) for data in blocks)
        for thread in threads():
            thread.join()
        assert path.stat().st_size > BESIDE_BYTES
        assert [store.get(make_cid(RAW, data)) == data for data in blocks] == [True] * len(blocks)
    assert threads() == []
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["blocks.sqlite"]


def commit(log, size):
    log.make_room()
    log.about_to_commit(size)
    log.committed(size)
    return Slow.made


@pytest.fixture
def log(slow, tmp_path):
    with closing(sqlite3.connect(":memory:")) as writer, closing(LogWriteback(tmp_path / "x", writer)) as made:
        yield made


def test_one_thread_at_a_time_and_none_for_little(log):
    assert [commit(log, BESIDE_BYTES // 2) for _ in range(6)] == [0, 1, 1, 1, 1, 1]


def test_who_writes_waits_when_too_much_of_the_log_waits(log):
    made = [commit(log, BESIDE_BYTES) for _ in range(2 * MOST_BYTES // BESIDE_BYTES)]
    assert made == [1, 1, 1, 1, 2, 2, 2, 2]  # another can begin only after the first was waited for


def test_only_large_puts_make_the_log_longer(log, tmp_path):
    with SqliteBlockStore(tmp_path / "blocks.sqlite") as store:

        def log_pages():
            return store._writer.execute("PRAGMA wal_autocheckpoint").fetchone()[0]

        assert log_pages() == LOG_PAGES
        store.put_many((make_cid(RAW, data), data) for data in (bytes(1 << 20), b"x"))
        assert log_pages() == 4 * LOG_PAGES
        store.put(make_cid(RAW, b"y"), b"y")
        assert log_pages() == LOG_PAGES
    assert [commit(log, 1000) for _ in range(BESIDE_BYTES // 1000 + 1)][-1] == 0


def test_a_write_back_that_fails_is_no_error(tmp_path):
    with closing(sqlite3.connect(":memory:")) as writer:
        log = LogWriteback(tmp_path / "no folder" / "blocks.sqlite", writer)
        log.about_to_commit(BESIDE_BYTES)
        log.committed(BESIDE_BYTES)
        log.close()
    assert threads() == []


def test_where_no_thread_can_be_had_commits_write_the_log_back(tmp_path, monkeypatch):
    def refuse(_thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    path = tmp_path / "blocks.sqlite"
    with SqliteBlockStore(path) as store:
        for start in range(0, 2 * MOST_BYTES >> 20, 16):
            store.put_many((make_cid(RAW, data), data) for data in (bytes([start, n]) * (1 << 19) for n in range(16)))
        assert path.stat().st_size > MOST_BYTES

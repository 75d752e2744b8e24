import errno
import os
import sqlite3
from contextlib import closing

import pytest

from storage.errors import UnavailableError
from storage.sqlite_file import Layout, explained, open_database

LAYOUT = Layout(application_id=0x1234, version=3, tables=("CREATE TABLE t(x)", "CREATE INDEX t_x ON t(x)"))


def test_a_new_database_is_ours_in_wal_mode_and_alone_in_its_folder(tmp_path):
    path = tmp_path / "new" / "ours.sqlite"
    open_database(path, LAYOUT).close()
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA application_id").fetchone() == (0x1234,)
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert [found.name for found in path.parent.iterdir()] == ["ours.sqlite"]


def test_of_two_that_make_it_at_once_the_first_wins(tmp_path, monkeypatch):
    path, link = tmp_path / "ours.sqlite", os.link

    def other_was_first(new, place):
        monkeypatch.setattr(os, "link", link)
        with closing(open_database(path, LAYOUT)) as other:
            other.execute("INSERT INTO t VALUES('kept')")
        link(new, place)

    monkeypatch.setattr(os, "link", other_was_first)
    with closing(open_database(path, LAYOUT)) as database:
        assert database.execute("SELECT x FROM t").fetchall() == [("kept",)]
    assert [found.name for found in tmp_path.iterdir()] == ["ours.sqlite"]


def test_it_is_whole_before_anybody_can_see_it(tmp_path, monkeypatch):
    seen = []

    def look(new, _place):
        assert [found.name for found in new.parent.iterdir()] == [new.name]
        with closing(sqlite3.connect(new)) as database:
            seen.append(database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
        raise FileExistsError

    monkeypatch.setattr(os, "link", look)
    with pytest.raises(sqlite3.DatabaseError):
        open_database(tmp_path / "ours.sqlite", LAYOUT)
    assert seen == [2]


def test_opening_again_writes_nothing(tmp_path):
    path = tmp_path / "ours.sqlite"
    open_database(path, LAYOUT).close()
    before = path.read_bytes()
    open_database(path, LAYOUT).close()
    assert path.read_bytes() == before


@pytest.mark.parametrize("change", ["CREATE TABLE mine(x)", "PRAGMA application_id = 7", ""])
def test_another_programs_database_is_left_as_it_is(tmp_path, change):
    path = tmp_path / "theirs.sqlite"
    path.touch()
    with closing(sqlite3.connect(path)) as other:
        other.execute(change)
    before = path.read_bytes()
    with pytest.raises(UnavailableError, match="another program"), explained(path, "no"):
        open_database(path, LAYOUT)
    assert path.read_bytes() == before


def test_another_version_is_refused(tmp_path):
    path = tmp_path / "ours.sqlite"
    with closing(open_database(path, LAYOUT)) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(sqlite3.DatabaseError, match="version 99"):
        open_database(path, LAYOUT)


def test_a_full_disk_is_told_as_one(tmp_path, monkeypatch):
    path = tmp_path / "ours.sqlite"
    with closing(open_database(path, LAYOUT)) as database:
        database.execute("PRAGMA max_page_count = 4")
        with pytest.raises(UnavailableError) as caught, explained(path, "cannot be kept"):
            database.execute("INSERT INTO t VALUES(zeroblob(100000))")
    assert caught.value.fix == "make room on its disk"

    def full(_new, _place):
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(UnavailableError) as caught:
        open_database(tmp_path / "second.sqlite", LAYOUT)
    assert caught.value.fix == "make room on its disk"

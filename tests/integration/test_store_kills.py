"""kill -9 at points that a seed chooses loses no acknowledged block, on a store that two processes use at once.

Which byte a process has reached when it is killed differs from run to run; how many lines it may still say does not.
"""

import random
import sqlite3
from pathlib import Path

import pytest

from storage.cid import parse_cid
from storage.sqlite_block_store import SqliteBlockStore
from storage.sqlite_collection import collect
from storage.sqlite_pins import check_whole, pins, unpin
from storage.sqlite_verify import verify
from tests.integration.killed_process import kill_after, start

KILLS = 200
GROUPS = 4
"""The kills are shared out over so many stores, which can be tried by several test processes."""
ABUSER = Path(__file__).with_name("store_abuser.py")


def apply(promised, words):
    """Follow what a process has said; a pin that it was about to remove may be there or not."""
    if "pinned" in words:
        promised[words["pinned"]] = words["cid"]
    elif "unpinning" in words:
        promised.pop(words["unpinning"], None)


@pytest.mark.integration
@pytest.mark.parametrize("group", range(GROUPS))
def test_200_kills_lose_nothing_that_was_acknowledged(tmp_path, group):
    choice, path, promised = random.Random(group), tmp_path / "blocks.sqlite", {}
    for number in range(0, KILLS // GROUPS, 2):
        seeds = (group * 1000 + number, group * 1000 + number + 1)
        pair = [start(ABUSER, path, seed) for seed in seeds]
        said = [kill_after(process, choice.randrange(4), choice.randrange(30_000)) for process in pair]
        # Either process may have removed what the other has pinned, so what was taken back counts last.
        for words in sorted((word for part in said for word in part), key=lambda word: "unpinning" in word):
            apply(promised, words)
        check(path, promised)
    assert len(promised) > KILLS // GROUPS // 2


def check(path, promised):
    with SqliteBlockStore(path) as store:
        there = {pin.name: pin for pin in pins(store)}
        assert set(promised) <= set(there)
        assert all(there[name].cid == parse_cid(cid) for name, cid in promised.items())
        found = verify(store, [pin.cid for pin in there.values()], lambda _phrase: None)
        assert (found.corrupt, found.missing) == ((), ())
        usage = store.usage()
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert connection.execute("SELECT count(*), coalesce(sum(length(data)), 0) FROM blocks").fetchone() == (
        usage.blocks,
        usage.bytes,
    )
    connection.close()


@pytest.mark.integration
def test_what_killed_processes_have_left_is_collected(tmp_path):
    path = tmp_path / "blocks.sqlite"
    for seed in range(6):
        kill_after(start(ABUSER, path, seed), 3, seed * 5_000)
    with SqliteBlockStore(path) as store:
        for pin in pins(store):
            unpin(store, pin.name)
        collect(store, list, lambda _phrase: None)
        assert store.size() == (0, 0)
        check_whole(store, [])
    assert list(path.with_name("blocks.sqlite-leases").iterdir()) == []

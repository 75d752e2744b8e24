"""A disk that fills up loses nothing acknowledged, is told in one line, and is no obstacle once there is room."""

import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from bacalhau import checkup
from bacalhau.home import Home
from network.node.datastore import AddEvent, Machine, Put
from network.node.sqlite_datastore import SqliteDatastore
from runtime.capacity import Room
from runtime.machine_room import MachineRoom
from storage.cid import RAW, make_cid
from storage.errors import UnavailableError
from storage.sqlite_block_store import SqliteBlockStore
from storage.sqlite_verify import verify
from tests.requirements_gate import need

ROOM = 24 << 20
COMMAND = [sys.executable, "-m", "bacalhau"]


@pytest.fixture
def small_disk(tmp_path):
    """A tmpfs of 24 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    need("tmpfs", done.returncode == 0, f"a small tmpfs must be mounted, which needs root: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def environment(home):
    return {**os.environ, "BACALHAU_DIR": str(home), "PYTHONPATH": str(Path(__file__).parents[2])}


def call(home, *arguments):
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, env=environment(home), check=False)


def fill(place, leave):
    """Take all the room but `leave` bytes."""
    ballast = place / "ballast"
    free = os.statvfs(place)
    ballast.write_bytes(bytes(max(0, free.f_bavail * free.f_frsize - leave)))
    return ballast


@pytest.mark.integration
@pytest.mark.parametrize("leave", [0, 4096, 300_000, 3 << 20])
def test_a_full_disk_loses_nothing_and_works_again(small_disk, tmp_path, leave):
    home, first, second = small_disk / "home", tmp_path / "first", tmp_path / "second"
    first.write_bytes(os.urandom(3 << 20))
    second.write_bytes(os.urandom(8 << 20))
    kept = call(home, "add", str(first)).stdout.strip()
    ballast = fill(small_disk, leave)

    refused = call(home, "add", str(second))
    assert refused.returncode == 4
    assert refused.stdout == ""
    assert refused.stderr.count("\n") == 1
    assert "make room on its disk" in refused.stderr

    # Reading needs a little room too, for SQLite's index of its log: it gives the bytes or says so.
    read = subprocess.run([*COMMAND, "cat", kept], capture_output=True, env=environment(home), check=False)
    if read.returncode:
        assert (leave, read.returncode, read.stdout) in ((0, 4, b""), (4096, 4, b""))
        assert b"make room on its disk" in read.stderr
    else:
        assert read.stdout == first.read_bytes()

    # Afterwards everything is there and works, without any repair.
    ballast.unlink()
    read = subprocess.run([*COMMAND, "cat", kept], capture_output=True, env=environment(home), check=False)
    assert read.stdout == first.read_bytes()
    assert call(home, "add", str(second)).returncode == 0
    assert call(home, "store", "verify").returncode == 0
    assert call(home, "store", "gc").returncode == 0
    assert call(home, "store", "verify").stdout.endswith("0 corrupt, 0 missing\n")


@pytest.mark.integration
def test_every_put_that_a_filling_disk_has_acknowledged_is_there(small_disk):
    path = small_disk / "store" / "blocks.sqlite"
    acknowledged = []
    with SqliteBlockStore(path) as store:
        for _ in range(10_000):
            data = os.urandom(50_000)
            try:
                store.put(make_cid(RAW, data), data)
            except UnavailableError as error:
                refused = error
                break
            acknowledged.append(data)
        assert refused.fix == "make room on its disk"
        assert ROOM // 50_000 // 4 < len(acknowledged) < ROOM // 50_000
        assert all(store.get(make_cid(RAW, data)) == data for data in acknowledged)
    with SqliteBlockStore(path) as store:
        assert store.size() == (len(acknowledged), 50_000 * len(acknowledged))
        assert verify(store, [make_cid(RAW, data) for data in acknowledged], lambda _phrase: None).missing == ()


def commit_until_refused(store, number):
    """Commit numbers from `number` on; return the one that was refused, and how."""
    for following in range(number, number + 1000):  # more than any disk here has room for
        puts = [Put(machine=Machine.COMPUTE, key=f"{following}/{n}", value=os.urandom(15_000)) for n in (1, 2)]
        try:
            store.commit([*puts, AddEvent(job="j", at=0.0, kind=str(following))])
        except UnavailableError as error:
            return following, error
    raise AssertionError("a full disk has refused nothing")


def check_node(store, commits):
    assert len(store.entries(Machine.COMPUTE)) == 2 * commits
    assert [int(event.kind) for event in store.events("j")] == list(range(commits))


@pytest.mark.integration
@pytest.mark.parametrize("leave", [0, 4096, 300_000])
def test_a_node_on_a_full_disk_forgets_no_commit_and_makes_none_by_half(small_disk, leave):
    path = small_disk / "datastore.sqlite"
    with SqliteDatastore(path) as store:
        ballast, number = fill(small_disk, leave), 0
        for _ in range(2):
            number, refused = commit_until_refused(store, number)
            assert refused.fix == "make room on its disk"
            check_node(store, number)
        ballast.unlink()
        # The same connection goes on, without any repair.
        more, _ = commit_until_refused(store, number)
        assert more > number + 100
        check_node(store, more)
    with SqliteDatastore(path) as store:
        check_node(store, more)


@pytest.mark.integration
def test_doctor_does_not_ask_to_remove_what_a_full_disk_hides(small_disk, monkeypatch):
    for name in ("node", "pyodide", "uv", "sandbox", "containers", "parts"):  # slow, and of no disk
        monkeypatch.setattr(checkup, f"_{name}", lambda *_: iter(()))
    home = Home(small_disk / "home")
    SqliteBlockStore(home.store_path).close()
    fill(small_disk, 0)
    room = partial(MachineRoom, total=Room(), job_most=Room())
    findings = {finding.name: finding for finding in checkup.check_up(home, online=False, look_at_room=room)}
    assert (findings["store"].ok, findings["store"].fix) == (False, "make room on its disk")


@pytest.mark.integration
def test_a_store_made_while_the_disk_is_full_is_whole_or_is_not_there(small_disk):
    """A new file is moved in place without its log, so all of it has to be in the file by then."""
    path, fixes = small_disk / "home" / "store" / "blocks.sqlite", []
    for leave in range(0, 1_200_000, 1 << 17):
        ballast = fill(small_disk, leave)
        try:
            SqliteBlockStore(path).close()
        except UnavailableError as error:
            fixes.append(error.fix)
        ballast.unlink()
        with SqliteBlockStore(path) as store:
            store.put(make_cid(RAW, b"x"), b"x")
        shutil.rmtree(path.parent)
    assert set(fixes) == {"make room on its disk"}

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from network.node import node_lock
from network.node.node_lock import hold_directory
from storage.errors import UnavailableError, UserError

# Holds the lock until it is killed; its own child, which outlives it, must not.
HOLDER = """
import subprocess, sys
from pathlib import Path
from network.node.node_lock import hold_directory
with hold_directory(Path(sys.argv[1])):
    child = subprocess.Popen(["cat"], stdin=int(sys.argv[2]), stdout=subprocess.DEVNULL, close_fds=False)
    print(child.pid, flush=True)
    sys.stdin.read()
"""


def test_a_second_node_is_refused_and_told_of_the_first(tmp_path):
    with (
        hold_directory(tmp_path),
        pytest.raises(UserError, match=rf"a node runs here already, process {os.getpid()};") as caught,
        hold_directory(tmp_path),
    ):
        pass
    assert caught.value.where == str(tmp_path)
    with hold_directory(tmp_path):
        pass


def test_directories_are_apart(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with hold_directory(tmp_path / "one"), hold_directory(tmp_path / "two"):
        pass


def test_an_error_inside_is_not_taken_for_one_of_the_lock(tmp_path):
    with pytest.raises(OSError, match=r"^inside$"), hold_directory(tmp_path):
        raise OSError("inside")
    with hold_directory(tmp_path):
        pass


def test_a_killed_node_leaves_nothing_that_stops_the_next(tmp_path):
    reads, writes = os.pipe()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path), str(reads)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        pass_fds=[reads],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])},
    )
    with holder, os.fdopen(writes, "wb"):
        os.close(reads)
        child = int(holder.stdout.readline())
        with pytest.raises(UserError, match=f"process {holder.pid};"), hold_directory(tmp_path):
            pass
        holder.kill()
        holder.wait()
        os.kill(child, 0)  # still there
        with (
            hold_directory(tmp_path),
            pytest.raises(UserError, match=f"process {os.getpid()};"),
            hold_directory(tmp_path),
        ):
            pass


@pytest.mark.parametrize("text", [b"", b"12", b"x" * 100, b"99999999999999999999\n"])
def test_a_lock_that_says_no_process_still_refuses(tmp_path, text):
    with hold_directory(tmp_path):
        (tmp_path / node_lock.NAME).write_bytes(text)
        with pytest.raises(UserError, match="a node runs here already;"), hold_directory(tmp_path):
            pass


def test_a_directory_that_is_not_there_is_the_users_error(tmp_path):
    with pytest.raises(UserError, match="no such file"), hold_directory(tmp_path / "nowhere"):
        pass


@pytest.mark.parametrize(
    ("number", "fix"), [(errno.ENOSPC, "make room on its disk"), (errno.ENOLCK, "a folder on a local disk")]
)
def test_a_lock_that_cannot_be_taken_is_unavailable(tmp_path, monkeypatch, number, fix):
    def refuse(_descriptor, _size):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(node_lock.os, "ftruncate", refuse)
    with pytest.raises(UnavailableError, match=fix), hold_directory(tmp_path):
        pass

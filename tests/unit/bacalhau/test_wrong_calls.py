"""Slips at the command line, and disks that are full: told as what they are."""

import errno
import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "python", ""],
        ["run", "python", "-c", "1", "-i", ""],
        ["run", "python", "-c", "1", "-r", ""],
        ["run", "python", "-c", "1", "--output-dir", ""],
        ["run", "python", "-c", "1", "-i", "a", "-i", "b"],
        ["run", "wasm", "a.wasm", "-i", "a", "-ib"],
        ["add", ""],
        ["audit", "--car", ""],
        ["audit", "--rerun", "--timeout", "nan", "abcd"],
        ["audit", "--rerun", "--timeout", "inf", "abcd"],
        ["list", "-n", "99999999999999999999"],
    ],
)
def test_unset_variables_and_impossible_numbers_are_wrong_calls(desk, arguments):
    said = desk(*arguments)
    assert (said.code, said.out, said.err.count("\n")) == (2, b"", 1), said
    assert "bug" not in said.err
    assert not desk.home.store_path.exists()


def test_a_full_disk_is_unavailable_not_a_wrong_call(desk, monkeypatch):
    def full(*_args, **_options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pathlib.Path.mkdir", full)
    said = desk("list")
    assert (said.code, said.out) == (4, b"")
    assert "make room" in said.err


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_closed_stream_is_no_bug(tmp_path, closed):
    call = f"exec {sys.executable} -c 'from bacalhau.cli.main import run; run()' list {closed}"
    done = subprocess.run(
        ["/bin/sh", "-c", call], env={**os.environ, "BACALHAU_DIR": str(tmp_path)}, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")

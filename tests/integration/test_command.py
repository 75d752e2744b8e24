"""The command, end to end and for real: run, audit, rerun, get, audit offline. One BACALHAU_DIR for the module."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FUNCTION = ROOT / "functions" / "word_count"

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("command")]


def bacalhau(home: Path, *arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "BACALHAU_DIR": str(home)}
    command = [sys.executable, "-m", "bacalhau", *map(str, arguments)]
    return subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def report(home: Path) -> dict[str, Any]:
    done = bacalhau(home, "run", "python", "--deterministic", FUNCTION, "-i", FUNCTION / "input.txt", "--json")
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_run_is_verified_by_three_nodes_with_one_state(report: dict[str, Any]) -> None:
    assert (report["verdict"], report["tier"], report["exit_code"]) == ("agreed", "verified", 0)
    assert len({receipt["node"] for receipt in report["receipts"]}) == 3
    assert {receipt["output"] for receipt in report["receipts"]} == {report["output"]}
    assert {receipt["state_digest"] for receipt in report["receipts"]} == {report["state_digest"]}
    assert json.loads(report["result"])["words"] > 200


def test_what_a_dry_run_prints_is_what_the_run_is_of(report: dict[str, Any], home: Path) -> None:
    """Also the limits that README.md and docs/cli.md tell of: which there are, and the fuel of who says nothing."""
    call = ("run", "python", "--deterministic", FUNCTION, "-i", FUNCTION / "input.txt", "--dry-run")
    printed = bacalhau(home, *call).stdout
    planned = json.loads(bacalhau(home, *call, "--json").stdout)
    for name in ("function", "input", "task"):
        assert planned[name] == report[name]
        assert report[name] in printed
    assert set(planned["limits"]) == {"fuel", "memory", "output"}
    assert "may spend 5·10^11 units of fuel" in " ".join((ROOT / "README.md").read_text("utf-8").split())
    assert planned["limits"]["fuel"] == 5 * 10**11
    for more in (("--fuel", "9"), ("--memory", "64Mb")):
        assert json.loads(bacalhau(home, *call, "--json", *more).stdout)["task"] != report["task"]


def test_another_home_gives_the_same_task_and_output(report: dict[str, Any], tmp_path: Path) -> None:
    arguments = ("run", "python", "--deterministic", FUNCTION, "-i", FUNCTION / "input.txt", "--json")
    again = bacalhau(tmp_path / "home", *arguments, "--concurrency", "1", "--confidence", "1", cwd=tmp_path)
    found = json.loads(again.stdout)
    assert (found["task"], found["output"]) == (report["task"], report["output"])


def test_one_changed_byte_of_the_input_changes_task_and_output(
    report: dict[str, Any], home: Path, tmp_path: Path
) -> None:
    text = (FUNCTION / "input.txt").read_bytes()
    changed = tmp_path / "input.txt"
    changed.write_bytes(b"x" + text[1:])
    done = bacalhau(
        home, "run", "python", "--deterministic", FUNCTION, "-i", changed, "--json", "--concurrency", "1",
        "--confidence", "1",
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert found["task"] != report["task"]
    assert found["output"] != report["output"]


def test_audit_is_valid_for_record_and_output(report: dict[str, Any], home: Path) -> None:
    for cid in (report["record"], report["output"]):
        done = bacalhau(home, "audit", cid, "--json")
        assert done.returncode == 0, done.stdout
        assert json.loads(done.stdout)["verdict"] == "valid"


def test_rerun_gives_the_same_machine(report: dict[str, Any], home: Path) -> None:
    done = bacalhau(home, "audit", report["record"], "--rerun", "--json")
    (rerun,) = json.loads(done.stdout)["reruns"]
    assert (rerun["output"], rerun["state_digest"]) == (report["output"], report["state_digest"])
    assert rerun["ok"] is True


def test_get_lays_out_a_proof_that_audits_anywhere(report: dict[str, Any], home: Path, tmp_path: Path) -> None:
    target = tmp_path / "got"
    assert bacalhau(home, "get", report["job"], "--output-dir", target).returncode == 0
    assert {path.name for path in target.iterdir()} >= {"result", "stdout", "stderr", "exit_code", "record.car"}
    elsewhere = bacalhau(tmp_path / "empty", "audit", report["record"], "--car", target / "record.car", "--json")
    assert json.loads(elsewhere.stdout)["verdict"] == "valid"
    assert elsewhere.returncode == 0


def test_a_flipped_byte_makes_the_audit_invalid_and_names_the_check(
    report: dict[str, Any], home: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "home"
    (copy / "store").mkdir(parents=True)
    with sqlite3.connect(home / "store" / "blocks.sqlite") as source:
        source.execute("VACUUM INTO ?", (str(copy / "store" / "blocks.sqlite"),))
    source.close()
    largest = "SELECT digest, data FROM blocks ORDER BY length(data) DESC LIMIT 1"
    with sqlite3.connect(copy / "store" / "blocks.sqlite") as database:
        (digest, data) = database.execute(largest).fetchone()
        flipped = bytes([data[0] ^ 1]) + data[1:]
        database.execute("UPDATE blocks SET data = ? WHERE digest = ?", (flipped, digest))
    database.close()
    done = bacalhau(copy, "audit", report["record"], "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["verdict"]) == (1, "invalid")
    assert [check["name"] for check in found["checks"] if check["ok"] is False]


def test_a_function_that_fails_is_verified_and_exits_3(home: Path, tmp_path: Path) -> None:
    function = tmp_path / "function.py"
    function.write_text("def main(data):\n    raise ValueError('no such thing')\n")
    done = bacalhau(home, "run", "python", "--deterministic", function, "--json", "--concurrency", "2")
    found = json.loads(done.stdout)
    assert (done.returncode, found["exit_code"], found["verdict"]) == (3, 1, "agreed")
    assert 'File "function.py", line 2, in main' in found["stderr"]
    assert str(tmp_path) not in found["stderr"]


@pytest.mark.parametrize(
    ("phase", "images"), [("making an image: importing the standard library", 1), ("running the function", 2)]
)
def test_an_interrupt_ends_the_workers_and_exits_130(tmp_path: Path, phase: str, images: int) -> None:
    function = tmp_path / "function.py"
    function.write_text("def main(data):\n    while True: pass\n")
    home = tmp_path / "home"
    # A shell starts what it runs in the background with interrupts ignored, and that is inherited.
    process = subprocess.Popen(
        ["env", "--default-signal=INT", sys.executable, "-m", "bacalhau", "run", "python", str(function)],
        env={**os.environ, "BACALHAU_DIR": str(home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    next(line for line in process.stderr if phase in line)
    process.send_signal(signal.SIGINT)
    process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 130
    assert workers_of(home) == []
    # The one that was being made is not finished first, and no part of it is kept.
    assert len(list(home.glob("images/*/*/state.json"))) == images
    assert list(home.glob("images/*/.*")) == []


def workers_of(home: Path) -> list[str]:
    """Return the command lines of processes that run a runtime of this home."""
    lines = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(file.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:  # it ended meanwhile
            continue
    return [line for line in lines if str(home / "runtimes") in line]

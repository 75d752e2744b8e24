"""What README.md says, each sentence as a test. Two runs of one small function serve most of them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from verifier.audit import CHECKS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
FUNCTION = """
def main(data, factor=1):
    numbers = [int(line) for line in data]
    with open("/outputs/doubled", "w") as file:
        file.write(str([2 * n for n in numbers]))
    print(len(numbers), "numbers")
    return {"sum": sum(numbers) * factor}
"""
CALL = ("run", "python", "--deterministic", "function.py", "-i", "numbers.txt", "--arg", "factor=2", "--json")

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("readme")]


class Shell:
    """The command, in a folder and with a home of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def bacalhau(self, *arguments: str, home: str = "home") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "bacalhau", *arguments],
            cwd=self.folder,
            env={**os.environ, "BACALHAU_DIR": str(self.folder / home)},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def report(self, *arguments: str, home: str = "home") -> dict[str, Any]:
        done = self.bacalhau(*arguments, home=home)
        assert done.stdout, done.stderr
        return dict(json.loads(done.stdout))


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    folder = tmp_path_factory.mktemp("readme")
    (folder / "function.py").write_text(FUNCTION)
    (folder / "numbers.txt").write_text("1\n2\n39\n")
    return Shell(folder)


@pytest.fixture(scope="module")
def planned(shell: Shell) -> dict[str, Any]:
    return shell.report(*CALL, "--dry-run")


@pytest.fixture(scope="module")
def report(shell: Shell, planned: dict[str, Any]) -> dict[str, Any]:
    return shell.report(*CALL)


@pytest.fixture(scope="module")
def proof(shell: Shell, report: dict[str, Any]) -> Path:
    shell.bacalhau("get", report["job"], "--output-dir", "got")
    return shell.folder / "got"


def test_function_input_and_task_are_known_before_anything_runs(
    planned: dict[str, Any], report: dict[str, Any]
) -> None:
    for name in ("function", "input", "task"):
        assert planned[name].startswith("bafy")
        assert planned[name] == report[name]
    assert "output" not in planned


def test_three_nodes_agree(report: dict[str, Any]) -> None:
    assert (report["verdict"], report["exit_code"]) == ("agreed", 0)
    assert len({receipt["node"] for receipt in report["receipts"]}) == 3


def test_every_node_leaves_the_same_whole_memory(report: dict[str, Any]) -> None:
    assert report["same_state"] is True
    assert len({receipt["state_digest"] for receipt in report["receipts"]}) == 1


def test_commitments_precede_reveals_and_the_record_has_the_signed_receipts(
    shell: Shell, report: dict[str, Any]
) -> None:
    checks = {check["name"]: check for check in shell.report("audit", report["record"], "--json")["checks"]}
    for name in ("commitments", "receipts", "rounds", "rule"):
        assert checks[name]["ok"] is True, checks[name]
    assert checks["commitments"]["detail"] == "3 commitments"


def test_audit_has_thirteen_numbered_checks_of_a_record_or_an_output(shell: Shell, report: dict[str, Any]) -> None:
    assert "thirteen numbered checks" in README
    for cid in (report["record"], report["output"]):
        audit = shell.report("audit", cid, "--json")
        assert audit["verdict"] == "valid"
        assert [check["n"] for check in audit["checks"]] == list(range(1, 14))
    assert len(CHECKS) == 13


def test_rerun_executes_it_again(shell: Shell, report: dict[str, Any]) -> None:
    (rerun,) = shell.report("audit", report["record"], "--rerun", "--json")["reruns"]
    assert (rerun["ok"], rerun["output"]) == (True, report["output"])


def test_get_gives_result_stdout_stderr_files_and_the_proof(proof: Path) -> None:
    assert json.loads((proof / "result").read_text()) == {"sum": 84}
    assert (proof / "stdout").read_text() == "3 numbers\n"
    assert (proof / "stderr").read_text() == ""
    files = {path.relative_to(proof).as_posix(): path for path in proof.rglob("doubled")}
    assert [path.read_text() for path in files.values()] == ["[2, 4, 78]"]
    assert (proof / "record.car").is_file()


def test_audit_works_offline_from_the_car(shell: Shell, report: dict[str, Any], proof: Path) -> None:
    audit = shell.report("audit", report["record"], "--car", str(proof / "record.car"), "--json", home="empty")
    assert audit["verdict"] == "valid"


def test_an_endless_loop_is_exit_code_152_and_verified(shell: Shell) -> None:
    code = re.search(r"-c '([^']*)'\s+# exit code 152, verified: out of fuel", README)
    assert code is not None
    report = shell.report("run", "python", "--deterministic", "-c", code[1], "--fuel", "100000000", "--json")
    assert (report["exit_code"], report["verdict"], report["fuel"]) == (152, "agreed", 100_000_000)


def test_an_execution_may_spend_5e11_units_of_fuel_unless_asked_otherwise(planned: dict[str, Any]) -> None:
    assert "may spend 5·10^11 units of fuel" in README
    assert planned["limits"]["fuel"] == 5 * 10**11


def test_fuel_memory_and_output_are_part_of_the_task(shell: Shell, planned: dict[str, Any]) -> None:
    assert set(planned["limits"]) == {"fuel", "memory", "output"}
    tasks = {shell.report(*CALL, "--dry-run", *more)["task"] for more in (("--fuel", "9"), ("--memory", "64Mb"))}
    assert len(tasks | {planned["task"]}) == 3


def test_doctor_and_every_receipt_say_which_layers_are_in_force(shell: Shell, proof: Path) -> None:
    doctor = shell.bacalhau("doctor")
    assert "jail" in doctor.stdout.lower()
    assert b"sealed-python" in (proof / "record.car").read_bytes()


def test_no_sockets_threads_or_subprocesses_inside_a_function(house: Any) -> None:
    source = """
import socket, subprocess, threading
def main(data):
    refused = []
    for attempt in (socket.socket, threading.Thread(target=print).start, lambda: subprocess.run(["true"])):
        try: attempt()
        except (OSError, RuntimeError) as error: refused.append(type(error).__name__)
    return refused
"""
    assert json.loads(house.run(source).result) == ["OSError", "RuntimeError", "OSError"]


def test_the_files_that_the_readme_names_exist() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    named = re.findall(r"\b(?:functions|tests|docs)/[\w/.]+\w", README)
    assert links
    assert [name for name in [*links, *named] if not (ROOT / name).exists()] == []


def test_the_commands_that_the_readme_shows_exist(shell: Shell) -> None:
    help_text = shell.bacalhau("--help").stdout
    shown = set(re.findall(r"^ {4}(?:\$ )?bacalhau (\w+)", README, re.MULTILINE))
    assert shown >= {"run", "audit", "get", "doctor"}
    assert [name for name in shown if not re.search(rf"^\s+{name}\b", help_text, re.MULTILINE)] == []
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"`?make (\w+)[` ]", README))
    assert [target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []

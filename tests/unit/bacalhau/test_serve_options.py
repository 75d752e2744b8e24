"""The flags of `serve` about jobs: what they turn into, and how slips are told."""

import subprocess
import sys

import click
import pytest

from bacalhau.cli.serve_options import read_selection, selection_options
from network.node.selection_policy import DataLocality, SelectionPolicy
from runtime.capacity import Room
from runtime.machine_room import RoomFlags
from storage.errors import UserError
from tests.vectors.records.world import identity

ALICE, BOB = identity(50).peer, identity(51).peer


@pytest.fixture
def read(tmp_path):
    """Parse arguments as a command would, and read what they say."""

    @click.command()
    @selection_options
    def command(**flags):
        return read_selection(flags, tmp_path)

    return lambda *arguments: command.main(list(arguments), standalone_mode=False)


def test_without_flags_all_jobs_and_the_whole_machine(read, tmp_path, monkeypatch):
    monkeypatch.setattr("runtime.machine_room.machine_room", lambda directory, flags: (directory, flags))
    assert read() == (SelectionPolicy(), (tmp_path, RoomFlags()), {})


@pytest.mark.parametrize("scope", ["total", "job"])
@pytest.mark.parametrize("kind", ["cpu", "memory", "disk", "gpu"])
def test_each_limit_has_its_flag(read, monkeypatch, scope, kind):
    monkeypatch.setattr("runtime.machine_room.machine_room", lambda directory, flags: flags)
    assert read(f"--limit-{scope}-{kind}", "1")[1] == RoomFlags(**{f"{scope}_{kind}": "1"})


def test_all_flags(read):
    policy, room, labels = read(
        "--limit-total-cpu", "500m", "--limit-total-memory", "4Gb", "--limit-total-disk", "10Gb",
        "--limit-total-gpu", "0", "--limit-job-memory", "512Mb", "--limit-job-disk", "2Gb",
        "--label", "zone=eu", "--label", "a=b",
        "--job-selection-data-locality", "local", "--job-selection-reject-stateless",
        "--job-selection-probe-exec", f"{sys.executable} -c 'import sys'",
        "--job-selection-probe-http", "http://127.0.0.1:8080/probe",
        "--allow-requester", ALICE, "--allow-requester", BOB, "--deny-requester", BOB,
    )  # fmt: skip
    assert policy == SelectionPolicy(
        data_locality=DataLocality.LOCAL,
        accepts_stateless=False,
        probe_exec=(sys.executable, "-c", "import sys"),
        probe_http="http://127.0.0.1:8080/probe",
        allowed_requesters=frozenset({ALICE, BOB}),
        denied_requesters=frozenset({BOB}),
    )
    assert room.total == Room(cpu_milli=500, memory_bytes=4 << 30, disk_bytes=10 << 30)
    assert room.job_most == Room(cpu_milli=500, memory_bytes=512 << 20, disk_bytes=2 << 30)
    assert labels == {"a": "b", "zone": "eu"}


@pytest.mark.parametrize(
    ("flag", "value", "problem"),
    [
        ("--limit-total-cpu", "two", "'two' is not a number of cores"),
        ("--limit-total-memory", "lots", "'lots' is not a size"),
        ("--limit-total-disk", "lots", "'lots' is not a size"),
        ("--limit-total-gpu", "1.5", "'1.5' is not a number of GPUs"),
        ("--limit-job-cpu", "many", "'many' is not a number of cores"),
        ("--label", "zone", "'zone' is not of the form K=V"),
        ("--job-selection-probe-exec", "'open", "cannot be read: no closing quotation"),
        ("--job-selection-probe-exec", "/no/such/command --flag", "there is no command '/no/such/command'"),
        ("--job-selection-probe-exec", "/etc/passwd", "there is no command '/etc/passwd'"),
        ("--job-selection-probe-http", "probe.internal", "'probe.internal' is not an http:// or https:// address"),
        ("--allow-requester", "me", "'me' must be a peer id"),
        ("--deny-requester", "me", "'me' must be a peer id"),
    ],
)
def test_slips_are_told_with_the_flag(read, flag, value, problem):
    with pytest.raises(UserError) as raised:
        read(flag, value)
    assert str(raised.value).startswith(f"{flag}: {problem}")
    assert raised.value.fix


@pytest.mark.parametrize(
    ("flag", "value"),
    [("--job-selection-data-locality", "near"), ("--limit-total-cpu", ""), ("--job-selection-probe-exec", "")],
)
def test_slips_that_click_knows(read, flag, value):
    with pytest.raises(click.BadParameter):
        read(flag, value)


def test_the_flags_need_no_network_installed_and_load_nothing_of_it():
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['trio', 'libp2p', 'httpx']));"
        "import bacalhau.cli.serve_options as options, pathlib;"
        "limits = [f'limit_{scope}_{kind}' for scope in ('total', 'job') for kind in ('cpu', 'memory', 'disk', 'gpu')];"
        "flags = dict.fromkeys([*limits,"
        " 'job_selection_probe_exec', 'job_selection_probe_http', 'job_selection_reject_stateless']);"
        "flags |= dict.fromkeys(['labels', 'allowed_requesters', 'denied_requesters'], ());"
        "flags['job_selection_data_locality'] = 'local';"
        "print(options.read_selection(flags, pathlib.Path('/'))[0].data_locality)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("local\n", "")

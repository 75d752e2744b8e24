"""The flags of `serve` about jobs: what they turn into, and how slips are told."""

import subprocess
import sys

import click
import pytest

from bacalhau.cli.serve_options import read_cluster, read_selection, selection_options
from bacalhau.cluster import ClusterOptions
from network.node.selection_policy import DataLocality, SelectionPolicy
from runtime.capacity import Room
from runtime.machine_room import MAX_AMOUNT, RoomFlags
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
        "flags = dict.fromkeys([*limits, 'workers',"
        " 'job_selection_probe_exec', 'job_selection_probe_http', 'job_selection_reject_stateless']);"
        "flags |= dict.fromkeys(['labels', 'allowed_requesters', 'denied_requesters'], ());"
        "flags['job_selection_data_locality'] = 'local';"
        "print(options.read_selection(flags, pathlib.Path('/'))[0].data_locality)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("local\n", "")


@pytest.fixture
def read_workers(tmp_path, monkeypatch):
    """Read what arguments say about a cluster; `distributed` counts as installed."""
    monkeypatch.setattr("bacalhau.cli.cluster_extra.find_spec", lambda name: name)

    @click.command()
    @click.option("--role", "roles", multiple=True)
    @selection_options
    def command(**flags):
        return read_cluster(flags), read_selection(flags, tmp_path / "blocks.sqlite")[1]

    return lambda *arguments: command.main(list(arguments), standalone_mode=False)


def test_a_cluster_gives_what_it_has_unless_less_is_said(read_workers):
    assert read_workers()[0] is None
    cluster, limit = read_workers("--workers", "tcp://scheduler:8786")
    assert cluster == ClusterOptions(scheduler="tcp://scheduler:8786")
    assert (limit.total.cpu_milli, limit.total.memory_bytes, limit.total.gpus) == (MAX_AMOUNT, MAX_AMOUNT, 0)
    assert limit.job_most == limit.total
    assert 0 < limit.total.disk_bytes < MAX_AMOUNT
    cluster, limit = read_workers(
        "--workers",
        "tcp://s:1",
        "--workers-contact",
        "[::1]:99",
        "--limit-total-cpu",
        "3",
        "--limit-total-memory",
        "1Tb",
        "--limit-job-memory",
        "100Gb",
    )
    assert cluster == ClusterOptions(scheduler="tcp://s:1", contact_host="::1", contact_port=99)
    assert (limit.total.cpu_milli, limit.total.memory_bytes) == (3000, 1 << 40)
    assert limit.job_most.memory_bytes == 100 << 30  # however much this machine has


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--workers-contact", "127.0.0.1:0"], "--workers-contact: is of use with --workers alone"),
        (["--workers", "tcp://s:1", "--workers-contact", "here"], "--workers-contact here: is not HOST:PORT"),
        (["--workers", "tcp://s:1", "--role", "requester"], "--workers: are for a node that executes"),
        (["--workers", "tcp://s:1", "--limit-total-gpu", "1"], "--limit-total-gpu: 1 are more than the 0 "),
    ],
)
def test_slips_about_a_cluster(read_workers, arguments, problem):
    with pytest.raises(UserError) as raised:
        read_workers(*arguments)
    assert str(raised.value).startswith(problem)
    assert raised.value.fix


def test_a_cluster_without_its_package_is_told_how_to_get_it(read_workers, monkeypatch):
    monkeypatch.setattr("bacalhau.cli.cluster_extra.find_spec", lambda name: None)
    with pytest.raises(UserError, match="a cluster needs the package distributed") as raised:
        read_workers("--workers", "tcp://s:1")
    assert "bacalhau[network,cluster]" in raised.value.fix

"""Containers under a real Docker Engine, or Podman: what goes in and comes out, what is refused; nothing is left."""

import fcntl
import json
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from runtime.capacity import Room
from runtime.capacity_gate import CapacityGate
from runtime.capacity_ledger import CapacityLedger
from runtime.container_engine import IncompleteRunError
from runtime.container_lease_store import ContainerLeases
from runtime.container_plan import make_container_plan
from runtime.container_prepare import prepare_container
from runtime.container_request import ContainerRequest
from runtime.docker_engine import DockerEngine
from runtime.engine import UndeterminedError
from runtime.request import Request
from runtime.stop_signal import StopSignal
from storage.blocks import MemoryBlockStore
from storage.errors import UnavailableError, UserError
from storage.unixfs_members import members
from storage.unixfs_read import UnixfsReader
from tests.integration.docker_world import IMAGE, OF_USER, PODMAN, Command, connect, ours
from tests.requirements_gate import required

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("docker")]
TOTAL = Room(cpu_milli=2000, memory_bytes=1 << 30, disk_bytes=1 << 30)


@pytest.fixture(autouse=True)
def nothing_is_left(containers, tmp_path_factory):
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    # All processes of this run of the tests talk to one engine, and each test looks at everything that is in it.
    with (shared / "docker.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = ours()
        yield
        assert ours() == before


class Yard:
    """An engine with a store, and what a run of a shell script gave."""

    def __init__(self, tmp_path):
        self.tmp_path = tmp_path
        self.store = MemoryBlockStore()
        self.gate = CapacityGate(CapacityLedger(TOTAL))
        self.engine = DockerEngine(connect=connect, leases=ContainerLeases(tmp_path / "containers"), gate=self.gate)

    def plan(self, script=None, *, image=IMAGE, command=None, user=None, writable=False, network="none", **content):
        content = {"memory": "64Mb", "timeout_s": 60.0, **content}
        request = ContainerRequest(
            image=image,
            command=("sh", "-c", script) if script else tuple(command or ()),
            user=user,
            writable_root=writable,
            network=network,
            content=Request(**content),
        )
        return prepare_container(
            request,
            find_image=self.engine.find_image,
            store=self.store,
            cache_dir=self.tmp_path / "cache",
            progress=lambda phrase: None,
            report=lambda what, done, total: None,
            note=lambda noted: None,
            hold=lambda cid: None,
        )

    def run(self, script=None, **asked):
        return self.read(self.engine.run(self.plan(script, **asked), self.store))

    def read(self, run):
        reader = UnixfsReader(self.store)
        found = members(reader, run.output)
        files = {one.path: reader.read_bytes(one.cid, 1 << 20) for one in found if one.kind == "file"}
        return run, {path: data.decode() for path, data in files.items()}


@pytest.fixture
def yard(tmp_path):
    yard = Yard(tmp_path)
    yield yard
    yard.engine.stop()


def test_inputs_go_in_and_outputs_come_out(yard, tmp_path):
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "sub" / "a.txt").write_text("one\n")
    (tmp_path / "model").write_text("two\n")
    run, files = yard.run(
        "cat /inputs/sub/a.txt /ref/model; echo no >&2; echo made > /outputs/x; mkdir /more/d; echo $A > /more/d/y;"
        " exit 7",
        data=str(tmp_path / "in"),
        volumes=(f"{tmp_path / 'model'}:/ref/model",),
        outputs=("more:/more",),
        env=("A=b c",),
    )
    assert run.exit_code == 7
    assert files == {
        "exit_code": "7",
        "outputs/more/d/y": "b c\n",
        "outputs/outputs/x": "made\n",
        "result": "",
        "stderr": "no\n",
        "stdout": "one\ntwo\n",
    }
    assert run.engine.name == (PODMAN if PODMAN in required() else "docker")
    assert not run.was_out_of_memory


LOOK = """
id -u
for place in / /bin /etc /inputs /ref; do touch $place/x 2>/dev/null && echo wrote $place; done
touch /tmp/x /outputs/x && echo can write
ls /sys/class/net
grep -E '^(CapInh|CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs|Seccomp):' /proc/self/status
ls /outputs
"""


def test_a_container_has_nothing_that_it_was_not_given(yard, tmp_path):
    (tmp_path / "in").write_text("x")
    _, files = yard.run(LOOK, data=str(tmp_path / "in"), volumes=(f"{tmp_path / 'in'}:/ref/in",))
    lines = files["stdout"].splitlines()
    assert lines[:3] == ["65534", "can write", "lo"]
    status = dict(line.split(":\t") for line in lines[3:10])
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"
    assert lines[10:] == ["x"], "what the image has at an output path is no output"


def test_who_it_runs_as_and_whether_it_may_write_can_be_said(yard):
    _, files = yard.run("id -u; touch /etc/x && echo wrote", user="0", writable=True)
    assert files["stdout"] == "0\nwrote\n"
    _, files = yard.run(image=OF_USER)
    assert files["stdout"] == "said\n"
    plan = yard.plan(image=OF_USER)
    assert plan.function.user == "1234:1234"
    assert plan.function.image.startswith("sha256:")


def test_the_same_twice_is_the_same(yard):
    script = (
        "echo a; echo b >&2; touch -d @1 /outputs/y; echo c > /outputs/x; ln -s x /outputs/l; hostname 2>/dev/null; env"
    )
    first, second = yard.run(script), yard.run(script)
    assert first[0].output == second[0].output
    assert (first[0].task, first[1]) == (second[0].task, second[1])


def test_memory_is_bounded(yard):
    run, files = yard.run("x=$(head -c 100000000 /dev/zero | tr '\\0' a); echo survived", memory="24Mb")
    assert (run.exit_code, files["stdout"]) == (137, "")
    assert run.was_out_of_memory or run.engine.name == PODMAN, "Podman 4.3 does not tell"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo so far; sleep 600", "took longer than 1 s"),
        ("yes", "wrote more than 1048576 bytes"),
        ("echo so far; mkfifo /outputs/pipe", "neither a file"),
        (
            "echo so far; for i in 1 2 3; do head -c 500000 /dev/zero > /outputs/$i; done",
            "gave more than 1048576 bytes",
        ),
    ],
    ids=["time", "stream", "pipe", "files"],
)
def test_a_run_that_is_ended_gives_what_it_wrote_so_far(yard, script, reason):
    small = of_one_mebibyte(yard, script, timeout_s=1.0 if "longer" in reason else 60.0)
    with pytest.raises(IncompleteRunError, match=reason) as caught:
        yard.engine.run(small, yard.store)
    assert caught.value.stdout.startswith(b"y\ny\n" if script == "yes" else b"so far\n")
    assert yard.gate.free == TOTAL


def of_one_mebibyte(yard, script, **asked):
    plan = yard.plan(script, **asked)
    input_ = replace(plan.input, limits=replace(plan.input.limits, output=1 << 20))
    return make_container_plan(plan.function, input_, store=yard.store, wall_clock_s=plan.wall_clock_s)


def test_a_file_is_bounded_while_it_is_written(yard):
    plan = of_one_mebibyte(yard, "head -c 2000000 /dev/zero > /outputs/x; wc -c < /outputs/x; : > /outputs/x")
    _, files = yard.read(yard.engine.run(plan, yard.store))
    assert files["stdout"] == "1048576\n"


def test_a_program_that_is_not_there_is_the_callers_mistake(yard):
    with pytest.raises(UserError, match="cannot be started"):
        yard.engine.run(yard.plan(command=["/absent"]), yard.store)
    with pytest.raises((UserError, UnavailableError)):
        yard.plan("true", image="bacalhau-test-absent:nothing")


@pytest.mark.parametrize("which", ["one", "all"])
def test_what_is_given_up_ends(yard, which):
    stop, running = StopSignal(), threading.Event()

    def progress(phrase):
        if phrase == "running the container":
            running.set()

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(yard.engine.run, yard.plan("sleep 600"), yard.store, progress, stop)
        assert running.wait(60)
        stop.set() if which == "one" else yard.engine.stop()
        with pytest.raises(IncompleteRunError, match="given up"):
            future.result(60)
    if which == "all":
        with pytest.raises(UndeterminedError):
            yard.engine.run(yard.plan("true"), yard.store)


def test_nothing_runs_that_never_fits(yard):
    with pytest.raises(UnavailableError, match="needs 2Gb of memory"):
        yard.engine.run(yard.plan("true", memory="2Gb"), yard.store)


def test_runs_wait_for_room(yard):
    """Two runs of which each needs more than half: they go one after the other, and both end."""
    plan = yard.plan("true", memory="600Mb")
    with ThreadPoolExecutor(2) as pool:
        codes = [run.exit_code for run in pool.map(lambda _: yard.engine.run(plan, yard.store), range(2))]
    assert codes == [0, 0]


def test_what_other_homes_have_is_left_alone(yard, tmp_path):
    other = DockerEngine(connect=connect, leases=ContainerLeases(tmp_path / "other"), gate=yard.gate)
    running = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(
            yard.engine.run,
            yard.plan("sleep 600"),
            yard.store,
            lambda phrase: phrase.startswith("running") and running.set(),
        )
        assert running.wait(60)
        assert list(other.sweep()) == []
        assert list(yard.engine.sweep()) == []  # its owner lives
        yard.engine.stop()
        with pytest.raises(IncompleteRunError):
            future.result(60)


def test_the_command_runs_keeps_and_lays_out(tmp_path):
    command = Command(tmp_path / "home")
    report = command.run(
        "--concurrency", 2, "--memory", "64Mb", IMAGE, "--", "sh", "-c", "echo hi; echo x > /outputs/f"
    )
    assert (report["tier"], report["verdict"], report["reproduced"]) == ("unverified", "reproduced", "2/2")
    assert report["stdout"] == "hi\n"
    assert command("get", report["job"], "--output-dir", tmp_path / "got").returncode == 0
    assert (tmp_path / "got/outputs/outputs/f").read_text() == "x\n"
    audit = command("audit", report["record"], "--json")
    assert (audit.returncode, json.loads(audit.stdout)["verdict"]) == (4, "unchecked")


def test_a_command_that_is_told_to_end_takes_its_container_with_it(tmp_path):
    command = Command(tmp_path / "home")
    with command.started("--memory", "64Mb", IMAGE, "--", "sleep", "600") as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 130


def test_after_a_kill_the_next_command_leaves_nothing_of_it(tmp_path):
    command = Command(tmp_path / "home")
    before = ours()
    with command.started("--memory", "64Mb", IMAGE, "--", "sleep", "600") as process:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        containers, volumes = ours()
        assert (len(containers) - len(before[0]), len(volumes) - len(before[1])) == (2, 1)
        said = command("run", "docker", "--memory", "64Mb", IMAGE, "--", "true")
        assert said.returncode == 0
        assert "removed what a run left behind: container" in said.stderr
        assert ours() == before


def test_a_program_that_fills_its_outputs_is_ended(yard):
    """With many files, of which none is too large."""
    script = "echo so far; i=0; while :; do i=$((i+1)); head -c 900000 /dev/zero > /outputs/$i; done"
    with pytest.raises(IncompleteRunError, match="wrote more than 1048576 bytes to its outputs") as caught:
        yard.engine.run(of_one_mebibyte(yard, script), yard.store)
    assert caught.value.stdout == b"so far\n"
    assert not caught.value.is_of_engine


def test_a_program_that_closes_what_it_writes_to_goes_on(yard):
    _, files = yard.run("exec >&- 2>&-; sleep 1; echo made > /outputs/x")
    assert files["outputs/outputs/x"] == "made\n"


HELD = "exec 3>/outputs/$i; rm /outputs/$i; head -c 1000000 /dev/zero >&3; sleep 600"
FILLS = {
    "files": "i=0; while :; do i=$((i+1)); head -c 900000 /dev/zero > /outputs/$i; done",
    "nameless": f"for i in $(seq 40); do ({HELD}) & done; wait",
}


@pytest.mark.parametrize("fill", FILLS)
def test_what_is_gone_of_the_disk_is_seen_between_two_looks(yard, monkeypatch, fill):
    """Of files that have a name, and of files that only a program still holds: no look would come in time."""
    monkeypatch.setattr("runtime.container_guard.LOOK_S", 600.0)
    with pytest.raises(IncompleteRunError, match="wrote more than 1048576 bytes to its outputs") as caught:
        yard.engine.run(of_one_mebibyte(yard, FILLS[fill]), yard.store)
    assert not caught.value.is_of_engine


def test_nothing_begins_that_the_disk_has_no_room_for_and_what_runs_ends_before_it_is_full(yard, monkeypatch):
    monkeypatch.setattr("runtime.container_guard.RESERVE_BYTES", 1 << 60)
    with pytest.raises(IncompleteRunError, match="the disk of the container engine is nearly full") as caught:
        yard.engine.run(yard.plan("sleep 600"), yard.store)
    assert caught.value.is_of_engine
    monkeypatch.setattr("runtime.docker_engine.RESERVE_BYTES", 1 << 60)
    with pytest.raises(IncompleteRunError, match=r"MiB free, and \d+ MiB are needed to begin") as caught:
        yard.engine.run(yard.plan("true"), yard.store)
    assert caught.value.is_of_engine

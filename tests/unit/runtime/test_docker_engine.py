"""The engine for containers against a stand-in for the API: what is asked of it, and in which order."""

import base64
import json
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from bacalhau.container_room import make_containers, sweep_left_behind
from bacalhau.home import Home
from runtime.container_engine import IncompleteRunError
from runtime.container_plan import make_container_plan
from runtime.disk_usage_client import TooManyEntriesError, allocated_bytes, free_bytes, open_bytes
from runtime.docker_api_client import DockerApi, engine_problem
from runtime.engine import UndeterminedError
from runtime.stop_signal import StopSignal
from storage.blocks import MemoryBlockStore
from storage.errors import UnavailableError, UserError
from storage.unixfs_import import Importer
from storage.unixfs_read import UnixfsReader
from tests.unit.runtime.fake_docker import IMAGE, FakeDocker, listening
from tests.unit.verifier.test_model import an_input
from tests.unit.verifier.test_unverified import function
from verifier.model import Limits

GPUS = "0, GPU-aaaa, NVIDIA H100, 81559\n1, GPU-bbbb, NVIDIA H100, 81559\n"


@pytest.fixture
def fake(tmp_path, monkeypatch):
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setattr("runtime.container_address.DOCKER_SOCKET", str(tmp_path / "absent"))
    monkeypatch.setattr("runtime.container_address.PODMAN_SOCKET", str(tmp_path / "absent"))
    fake = FakeDocker(name="Podman Engine")
    with listening(fake, tmp_path / "run" / "podman" / "podman.sock"):
        yield fake


@pytest.fixture
def engine(fake, tmp_path):
    engine = make_containers(Home(tmp_path / "home"))
    yield engine
    engine.stop()


def plan(store, *, data=b"x", **changes):
    input_ = an_input(
        data=Importer(store).bytes(data).cid,
        volumes=(),
        limits=Limits(fuel=None, memory=64 << 20, output=1 << 20),
    )
    return make_container_plan(function(**changes), input_, store=store, wall_clock_s=60.0)


def test_the_socket_of_podman_is_found_and_its_name_is_in_the_record(engine, fake):
    store = MemoryBlockStore()
    run = engine.run(plan(store), store)
    reader = UnixfsReader(store)
    assert reader.read_bytes(reader.resolve(run.output, "stdout"), 99) == b"hello\n"
    assert reader.read_bytes(reader.resolve(run.output, "stderr"), 99) == b"oh\n"
    assert reader.read_bytes(reader.resolve(run.output, "outputs/outputs/made"), 99) == b""
    assert (run.engine.name, run.engine.version, run.engine.arch) == ("podman", "4.3.1", "x86_64")
    assert fake.labelled == {"containers": [], "volumes": []}


def test_it_attaches_before_it_starts_and_removes_what_it_made(engine, fake):
    store = MemoryBlockStore()
    engine.run(plan(store), store)
    steps = [f"{method} {path.split('/')[-1]}" for method, path, _ in fake.calls if not path.endswith("version")]
    assert (
        steps.index("POST attach") < steps.index("POST start") < steps.index("POST wait") < steps.index("GET archive")
    )
    made = fake.asked("POST", "/containers/create") + fake.asked("POST", "/volumes/create")
    assert len(made) == 4
    owners = {one["Labels"]["org.bacalhau.owner"] for one in made}
    assert len(owners) == 1
    assert sum(method == "DELETE" for method, _, _ in fake.calls) == 4


def test_devices_are_asked_for_by_the_uuids_that_nvidia_smi_tells(fake, tmp_path, monkeypatch):
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\nprintf '{GPUS}'\n".replace("\n0", "0"))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    engine = make_containers(Home(tmp_path / "home"))
    store = MemoryBlockStore()
    engine.run(plan(store, gpus=1), store)
    engine.run(plan(store, gpus=2), store)
    asked = [body["HostConfig"].get("DeviceRequests") for body in fake.asked("POST", "/containers/create")]
    common = {"Driver": "nvidia", "Capabilities": [["gpu"]], "Options": {}}
    assert asked == [
        None,
        [{**common, "DeviceIDs": ["GPU-aaaa"]}],
        None,
        [{**common, "DeviceIDs": ["GPU-aaaa", "GPU-bbbb"]}],
    ]
    with pytest.raises(UnavailableError, match="needs 3 GPUs, and gets at most 2"):
        engine.run(plan(store, gpus=3), store)


def test_without_devices_none_are_given(engine):
    store = MemoryBlockStore()
    with pytest.raises(UnavailableError, match="needs 1 GPU, and gets at most 0"):
        engine.run(plan(store, gpus=1), store)


NAMED = f"ghcr.io/owner/name@sha256:{'0b' * 32}"


def test_what_somebody_else_names_is_pulled_without_what_this_user_is_let_in_with(engine, fake, tmp_path, monkeypatch):
    auths = {"auths": {"ghcr.io": {"auth": base64.b64encode(b"me:secret").decode()}}}
    (tmp_path / "config.json").write_text(json.dumps(auths))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    fake.released.set()
    with DockerApi.connect(os.environ) as api:
        api.pull(NAMED)
        assert len(fake.credentials) == 1
    assert engine.bring_image(NAMED, StopSignal()).id == IMAGE
    assert len(fake.credentials) == 1


def test_a_registry_that_says_nothing_keeps_nobody(engine, fake, monkeypatch):
    stop = StopSignal()
    with ThreadPoolExecutor(1) as threads:
        pulled = threads.submit(engine.bring_image, NAMED, stop)
        assert fake.pulling.wait(60)
        stop.set()
        with pytest.raises(UndeterminedError, match="given up"):
            pulled.result(60)
    monkeypatch.setattr("runtime.docker_engine.PULL_S", 0.0)
    with pytest.raises(UndeterminedError, match="longer than 0 s"):
        engine.bring_image(NAMED, StopSignal())
    fake.released.set()


def test_an_image_that_no_registry_has_is_the_callers_mistake(engine, fake):
    fake.answer = lambda method, path, body: (404, {"message": "pull access denied"}) if "images" in path else (
        FakeDocker.answer(fake, method, path, body)
    )  # fmt: skip
    with pytest.raises(UserError, match="access denied"):
        engine.find_image("absent")


@pytest.mark.parametrize(
    "said", ["No command specified", "no command or entrypoint provided, and no CMD or ENTRYPOINT from image"]
)
def test_an_image_without_a_command_is_the_callers_mistake(engine, fake, said):
    whole = fake.answer
    fake.answer = lambda method, path, body: (400, {"message": said}) if path.endswith("/containers/create") else (
        whole(method, path, body)
    )  # fmt: skip
    store = MemoryBlockStore()
    with pytest.raises(UserError, match=r"the image names no command; write one behind it: -- CMD"):
        engine.run(plan(store), store)
    assert fake.labelled == {"containers": [], "volumes": []}


def test_an_engine_that_fails_is_unavailable_and_leaves_nothing(engine, fake):
    whole = fake.answer

    def answer(method, path, body):
        return (500, {"message": "out of\nspace"}) if path.endswith("/start") else whole(method, path, body)

    fake.answer = answer
    store = MemoryBlockStore()
    with pytest.raises(UndeterminedError, match="starting a container: the engine failed: out of space"):
        engine.run(plan(store), store)
    assert fake.labelled == {"containers": [], "volumes": []}


@pytest.mark.parametrize("said", [{}, [], "x", {"ApiVersion": 1}])
def test_what_listens_and_is_no_container_engine_is_one_line(engine, fake, said):
    whole = fake.answer
    fake.answer = lambda method, path, body: (200, said) if path.endswith("/version") else whole(method, path, body)
    with pytest.raises(UnavailableError, match=r"does not answer: no container engine"):
        engine.identify()


def test_a_socket_on_which_nobody_listens_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    with pytest.raises(UnavailableError, match=r"nobody.sock: does not answer: .*start it"):
        DockerApi.connect({"DOCKER_HOST": f"unix://{tmp_path}/nobody.sock"})
    assert engine_problem({"DOCKER_HOST": "tcp://far:1"}) == ("", "")


def test_a_node_that_starts_sweeps_what_its_home_left_and_nothing_else(fake, tmp_path, caplog):
    home = Home(tmp_path / "home")
    sweep_left_behind(home)
    assert fake.calls == []  # it never had a container
    engine = make_containers(home)
    engine.sweep()
    mine = engine._leases.home()
    labels = {"org.bacalhau.home": mine, "org.bacalhau.owner": "0" * 32}
    fake.labelled["containers"].append({"Id": "ab" * 32, "Labels": labels})
    sweep_left_behind(home)
    assert fake.labelled["containers"] == []
    listed = [json.loads(json.dumps(path)) for method, path, _ in fake.calls if path == "/containers/json"]
    assert listed
    assert "container abababababab" in caplog.text


def test_a_node_without_an_engine_starts_all_the_same(tmp_path, monkeypatch, caplog):
    home = Home(tmp_path / "home")
    home.containers_dir.mkdir(parents=True)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    sweep_left_behind(home)
    assert "could not be looked for" in caplog.text


@pytest.fixture
def hurried(monkeypatch):
    """Nobody waits long."""
    for name, seconds in (("ANSWER_S", 0.2), ("_KNOCK_S", 0.2), ("_WAIT_S", 0.1)):
        monkeypatch.setattr(f"runtime.docker_api_client.{name}", seconds)
    for name in ("LOOK_S", "GONE_S"):
        monkeypatch.setattr(f"runtime.container_guard.{name}", 0.05)
    # Defaults are bound where the function is made.
    monkeypatch.setitem(DockerApi._explained.__wrapped__.__kwdefaults__, "limit_s", 0.2)


def run_in_thread(engine, store):
    pool = ThreadPoolExecutor(1)
    future = pool.submit(engine.run, plan(store), store)
    pool.shutdown(wait=False)
    return future


def test_an_engine_that_hangs_keeps_nobody_waiting(engine, fake, hurried):
    fake.over.clear()
    future = run_in_thread(engine, MemoryBlockStore())
    assert fake.started.wait(60)
    fake.hung = True
    with pytest.raises(IncompleteRunError, match="the container engine does not answer") as caught:
        future.result(60)
    assert caught.value.is_of_engine
    assert caught.value.stdout == b"hello\n"
    with pytest.raises(UnavailableError, match=r"podman.sock: does not answer: .*nothing came in time"):
        engine.identify()


def test_an_engine_that_ends_is_told_as_such(engine, fake):
    fake.over.clear()
    future = run_in_thread(engine, MemoryBlockStore())
    assert fake.started.wait(60)
    whole = fake.answer
    fake.answer = lambda *asked: (500, {"message": "shutting down"}) if "/wait" in asked[1] else whole(*asked)
    fake.over.set()
    with pytest.raises(IncompleteRunError, match="waiting for a container: the engine failed: shutting down") as caught:
        future.result(60)
    assert caught.value.is_of_engine


@pytest.mark.parametrize(
    ("writable", "asked", "reason"),
    [(False, "/system/df", "1048576 bytes to its outputs"), (True, "/containers/json", "its copy of the image")],
)
def test_an_engine_elsewhere_is_asked_how_much_is_written(engine, fake, hurried, writable, asked, reason):
    """Where the directories that it names are none of this machine."""
    fake.over.clear()
    store, whole = MemoryBlockStore(), fake.answer

    def answer(method, path, body):
        if path == "/system/df":
            size = 0 if writable else 1 << 30
            return 200, {"Volumes": [{"Name": "ours", "UsageData": {"Size": size}}, {"Name": "other"}]}
        if path == "/containers/json" and writable and fake.started.is_set() and not fake.over.is_set():
            return 200, [{"Id": "0", "SizeRw": 2 << 30}]
        code, said = whole(method, path, body)
        if path.startswith("/containers/") and path.endswith("/json") and path != "/containers/json":
            mount = {"Type": "volume", "Name": "ours", "Source": "/of/another/machine", "RW": True}
            said = {**said, "Mounts": [mount, {"Type": "volume", "Name": "input", "RW": False}]}
        return code, said

    fake.answer = answer
    with pytest.raises(IncompleteRunError, match=reason) as caught:
        engine.run(plan(store, writable_root=writable), store)
    assert not caught.value.is_of_engine
    assert fake.asked("GET", asked)


def test_what_could_not_be_removed_is_removed_when_the_engine_is_back(engine, fake, monkeypatch):
    monkeypatch.setattr("runtime.docker_engine.AGAIN_S", 0.05)
    whole, refused, gone = fake.answer, threading.Event(), threading.Event()

    def answer(method, path, body):
        if method == "DELETE" and not refused.is_set():
            refused.set()
            return 500, {"message": "busy"}
        said = whole(method, path, body)
        if method == "DELETE" and fake.labelled == {"containers": [], "volumes": []}:
            gone.set()
        return said

    fake.answer = answer
    store = MemoryBlockStore()
    engine.run(plan(store), store)
    assert refused.is_set()
    assert gone.wait(60)


def test_files_are_counted_as_they_lie_on_the_disk(tmp_path, monkeypatch):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_bytes(b"x" * 100_000)
    with (tmp_path / "a" / "sparse").open("wb") as hole:
        hole.truncate(1 << 40)
    (tmp_path / "a" / "link").symlink_to("/")
    assert 100_000 <= allocated_bytes([str(tmp_path / "a")]) < 300_000
    assert allocated_bytes([str(tmp_path / "a"), str(tmp_path / "absent")]) is None
    monkeypatch.setattr("runtime.disk_usage_client.MAX_ENTRIES", 3)
    with pytest.raises(TooManyEntriesError):
        allocated_bytes([str(tmp_path / "a")])


@pytest.mark.parametrize(
    ("name", "options", "otherwise"),
    [("Podman Engine", {"o": f"uid=0,size={33 << 20}"}, {"o": "uid=0"}), ("Engine", {"size": str(33 << 20)}, {})],
)
@pytest.mark.parametrize("has_quotas", [True, False])
def test_an_engine_that_can_bounds_what_is_written_and_one_that_cannot_is_asked_without(
    engine, fake, name, options, otherwise, has_quotas
):
    """Project quotas, and storage drivers with a size: who has none refuses, and is asked again."""
    fake.name, whole = name, fake.answer

    def answer(method, path, body):
        body = body if isinstance(body, dict) else {}
        host = body.get("HostConfig", {})
        if not has_quotas and ("size" in str(body.get("DriverOpts")) or "StorageOpt" in host):
            return 500, {"message": "quota size requested but no quota support"}
        code, said = whole(method, path, body)
        return code, {**said, "Size": 5 << 20} if path.startswith("/images/") else said

    fake.answer = answer
    store = MemoryBlockStore()
    engine.run(plan(store, writable_root=True), store)
    volumes = [body["DriverOpts"] for body in fake.asked("POST", "/volumes/create")]
    layers = [body["HostConfig"].get("StorageOpt") for body in fake.asked("POST", "/containers/create")]
    bound = {"size": str((5 << 20) + (1 << 30) + (16 << 20))}
    assert volumes == [{}, options] if has_quotas else [{}, options, otherwise]
    assert layers == [None, bound] if has_quotas else [None, bound, None]


def test_nothing_is_handed_over_that_the_disk_has_no_room_for(engine, fake, tmp_path, monkeypatch):
    whole = fake.answer
    fake.answer = lambda method, path, body: (
        (201, {**body, "Mountpoint": str(tmp_path)}) if path == "/volumes/create" else whole(method, path, body)
    )
    monkeypatch.setattr("runtime.docker_engine.RESERVE_BYTES", 1 << 60)
    store = MemoryBlockStore()
    with pytest.raises(IncompleteRunError, match=r"MiB free, and \d+ MiB are needed to begin") as caught:
        engine.run(plan(store), store)
    assert caught.value.is_of_engine
    assert not fake.asked("PUT", ".*")


def test_what_is_free_is_told_by_device(tmp_path):
    found = free_bytes([str(tmp_path), str(tmp_path), str(tmp_path / "absent")])
    assert list(found) == [tmp_path.stat().st_dev]


def test_files_without_a_name_are_counted_once_where_a_container_holds_them(tmp_path, monkeypatch):
    processes = tmp_path / "proc"
    (tmp_path / "other-namespace").touch()

    def process(name, namespace, opened):
        (processes / name / "ns").mkdir(parents=True)
        (processes / name / "ns" / "pid").symlink_to(namespace)
        (processes / name / "fd").mkdir()
        for number, file in enumerate(opened):
            (processes / name / "fd" / str(number)).symlink_to(f"/proc/self/fd/{file.fileno()}")

    monkeypatch.setattr("runtime.disk_usage_client._PROCESSES", str(processes))
    with (tmp_path / "gone").open("wb") as gone, (tmp_path / "named").open("wb") as named:
        for file in (gone, named):
            file.write(b"x" * 100_000)
            file.flush()
        (tmp_path / "gone").unlink()
        device = [tmp_path.stat().st_dev]
        process("self", "/proc/self/ns/mnt", [])
        process("7", "/proc/self/ns/pid", [gone, named])
        process("8", "/proc/self/ns/pid", [gone])
        process("9", tmp_path / "other-namespace", [gone])
        assert 100_000 <= open_bytes(7, device) < 200_000
        assert open_bytes(7, []) == 0
        assert open_bytes(6, device) == 0
        monkeypatch.setattr("runtime.disk_usage_client.MAX_ENTRIES", 2)
        with pytest.raises(TooManyEntriesError):
            open_bytes(7, device)
    (processes / "self" / "ns" / "pid").unlink()
    (processes / "self" / "ns" / "pid").symlink_to("/proc/self/ns/pid")
    assert open_bytes(7, device) == 0, "of a namespace that is ours too nobody can tell whose files they are"

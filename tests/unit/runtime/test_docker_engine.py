"""The engine for containers against a stand-in for the API: what is asked of it, and in which order."""

import json
import stat

import pytest

from bacalhau.container_room import make_containers, sweep_left_behind
from bacalhau.home import Home
from runtime.container_plan import make_container_plan
from runtime.docker_api_client import DockerApi, engine_problem
from runtime.engine import UndeterminedError
from storage.blocks import MemoryBlockStore
from storage.errors import UnavailableError, UserError
from storage.unixfs_import import Importer
from storage.unixfs_read import UnixfsReader
from tests.unit.runtime.fake_docker import FakeDocker, listening
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
    with pytest.raises(UnavailableError, match="GPUs"):
        engine.run(plan(store, gpus=1), store)


def test_an_image_that_no_registry_has_is_the_callers_mistake(engine, fake):
    fake.answer = lambda method, path, body: (404, {"message": "pull access denied"}) if "images" in path else (
        FakeDocker.answer(fake, method, path, body)
    )  # fmt: skip
    with pytest.raises(UserError, match="access denied"):
        engine.find_image("absent")


def test_an_engine_that_fails_is_unavailable_and_leaves_nothing(engine, fake):
    whole = fake.answer

    def answer(method, path, body):
        return (500, {"message": "out of\nspace"}) if path.endswith("/start") else whole(method, path, body)

    fake.answer = answer
    store = MemoryBlockStore()
    with pytest.raises(UndeterminedError, match="starting a container: the engine failed: out of space"):
        engine.run(plan(store), store)
    assert fake.labelled == {"containers": [], "volumes": []}


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

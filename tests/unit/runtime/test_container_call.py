"""What an engine is asked for: everything that could be used against the machine is off."""

from dataclasses import replace

import pytest

from runtime.capacity import Room
from runtime.container_call import NOBODY, container_call, isolation_of, labels_of, loader_call, user_of
from runtime.container_mounts import Mount
from runtime.container_plan import container_plan_of_task, make_container_plan
from storage.blocks import MemoryBlockStore
from storage.cid import RAW, make_cid
from storage.errors import VerificationError
from tests.unit.verifier.test_model import an_input
from tests.unit.verifier.test_unverified import function
from verifier.model import Function, Limits, Task, store_node

LEAF = make_cid(RAW, b"leaf")
LABELS = labels_of("home", "owner", "task")


def plan(store=None, **changes):
    limits = Limits(fuel=None, memory=1 << 28, output=1 << 20)
    input_ = an_input(data=None, volumes=(), env={"B": "2", "A": "1"}, limits=limits)
    return make_container_plan(function(**changes), input_, store=store or MemoryBlockStore(), wall_clock_s=9.0)


def call(engine="docker", **changes):
    return container_call(
        plan(**changes),
        inputs=[(Mount(path="/inputs", cid=LEAF), "volume-0")],
        outputs=[("/outputs", "volume-1")],
        gpus=(),
        labels=LABELS,
        engine=engine,
    )


def test_a_container_gets_nothing_that_it_could_use_against_the_machine():
    body = call()
    host = body["HostConfig"]
    assert body["NetworkDisabled"] is True
    assert host["NetworkMode"] == "none"
    assert host["CapDrop"] == ["ALL"]
    assert "CapAdd" not in host
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert (host["Privileged"], host["ReadonlyRootfs"], host["OomKillDisable"]) == (False, True, False)
    assert host["IpcMode"] == "private"
    assert not {"Binds", "Devices", "PidMode", "UTSMode", "UsernsMode", "VolumesFrom", "PortBindings"} & set(host)
    assert body["Healthcheck"] == {"Test": ["NONE"]}
    assert body["User"] == NOBODY


def test_limits_are_those_of_the_task():
    host = call(cpu_milli=1500)["HostConfig"]
    assert (host["Memory"], host["MemorySwap"]) == (1 << 28, 1 << 28)
    assert host["NanoCpus"] == 1_500_000_000
    assert host["PidsLimit"] == 512
    limits = {one["Name"]: (one["Soft"], one["Hard"]) for one in host["Ulimits"]}
    assert limits["fsize"] == (1 << 20, 1 << 20)
    assert limits["core"] == (0, 0)
    assert host["Tmpfs"]["/tmp"].endswith(f"size={1 << 28}")


def test_nothing_of_the_host_is_mounted_and_inputs_are_read_only():
    mounts = {one["Target"]: one for one in call()["HostConfig"]["Mounts"]}
    assert {one["Type"] for one in mounts.values()} == {"volume"}
    assert (mounts["/inputs"]["ReadOnly"], mounts["/outputs"]["ReadOnly"]) == (True, False)
    assert all(one["VolumeOptions"] == {"NoCopy": True} for one in mounts.values())


def test_what_was_asked_for_is_asked_of_the_engine():
    body = call(network="bridge", writable_root=True, workdir="/w", entrypoint=(), command=("a", "b c"), user="me")
    assert (body["NetworkDisabled"], body["HostConfig"]["NetworkMode"]) == (False, "bridge")
    assert body["HostConfig"]["ReadonlyRootfs"] is False
    assert (body["Entrypoint"], body["Cmd"], body["WorkingDir"], body["User"]) == ([], ["a", "b c"], "/w", "me")
    assert body["Env"] == ["A=1", "B=2", "NVIDIA_VISIBLE_DEVICES=void"]
    assert body["Labels"] == LABELS


def test_what_is_left_to_the_image_is_not_said():
    body = call(command=None)
    assert not {"Entrypoint", "Cmd", "WorkingDir"} & set(body)


def test_devices_are_asked_for_by_their_uuids():
    of_two = container_call(
        plan(gpus=2), inputs=[], outputs=[], gpus=("GPU-a", "GPU-b"), labels=LABELS, engine="docker"
    )
    assert of_two["HostConfig"]["DeviceRequests"] == [
        {"Driver": "nvidia", "DeviceIDs": ["GPU-a", "GPU-b"], "Capabilities": [["gpu"]], "Options": {}}
    ]
    assert "DeviceRequests" not in call()["HostConfig"]


def test_nvidias_runtime_gives_no_other_devices_whatever_task_and_image_say():
    """Where it is the engine's default, it gives every container the devices that this variable names."""
    greedy = plan(gpus=0)
    greedy = replace(greedy, input=replace(greedy.input, env={"NVIDIA_VISIBLE_DEVICES": "all"}))
    for gpus, words in (((), "void"), (("GPU-a", "GPU-b"), "GPU-a,GPU-b")):
        body = container_call(greedy, inputs=[], outputs=[], gpus=gpus, labels=LABELS, engine="docker")
        assert body["Env"] == [f"NVIDIA_VISIBLE_DEVICES={words}"]


def test_podman_is_told_in_its_own_words():
    host, dockers = call(engine="podman")["HostConfig"], call()["HostConfig"]
    assert host["Binds"] == ["volume-1:/outputs:rw,nocopy"]
    assert [one["Target"] for one in host["Mounts"]] == ["/inputs"]
    assert {one["Name"] for one in host["Ulimits"]} - {one["Name"] for one in dockers["Ulimits"]} == {"nproc"}
    assert "Binds" not in dockers


def test_the_loader_reaches_nothing_and_is_told_nothing_to_run():
    body = loader_call("sha256:00", ["a", "b"], LABELS)
    assert [one["Target"] for one in body["HostConfig"]["Mounts"]] == ["/bacalhau/0", "/bacalhau/1"]
    assert (body["NetworkDisabled"], body["HostConfig"]["CapDrop"]) == (True, ["ALL"])


@pytest.mark.parametrize(
    ("image", "wanted", "user"),
    [
        ("", None, NOBODY),
        ("root", None, NOBODY),
        ("0", None, NOBODY),
        ("0:0", None, NOBODY),
        ("00", None, NOBODY),
        ("root:staff", None, NOBODY),
        ("1000", None, "1000"),
        ("app:app", None, "app:app"),
        ("app", "0", "0"),
        ("", "root", "root"),
    ],
)
def test_nobody_runs_as_root_unless_that_was_said(image, wanted, user):
    assert user_of(image, wanted) == user


def test_isolation_says_what_was_asked_for():
    assert isolation_of(plan()) == (
        "container", "no-capabilities", "no-new-privileges", "no-network", "read-only-root",
    )  # fmt: skip
    assert "no-network" not in isolation_of(plan(network="bridge"))


def test_a_plan_takes_what_its_nodes_say_and_can_be_made_of_them():
    store = MemoryBlockStore()
    made = plan(store, gpus=1, cpu_milli=500)
    assert made.room == Room(cpu_milli=500, memory_bytes=1 << 28, disk_bytes=1 << 20, gpus=1)
    assert container_plan_of_task(made.task, store, 9.0) == made
    python = Function(source=LEAF, entry="main", lock=LEAF, runtime=LEAF)
    task = store_node(store, Task(function=store_node(store, python), input=made.input_cid))
    with pytest.raises(VerificationError, match="container-function/1"):
        container_plan_of_task(task, store, 9.0)

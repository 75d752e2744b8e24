"""What the engine is asked for: the JSON of its API for one container, made of values alone.

Everything that a container could use against its machine is off unless it is said here. The API is the Docker Engine's
(1.41, "ContainerCreate", "VolumeCreate"), which Podman's service understands as well. Nothing of the host's file system
is ever mounted: contents go in and out as archives, through volumes of the engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from runtime.container_mounts import Mount
from runtime.container_plan import ContainerPlan

LABEL_HOME: Final = "org.bacalhau.home"
"""Whose containers and volumes they are: the id of a BACALHAU_DIR."""
LABEL_OWNER: Final = "org.bacalhau.owner"
"""The process among them; when it is gone, what has its label is left behind."""
LABEL_TASK: Final = "org.bacalhau.task"

NOBODY: Final = "65534:65534"
"""Who a program runs as whose image names nobody, or root."""
MAX_PROCESSES: Final = 512
MAX_OPEN_FILES: Final = 4096
MAX_USER_PROCESSES: Final = 4096
"""Of one user over all containers; of one container, MAX_PROCESSES are counted."""
TEMPORARY: Final = "/tmp"  # noqa: S108  in the container
PODMAN: Final = "podman"
HOST_NAME: Final = "bacalhau"
LOADING: Final = "/bacalhau"
"""Where volumes are mounted in the container that is never started and through which they are filled."""
VISIBLE_DEVICES: Final = "NVIDIA_VISIBLE_DEVICES"
NO_DEVICES: Final = "void"
"""NVIDIA Container Toolkit, "Environment variables (OCI spec)": as if it were not there."""
MAX_EXIT_CODE: Final = 255


def user_of(image_user: str, wanted: str | None) -> str:
    """Return who the program runs as: who is wanted, else whom the image names unless that is root, else nobody."""
    if wanted is not None:
        return wanted
    name = image_user.partition(":")[0]
    is_root = name in ("", "root") or (name.isdigit() and int(name) == 0)
    return NOBODY if is_root else image_user


def labels_of(home: str, owner: str, task: str) -> dict[str, str]:
    """Return what marks a container or volume as ours."""
    return {LABEL_HOME: home, LABEL_OWNER: owner, LABEL_TASK: task}


def container_call(
    plan: ContainerPlan,
    *,
    inputs: Sequence[tuple[Mount, str]],
    outputs: Sequence[tuple[str, str]],
    gpus: Sequence[str],
    labels: Mapping[str, str],
    engine: str,
    layer_bytes: int | None = None,
) -> dict[str, Any]:
    """Return the body that creates a plan's container.

    inputs: mounts with the names of their volumes; outputs: guest paths with theirs; gpus: UUIDs of the devices that
    are its own; engine: what it calls itself; layer_bytes: what its copy of the image may come to, with the image, if
    it may write to it.
    """
    function, limits = plan.function, plan.input.limits
    # Podman 4 overlooks NoCopy of a mount, and heeds it in this older form, which has no word for a path with a colon.
    bound = [(path, name) for path, name in outputs if engine == PODMAN and ":" not in path]
    body: dict[str, Any] = {
        "Image": function.image,
        "Hostname": HOST_NAME,
        "User": function.user,
        "Env": [f"{name}={value}" for name, value in sorted(_environment(plan, gpus).items())],
        "Labels": dict(labels),
        "AttachStdin": False,
        "AttachStdout": True,
        "AttachStderr": True,
        "OpenStdin": False,
        "Tty": False,
        "NetworkDisabled": function.network == "none",
        "Healthcheck": {"Test": ["NONE"]},  # an image's own would run beside the program
        "HostConfig": {
            "NetworkMode": function.network,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "Privileged": False,
            "ReadonlyRootfs": not function.writable_root,
            "Memory": limits.memory,
            "MemorySwap": limits.memory,  # memory and swap together: no swap
            "NanoCpus": function.cpu_milli * 1_000_000,
            "PidsLimit": MAX_PROCESSES,
            "IpcMode": "private",
            "OomKillDisable": False,
            "AutoRemove": False,  # what it gave is read first
            "RestartPolicy": {"Name": "no"},
            "LogConfig": {"Type": "none", "Config": {}},  # what it writes goes to us and nowhere else
            "Tmpfs": {TEMPORARY: f"rw,nosuid,nodev,exec,mode=1777,size={limits.memory}"},
            "Ulimits": [
                _limit("core", 0),
                _limit("nofile", MAX_OPEN_FILES),
                _limit("fsize", limits.output),
                # Without it Podman raises this one to the most there is, which it may not everywhere.
                *([_limit("nproc", MAX_USER_PROCESSES)] if engine == PODMAN else []),
            ],
            "Mounts": [
                *(_mount(mount.path, name, read_only=True) for mount, name in inputs),
                *(_mount(path, name, read_only=False) for path, name in outputs if (path, name) not in bound),
            ],
            # Of volumes by name, like the mounts: never of a path.
            **({"Binds": [f"{name}:{path}:rw,nocopy" for path, name in bound]} if bound else {}),
        },
    }
    if function.entrypoint is not None:
        body["Entrypoint"] = list(function.entrypoint)
    if function.command is not None:
        body["Cmd"] = list(function.command)
    if function.workdir is not None:
        body["WorkingDir"] = function.workdir
    if layer_bytes is not None and function.writable_root:
        body["HostConfig"]["StorageOpt"] = {"size": str(layer_bytes)}
    if gpus:
        request = {"Driver": "nvidia", "DeviceIDs": list(gpus), "Capabilities": [["gpu"]], "Options": {}}
        body["HostConfig"]["DeviceRequests"] = [request]
    return body


def loader_call(image: str, volumes: Sequence[str], labels: Mapping[str, str]) -> dict[str, Any]:
    """Return the body of the container through which volumes are filled: `LOADING/<number>` each; it never starts."""
    mounts = [_mount(f"{LOADING}/{number}", name, read_only=False) for number, name in enumerate(volumes)]
    return {
        "Image": image,
        "Cmd": ["never started"],
        "Labels": dict(labels),
        "NetworkDisabled": True,
        "HostConfig": {"NetworkMode": "none", "CapDrop": ["ALL"], "Mounts": mounts},
    }


def output_volume(engine: str, most_bytes: int | None) -> dict[str, str]:
    """Return the options of a volume to be written to, in an engine's words. most_bytes: it is to hold no more.

    Sources: Moby `volume/local` ("size", from 20.10), podman-volume-create(1) ("o"); both bound with project quotas.
    """
    if engine != PODMAN:
        return {} if most_bytes is None else {"size": str(most_bytes)}
    # Whose owner is named, that one Podman does not give to the owner of what the image has in its place.
    return {"o": "uid=0" if most_bytes is None else f"uid=0,size={most_bytes}"}


def isolation_of(plan: ContainerPlan) -> tuple[str, ...]:
    """Return what stands between a plan's program and the machine, as a record names it: as asked for, not proven."""
    function = plan.function
    words = ["container", "no-capabilities", "no-new-privileges"]
    if function.network == "none":
        words.append("no-network")
    if not function.writable_root:
        words.append("read-only-root")
    return tuple(words)


def _environment(plan: ContainerPlan, gpus: Sequence[str]) -> dict[str, str]:
    """Return a plan's environment, with the devices that are its own in NVIDIA's words, whatever task or image say.

    Where NVIDIA's runtime is the engine's default it gives every container the devices that this variable names.
    """
    return {**plan.input.env, VISIBLE_DEVICES: ",".join(gpus) or NO_DEVICES}


def _mount(path: str, name: str, *, read_only: bool) -> dict[str, Any]:
    # NoCopy: what the image has there does not get into what is collected.
    return {
        "Type": "volume", "Source": name, "Target": path, "ReadOnly": read_only, "VolumeOptions": {"NoCopy": True},
    }  # fmt: skip


def _limit(name: str, most: int) -> dict[str, Any]:
    return {"Name": name, "Soft": most, "Hard": most}

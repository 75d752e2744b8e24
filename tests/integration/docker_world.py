"""A real Docker Engine or Podman, or why there is none; an image of one static busybox; the command in a process."""

from __future__ import annotations

import functools
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runtime.docker_api_client import DockerApi
from storage.errors import UnavailableError
from tests.integration.podman_world import podman
from tests.requirements_gate import need, required

PODMAN = "podman"

IMAGE = "bacalhau-test:busybox"
OF_USER = "bacalhau-test:user"
APPLETS = "sh cat echo env id ls mkdir mkfifo sleep touch wc tr yes head ln true grep rm seq".split(" ")  # noqa: SIM905
PLACES = ("/bin/busybox", "/usr/bin/busybox")


def connect() -> DockerApi:
    return DockerApi.connect(os.environ)


@functools.cache
def absence() -> str:
    """Why the tests cannot run; empty if they can."""
    try:
        with connect() as api:
            for name, changes in (
                (IMAGE, None),
                (OF_USER, ["USER 1234:1234", 'ENTRYPOINT ["/bin/echo"]', 'CMD ["said"]']),
            ):
                if api.image(name) is None:
                    _import(api, name, changes)
    except UnavailableError as error:
        return str(error)
    except FileNotFoundError as error:
        return str(error)
    return ""


@contextmanager
def engine_of_tests() -> Iterator[None]:
    """Have DOCKER_HOST name an engine: the environment's, or a Podman of our own where BACALHAU_REQUIRE lists that."""
    if PODMAN not in required():
        need("docker", not absence(), absence())
        yield
        return
    assert "docker" not in required(), "Docker and Podman are for two runs of these tests"
    with podman() as address, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", address)
        need(PODMAN, not absence(), absence())
        yield


def _import(api: DockerApi, name: str, changes: list[str] | None) -> None:
    repository, _, tag = name.partition(":")
    said = api._client.import_image_from_data(root_image(), repository=repository, tag=tag, changes=changes)
    made = json.loads(said.strip().splitlines()[-1])
    api._client.tag(made.get("id") or made["status"], repository, tag)  # Podman 4.3 leaves the tag out


def root_image() -> bytes:
    """A file system of busybox, with something at /outputs, of root."""
    binary = next((path for path in PLACES if _is_static(path)), None)
    if binary is None:
        raise FileNotFoundError(f"no static busybox at {' or '.join(PLACES)}: apt-get install busybox-static")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        directories = [("bin", 0o755), ("etc", 0o755), ("tmp", 0o1777), ("outputs", 0o755)]
        for name, mode in directories:
            info = tarfile.TarInfo(name)
            info.type, info.mode = tarfile.DIRTYPE, mode
            archive.addfile(info)
        archive.add(binary, "bin/busybox", recursive=False)
        for name in APPLETS:
            info = tarfile.TarInfo(f"bin/{name}")
            info.type, info.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(info)
        archive.addfile(tarfile.TarInfo("outputs/of-the-image"), io.BytesIO())
    return buffer.getvalue()


def _is_static(path: str) -> bool:
    if not Path(path).is_file() or shutil.which("ldd") is None:
        return Path(path).is_file()
    said = subprocess.run(["ldd", path], capture_output=True, text=True, check=False)
    return "not a dynamic executable" in said.stdout + said.stderr


def ours() -> tuple[list[str], list[str]]:
    """All containers and volumes that have a label of ours."""
    with connect() as api:
        filters = {"label": ["org.bacalhau.home"]}
        containers = [one["Id"] for one in api._client.containers(all=True, filters=filters)]
        volumes = [one["Name"] for one in api._client.volumes(filters=filters)["Volumes"] or []]
    return sorted(containers), sorted(volumes)  # an engine tells them in any order


class Command:
    """`bacalhau` on a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def _line(self, arguments: tuple[object, ...]) -> list[str]:
        return [sys.executable, "-m", "bacalhau", *map(str, arguments)]

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "BACALHAU_DIR": str(self.home), "NO_COLOR": "1"}

    def __call__(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._line(arguments), capture_output=True, text=True, env=self.environment, check=False, timeout=120
        )

    def run(self, *arguments: object, code: int = 0) -> dict:
        said = self("run", "docker", "--json", *arguments)
        assert said.returncode == code, said.stderr
        return json.loads(said.stdout)

    @contextmanager
    def started(self, *arguments: object) -> Iterator[subprocess.Popen[str]]:
        """Start a run of which the program prints `ready`, and wait until its container is there."""
        with subprocess.Popen(
            self._line(("run", "docker", *arguments)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
        ) as process:
            try:
                for line in process.stderr:
                    if "running the container" in line:
                        break
                yield process
            finally:
                process.kill()

"""A container under Podman, whose service this test starts itself: it speaks the same API, and differs in details."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from runtime.container_engine import IncompleteRunError
from runtime.container_lease_store import ContainerLeases
from runtime.docker_api_client import DockerApi
from runtime.docker_engine import DockerEngine
from storage.errors import UnavailableError
from tests.integration.docker_world import PLACES, root_image
from tests.integration.test_docker import Yard
from tests.requirements_gate import need

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("docker")]
IMAGE = "localhost/bacalhau-test:latest"


def absence():
    if shutil.which("podman") is None:
        return "no podman here: apt-get install podman"
    if os.geteuid():
        return "it is started as root here"
    return "" if any(Path(place).exists() for place in PLACES) else "no busybox: apt-get install busybox-static"


@pytest.fixture
def podman():
    """The environment that names a service of its own, in a folder that goes with the test."""
    need("podman", not absence(), absence())
    with tempfile.TemporaryDirectory(prefix="podman-") as name:  # it takes no path of more than 50 letters
        yield from serve(Path(name))


def serve(folder):
    socket = folder / "sock"
    line = ["podman", "--root", folder / "root", "--runroot", folder / "run", "--storage-driver", "vfs"]
    line += ["--cgroup-manager", "cgroupfs", "--events-backend", "file", "system", "service", "--time", "0"]
    environment = {"DOCKER_HOST": f"unix://{socket}"}
    with subprocess.Popen([*map(str, line), f"unix://{socket}"], stderr=subprocess.PIPE, text=True) as service:
        try:
            api = None
            while service.poll() is None and api is None:  # it ends, or listens
                try:
                    api = DockerApi.connect(environment)
                except UnavailableError:
                    continue
            need("podman", api is not None, f"its service ends: {service.stderr.read() if api is None else ''}")
            with api:
                api._client.import_image_from_data(
                    root_image(outputs=False), repository="localhost/bacalhau-test", tag="latest"
                )
            yield environment
        finally:
            service.terminate()
            service.wait(60)


def test_a_container_runs_under_podman(podman, tmp_path):
    def connect():
        return DockerApi.connect(podman)

    yard = Yard(tmp_path)
    yard.engine = DockerEngine(connect=connect, leases=ContainerLeases(tmp_path / "containers"), gate=yard.gate)
    (tmp_path / "in").write_text("data\n")
    script = "cat /inputs/data; id -u; ls /sys/class/net; touch /etc/x 2>/dev/null && echo wrote; echo x > /outputs/y"
    run, files = yard.run(f"{script}; exit 7", image=IMAGE, data=str(tmp_path / "in"))
    assert (run.exit_code, files["stdout"]) == (7, "data\n65534\nlo\n")
    assert files["outputs/outputs/y"] == "x\n"
    assert (run.engine.name, set(files)) == ("podman", {"exit_code", "outputs/outputs/y", "result", "stderr", "stdout"})
    endless = yard.plan("echo so far; exec sleep 600", image=IMAGE, timeout_s=1.0)
    with pytest.raises(IncompleteRunError, match="took longer than 1 s") as caught:
        yard.engine.run(endless, yard.store)
    assert caught.value.stdout == b"so far\n"
    with connect() as api:
        assert api._client.containers(all=True) == []
        assert not api._client.volumes()["Volumes"]

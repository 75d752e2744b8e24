"""Podman's service, started for the tests of containers: it speaks Docker's API, and differs in details."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.docker_api_client import DockerApi
from storage.errors import UnavailableError
from tests.requirements_gate import need


def absence() -> str:
    """Why there is none; empty if there is one."""
    if shutil.which("podman") is None:
        return "no podman here: apt-get install podman"
    return "it is started as root here" if os.geteuid() else ""


@contextmanager
def podman() -> Iterator[str]:
    """Give the address of a service of our own, in a folder that goes with it."""
    need("podman", not absence(), absence())
    with tempfile.TemporaryDirectory(prefix="podman-") as name:  # it takes no path of more than 50 letters
        folder = Path(name)
        address = f"unix://{folder}/sock"
        line = ["podman", "--root", folder / "root", "--runroot", folder / "run", "--storage-driver", "vfs"]
        line += [
            "--cgroup-manager",
            "cgroupfs",
            "--events-backend",
            "file",
            "system",
            "service",
            "--time",
            "0",
            address,
        ]
        with (
            (folder / "log").open("w") as log,
            subprocess.Popen([*map(str, line)], stderr=log, cwd=folder) as service,
        ):
            try:
                listens = _listens(service, address)
                need("podman", listens, f"its service ends: {(folder / 'log').read_text()}")
                yield address
            finally:
                service.terminate()
                service.wait(60)


def _listens(service: subprocess.Popen[bytes], address: str) -> bool:
    """Return when it listens, or has ended."""
    while service.poll() is None:
        try:
            DockerApi.connect({"DOCKER_HOST": address}).__exit__()
        except UnavailableError:
            continue
        return True
    return False

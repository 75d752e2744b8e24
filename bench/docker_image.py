"""The native Python as a Docker image, made from this machine's own files: nothing is pulled."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tarfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from bench.native import NativePython
from bench.processes import ProgramFailedError, run_program, running

_WHERE = (
    "import json, os, sys, sysconfig;"
    "print(json.dumps([os.path.realpath(sys.executable), sysconfig.get_path('stdlib'), sys.prefix]))"
)
_LEFT_OUT = ("site-packages", "dist-packages", "test", "idlelib", "ensurepip", "lib2to3", "turtledemo")
_LIBRARY = re.compile(rb"(/\S+) \(0x")


class NoDockerError(RuntimeError):
    """Docker cannot be measured here; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerImage:
    """An imported image."""

    name: str
    binary: Path
    """Of Python, inside."""
    version: str
    """Of Docker's daemon."""

    def run(self, code: str) -> bytes:
        """Run a script in a fresh container without network, and return what it printed."""
        container = f"bacalhau-bench-{uuid.uuid4().hex}"
        options = ["--rm", "--network", "none", "--name", container]
        command = ["docker", "run", *options, self.name, str(self.binary), "-c", code]
        try:
            return run_program(command)
        except BaseException:
            # The container outlives a client that was killed.
            subprocess.run(["docker", "rm", "--force", container], capture_output=True, check=False)
            raise

    def remove(self) -> None:
        """Delete the image."""
        subprocess.run(["docker", "image", "rm", "--force", self.name], capture_output=True, check=False)


def make_image(native: NativePython) -> DockerImage:
    """Import an image with the native Python, its packages and its shared libraries, all at their own paths.

    Raises:
        NoDockerError: there is no Docker here, or it does not run the image.
    """
    if shutil.which("docker") is None:
        raise NoDockerError("Docker not there")
    try:
        version = run_program(["docker", "info", "--format", "{{.ServerVersion}}"]).decode().strip()
    except ProgramFailedError as error:
        raise NoDockerError("Docker not there (its daemon does not answer)") from error
    image = DockerImage(name=f"bacalhau-bench:{uuid.uuid4().hex}", binary=native.binary, version=version)
    try:
        _import(native, image.name)
        image.run("import pandas")
    except BaseException as error:
        image.remove()
        if isinstance(error, ProgramFailedError):
            raise NoDockerError(f"Docker does not run the image: {error}") from error
        raise
    return image


def _import(native: NativePython, name: str) -> None:
    with running(["docker", "import", "-", name]) as client:
        pipe = cast("IO[bytes]", client.stdin)
        try:
            with pipe, tarfile.open(fileobj=pipe, mode="w|") as tar:
                for inside, path in _files(native):
                    tar.add(path, arcname=str(inside).lstrip("/"), recursive=False)
        except BrokenPipeError as error:
            raise ProgramFailedError("docker import ended early") from error
        if client.wait() != 0:
            raise ProgramFailedError(f"docker import: status {client.returncode}")


def _files(native: NativePython) -> Iterator[tuple[Path, Path]]:
    """Yield (path inside, path here) of what Python needs."""
    real, stdlib, prefix = json.loads(run_program([native.binary, "-c", _WHERE]))
    trees = [Path(real), *_below(Path(stdlib), _LEFT_OUT), *_below(Path(prefix), ())]
    binaries = [Path(real), *(path for path in trees if path.suffix == ".so" and path.is_file())]
    # A library's name is often a link to the file of one version.
    libraries = {path: path.resolve() for path in _libraries(binaries)}
    yield from {**libraries, **{path: path for path in trees}}.items()


def _below(folder: Path, left_out: tuple[str, ...]) -> Iterator[Path]:
    for path, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in left_out]
        for name in [*files, *(name for name in folders if (Path(path) / name).is_symlink())]:
            yield Path(path) / name


def _libraries(binaries: list[Path]) -> list[Path]:
    """Return what the dynamic linker loads for some binaries, each under the name it is asked for."""
    found = subprocess.run(["ldd", *map(str, binaries)], capture_output=True, check=False).stdout
    return sorted({Path(os.path.normpath(os.fsdecode(path))) for path in _LIBRARY.findall(found)})

"""JavaScript engines that can host the runtime: Node by default, others for a diverse second opinion.

A host only says how its process is started; what runs in it is the same files in the same order.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import js_host
from runtime.engine_settings import engine_flags
from runtime.node_client import find_node
from storage.errors import UnavailableError, UserError

HOSTS: Final = ("node", "bun")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineHost:
    """An installed JavaScript engine."""

    name: str
    """One of HOSTS."""
    version: str
    arch: str
    """Of the machine that the engine believes to run on, as Python names it: `x86_64`, `aarch64`."""
    binary: Path
    launcher: tuple[str, ...] = ()
    """What stands before the binary: an emulator."""

    def command(self, runtime_dir: Path, stack_bytes: int) -> list[str]:
        """Return the command that runs the worker; the caller adds the worker's arguments."""
        flags = engine_flags(self.name, runtime_dir, stack_bytes)
        return [*self.launcher, str(self.binary), *flags, str(runtime_dir / "worker.mjs")]

    @property
    def isolation(self) -> tuple[str, ...]:
        """Layers that the engine itself adds."""
        return ("node-permission",) if self.name == "node" else ()


def find_host(name: str) -> EngineHost:
    """Return an installed engine.

    Raises:
        UserError: the name is unknown.
        UnavailableError: it is not installed, or does not run.
    """
    if name == "node":
        node = find_node()
        return EngineHost(name="node", version=node.version, arch=node.arch, binary=node.binary)
    if name != "bun":
        raise UserError(f"engine {name!r} is unknown", where="--engine", fix=f"choose one of {', '.join(HOSTS)}")
    found = shutil.which("bun") or next(map(str, _bun_packages()), None)
    if found is None:
        raise UnavailableError("Bun is not installed", where="--engine bun", fix="install it: npm install --global bun")
    return describe_host("bun", Path(found))


def describe_host(name: str, binary: Path, *, launcher: tuple[str, ...] = (), arch: str = "") -> EngineHost:
    """Return the host for a binary, asking it for its version.

    Raises:
        UnavailableError: it does not run.
    """
    try:
        command = [*launcher, str(binary), "--version"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        raise UnavailableError(f"{name} does not run: {error}", where=str(binary), fix="install it again") from error
    version = done.stdout.strip().removeprefix("v")
    return EngineHost(name=name, version=version, arch=arch or platform.machine(), binary=binary, launcher=launcher)


def _bun_packages() -> list[Path]:
    """Return Bun's binaries among the npm packages beside ours."""
    return sorted((js_host.npm_manifest_dir() / "node_modules" / "@oven").glob("bun-*/bin/bun"))

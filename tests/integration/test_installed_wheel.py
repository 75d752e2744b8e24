"""The built wheel works without the checkout: installed as a tool, in another directory, nothing cached of ours."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import uv

from bacalhau import __version__
from tests.requirements_gate import need, required

ROOT = Path(__file__).parents[2]
PIPX = "pipx==1.8.0"

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("wheel")]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the checkout."""
    dist = tmp_path_factory.mktemp("dist")
    build = [uv.find_uv_bin(), "build", "--quiet", "--wheel", "--no-build-isolation", "--python", sys.executable]
    subprocess.run([*build, "--out-dir", dist, ROOT], check=True, env=environment())
    (found,) = dist.glob("*.whl")
    return found


def environment() -> dict[str, str]:
    """Return that of a person who has no checkout."""
    return {name: text for name, text in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}


def installed(command: list[str | Path], places: dict[str, str]) -> None:
    """Install; what a registry does not give is no failure of ours."""
    done = subprocess.run(command, env=environment() | places, capture_output=True, text=True)
    need("registry", done.returncode == 0, done.stderr[-400:])


def test_uv_installs_it_as_a_tool_that_runs_in_another_directory(wheel: Path, tmp_path: Path) -> None:
    places = {"UV_TOOL_DIR": str(tmp_path / "tools"), "UV_TOOL_BIN_DIR": str(tmp_path / "bin")}
    installed([uv.find_uv_bin(), "tool", "install", "--quiet", "--python", sys.executable, wheel], places)
    assert {path.name for path in (tmp_path / "bin").iterdir()} == {"bacalhau", "bacalhau-audit"}
    shutil.copytree(ROOT / "functions" / "word_count", tmp_path / "work" / "word_count")
    command = [
        tmp_path / "bin" / "bacalhau",
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
        env={**environment(), "BACALHAU_DIR": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=300,
    )
    need("registry", done.returncode != 4, done.stderr[-400:])
    assert done.returncode == 0, done.stderr
    assert "fetching Pyodide" in done.stderr
    expected = json.loads((ROOT / "functions" / "word_count" / "expected.json").read_text())
    assert json.loads(done.stdout)["output"] == expected["output"]


def test_pipx_installs_it_with_its_manual(wheel: Path, tmp_path: Path) -> None:
    need("pipx", "pipx" in required(), "takes half a minute; run it with BACALHAU_REQUIRE=pipx")
    places = {f"PIPX_{name}": str(tmp_path / name.lower()) for name in ("HOME", "BIN_DIR", "MAN_DIR")}
    installed([uv.find_uv_bin(), "tool", "run", "--from", PIPX, "pipx", "install", wheel], places)
    assert (tmp_path / "man_dir" / "man1" / "bacalhau.1").is_file()
    said = subprocess.run(
        [tmp_path / "bin_dir" / "bacalhau", "version", "--json"],
        cwd=tmp_path,
        env={**environment(), "BACALHAU_DIR": str(tmp_path / "home")},
        capture_output=True,
        check=True,
        text=True,
    )
    assert json.loads(said.stdout)["bacalhau"] == __version__

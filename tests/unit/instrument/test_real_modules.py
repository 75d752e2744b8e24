"""Every module that functions are made of goes through the rewriter, and the engine accepts what comes out.

BACALHAU_WHEELS names a folder of Pyodide wheels; without it only the main module is tried.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

import js_host
from runtime.instrumentation_client import InstrumentedCache, Rewriter
from runtime.node_client import find_node
from runtime.release import PLATFORM, PYODIDE_FILES
from runtime.wheel_index import index_wheel
from tests.requirements_gate import need

MAIN = js_host.npm_manifest_dir() / "node_modules" / "pyodide" / "pyodide.asm.wasm"


@pytest.fixture
def cache(tmp_path: Path) -> InstrumentedCache:
    return InstrumentedCache(tmp_path, Rewriter(host_dir=js_host.HOST_DIR, node=find_node()))


def wheels() -> list[Path]:
    folder = os.environ.get("BACALHAU_WHEELS", "")
    return sorted(Path(folder).glob(f"*{PLATFORM}.whl")) if folder else []


def test_the_pinned_main_module(cache: InstrumentedCache) -> None:
    need("pyodide", MAIN.is_file(), f"{MAIN} is not there; `make setup` installs it")
    assert hashlib.sha256(MAIN.read_bytes()).hexdigest() == PYODIDE_FILES["pyodide.asm.wasm"]
    pack = cache.open_main(MAIN)
    with pack.file:
        (module,) = pack.modules
        growth = module.size / MAIN.stat().st_size
    assert 1.05 < growth < 1.15


def test_the_side_modules_of_wheels(cache: InstrumentedCache) -> None:
    found = wheels()
    need("wheels", bool(found), "BACALHAU_WHEELS names no folder with Pyodide wheels")
    for wheel in found:
        with wheel.open("rb") as file:
            members = index_wheel(file, where=wheel.name)
            pack = cache.open_wheel(file, hashlib.sha256(wheel.read_bytes()).hexdigest(), members, where=wheel.name)
        with pack.file:
            expected = {member.path for member in members if member.path.endswith(".so")}
            assert {module.name for module in pack.modules} == expected, wheel.name

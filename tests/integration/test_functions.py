"""The eight functions give the outputs that are written down beside them.

`make expected` (BACALHAU_UPDATE_EXPECTED=1) writes them anew, after a change that is meant to change them.
"""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from runtime.engine import Execution
from runtime.prepare import prepare
from runtime.pyodide_engine import PyodideEngine
from runtime.request import Request
from storage.cid import cid_text
from storage.sqlite_block_store import SqliteBlockStore
from storage.unixfs_read import UnixfsReader

FUNCTIONS = Path(__file__).parents[2] / "functions"
NAMES = sorted(path.parent.name for path in FUNCTIONS.glob("*/function.py"))

pytestmark = pytest.mark.integration


def execute(name: str, home: Path, caches: Path) -> tuple[Execution, dict[str, str]]:
    directory = FUNCTIONS / name
    (data,) = directory.glob("input.*")
    with SqliteBlockStore(home / "blocks.sqlite") as store, ExitStack() as stack:
        engine = PyodideEngine(runtimes_dir=home / "runtimes", wheels_dir=caches / "wheels")
        stack.callback(engine.stop)
        request = Request(function=directory, data=str(data))
        plan = prepare(request, store=store, cache_dir=home / "cache", engine=engine)
        execution = engine.execute(plan, store)
        reader = UnixfsReader(store)
        stderr = reader.read_bytes(reader.resolve(execution.output, "stderr"), 1 << 20)
    return execution, {"stderr": stderr.decode()}


def test_there_are_eight() -> None:
    assert len(NAMES) == 8


@pytest.mark.parametrize("name", NAMES)
def test_output_is_the_expected_one(name: str, tmp_path: Path, caches: Path) -> None:
    file = FUNCTIONS / name / "expected.json"
    execution, texts = execute(name, tmp_path, caches)
    assert execution.exit_code == 0, texts["stderr"]
    found = {"output": cid_text(execution.output)}
    if os.environ.get("BACALHAU_UPDATE_EXPECTED"):
        file.write_text(json.dumps(found) + "\n")
    assert found == json.loads(file.read_text())

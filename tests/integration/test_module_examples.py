"""The modules in `functions/modules` give the outputs written down beside them, and are what their sources make.

`make expected` (BACALHAU_UPDATE_EXPECTED=1) writes the outputs anew, after a change that is meant to change them.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from storage.cid import cid_text
from tests.integration.test_wasm import House, asked, can_clang, house  # noqa: F401
from tests.requirements_gate import need

FUNCTIONS = Path(__file__).parents[2] / "functions" / "modules"
NAMES = sorted(path.parent.name for path in FUNCTIONS.glob("*/main.wasm"))
pytestmark = pytest.mark.integration


def test_there_is_one() -> None:
    assert NAMES == ["kmers"]


@pytest.mark.parametrize("name", NAMES)
def test_output_is_the_expected_one(house: House, name: str) -> None:  # noqa: F811
    (data,) = (FUNCTIONS / name).glob("input.*")
    execution = house.run(FUNCTIONS / name / "main.wasm", data=str(data))
    assert execution.exit_code == 0, house.text(execution, "stderr")
    found = {"output": cid_text(execution.output)}
    file = FUNCTIONS / name / "expected.json"
    if os.environ.get("BACALHAU_UPDATE_EXPECTED"):
        file.write_text(json.dumps(found) + "\n")
    assert found == json.loads(file.read_text())


@pytest.mark.parametrize("name", NAMES)
def test_the_module_is_what_its_source_makes(name: str, tmp_path: Path) -> None:
    """By the command in its SOURCE.md, to the byte, with the compiler that is named there."""
    asked("clang-wasm", can_clang(), "clang, lld, wasi-libc and libclang-rt-dev-wasm32 of Debian")
    note = (FUNCTIONS / name / "SOURCE.md").read_text()
    (command,) = re.findall(r"^    (clang .*)$", note, re.MULTILINE)
    (version,) = re.findall(r"^clang (\S+) with wasi-libc", note, re.MULTILINE)
    has = subprocess.run([str(shutil.which("clang")), "--version"], capture_output=True, text=True, check=True).stdout
    need("clang-wasm", version in has, f"this is not clang {version}, but {has.splitlines()[0]}")
    folder = f"functions/modules/{name}"
    made = [str(tmp_path / "main.wasm") if word == f"{folder}/main.wasm" else word for word in shlex.split(command)]
    subprocess.run(made, check=True, cwd=FUNCTIONS.parents[1])
    assert (tmp_path / "main.wasm").read_bytes() == (FUNCTIONS / name / "main.wasm").read_bytes()

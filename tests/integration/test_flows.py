"""The flows of functions/flows in the real Node: outputs, what a change runs again, and the program that is built."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import zlib
from functools import partial
from pathlib import Path

import pytest

import bacalhau
from bacalhau.cli.main import main
from bacalhau.home import Home
from bacalhau.services import Services
from runtime.prepare import prepare
from runtime.pyodide_engine import PyodideEngine
from storage.cid import cid_text
from storage.sqlite_pins import hold

FLOWS = Path(__file__).parents[2] / "functions" / "flows"
SLOW = os.environ.get("BACALHAU_SLOW_TESTS") == "1"
EXPECTED = {
    "length": "38", "crc32": f"{zlib.crc32(b'Bacalhau com natas: aaaabbb 0123456789'):08x}",
    "adler32": f"{zlib.adler32(b'Bacalhau com natas: aaaabbb 0123456789'):08x}", "fnv1a": "bb3af8f8e0d57877",
    "base64": "QmFjYWxoYXUgY29tIG5hdGFzOiBhYWFhYmJiIDAxMjM0NTY3ODk=", "rle": "66", "utf8": "38",
}  # fmt: skip

pytestmark = pytest.mark.integration


@pytest.fixture
def services(house, caches, tmp_path):
    """A home of this test's own; runtime, images and wheels are those that all tests share."""

    def make_engine(host="node", **how):
        return PyodideEngine(runtimes_dir=house.home / "runtimes", wheels_dir=caches / "wheels")

    def plan(request, *, store, engine, progress, report, note):
        return prepare(
            request, store=store, cache_dir=house.home / "cache", engine=engine, progress=progress, report=report,
            note=note, hold=partial(hold, store),
        )  # fmt: skip

    return Services(
        home=Home(tmp_path / "home"),
        make_engine=make_engine,
        prepare=plan,
        knows_runtime=lambda runtime: True,
        make_runtime=lambda store: None,
    )


def run(services, capsys, flow, *arguments):
    nodes = ("--concurrency", "2") if SLOW else ("--concurrency", "1", "--confidence", "1")
    code = main(["run", "flow", str(flow), "--json", *nodes, *arguments], services)
    said = capsys.readouterr()
    assert code == 0, said.err
    return json.loads(said.out)


def test_word_count_over_a_tree_of_texts(services, capsys, tmp_path):
    folder = tmp_path / "word_tree"
    shutil.copytree(FLOWS / "word_tree", folder)
    report = run(services, capsys, folder / "flow.yaml", "--arg", "batch=4", "--arg", "top=2")
    said = json.loads(report["result"])
    assert said == {"distinct": 633, "files": 12, "top": [["the", 21], ["in", 15]], "words": 1081}
    assert {step["name"]: step["tasks"] for step in report["steps"]} == {"count": 3, "total": 1, "report": 1}

    # A word more in one text: its batch, and what is above it.
    with (folder / "texts" / "la" / "gallia.txt").open("a") as text:
        text.write("the the\n")
    report = run(services, capsys, folder / "flow.yaml", "--arg", "batch=4", "--arg", "top=2")
    assert json.loads(report["result"])["top"][0] == ["the", 23]
    assert {step["name"]: step["tasks"] - step["cached"] for step in report["steps"]} == {
        "count": 1, "total": 1, "report": 1,
    }  # fmt: skip
    for row in report["shards"]:
        assert main(["audit", row["record"], "--json"], services) == 0
        assert json.loads(capsys.readouterr().out)["verdict"] == "valid"


def test_a_c_library_is_compiled_and_linked(services, capsys, tmp_path):
    report = run(services, capsys, FLOWS / "c_library" / "flow.yaml", "--arg", f"batch={1 if SLOW else 13}")
    said = json.loads(report["result"])
    assert said["objects"] == 13
    assert {"_start", "main", "crc32", "sort", "utf8_length"} <= set(said["symbols"])
    assert main(["get", report["job"], "--output-dir", str(tmp_path / "built")], services) == 0
    program = tmp_path / "built" / "outputs" / "outputs" / "program"
    assert program.read_bytes()[:4] == b"\x7fELF"
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        pytest.skip("the program is one for Linux on x86-64")
    program.chmod(0o755)
    out = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    lines = [line.split() for line in out.splitlines()]
    assert dict(lines) == EXPECTED | {"sorted": "9"}
    assert [value for name, value in lines if name == "sorted"] == ["0", "1", "2", "4", "5", "6", "8", "9"]


def test_a_flow_in_python(services, tmp_path):
    (tmp_path / "shout.py").write_text("def main(data, mark='!'):\n    return data.read().decode().upper() + mark\n")
    flow = bacalhau.Flow(services=services)
    first = flow.step(code="print('hello', end='')")
    result = flow.run(flow.step(tmp_path / "shout.py", data=first / "stdout", args={"mark": "?"}), concurrency=2)
    assert (result.verified, result.read()) == (True, b"HELLO?")
    assert main(["audit", cid_text(result.record)], services) == 0

"""What this command publishes or hands on is audited by the small install: `verifier`, `storage`, four libraries.

The files are made by the real commands over a fake engine, and audited all by one process that can import nothing else.
That a wheel of these two packages installs and runs is in tests/integration/test_auditors_install.py.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from storage.cid import cid_text
from tests.unit.bacalhau.fakes import FakeEngine, Gave, fake_prepare
from tests.unit.bacalhau.test_run_wasm import plans_of_modules

FLOW = """
flow: 1
steps:
  one:
    function: f.py
    data: texts/a
  two:
    function: f.py
    data: ${one/result}
"""
ROOT = Path(__file__).parents[3]
ALLOWED = ("verifier", "storage", "cryptography", "libipld", "mmh3", "packaging")
AUDITOR = f"""
import contextlib, io, json, sys

class OnlyThese:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names or top.startswith("_") or top in {ALLOWED!r}:
            return None
        raise ImportError(f"the small install has no {{name}}")

sys.meta_path.insert(0, OnlyThese())
sys.path.insert(0, {str(ROOT)!r})
from verifier.audit_cli import main
said = []
for arguments in json.load(sys.stdin):
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        code = main([*arguments, "--json"])
    said.append([code, json.loads(printed.getvalue())])
print(json.dumps(said))
"""


def small_audits(*calls):
    """Return the exit code and the report of each call of `bacalhau-audit`."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", AUDITOR], input=json.dumps([[str(one) for one in call] for call in calls]),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def published(desk, tmp_path):
    """Files of every kind: {name: (file, number of roots, number of the first check of each)}."""
    (tmp_path / "f.py").write_text("def main(data): return data.read().upper()\n")
    (tmp_path / "texts").mkdir()
    for name in "abc":
        (tmp_path / "texts" / name).write_text(f"content of {name}")
    files = {}

    def handed_on(name, report, roots=1):
        """What `get` lays beside a result, and what `publish` makes of it: a graph."""
        assert desk("get", report["job"], "--output-dir", f"{name}-got").code == 0
        files[f"{name} handed on"] = (tmp_path / f"{name}-got" / "record.car", roots, 1)
        said = desk("publish", report["job"], "--to", f"car:{name}.car", "--json")
        assert said.code == 0, said.err
        files[f"{name} published"] = (tmp_path / f"{name}.car", 1, 21)

    run = ("run", "python", "f.py", "--json")
    desk.engine = FakeEngine(lambda _number, plan, _store: Gave(result=cid_text(plan.task).encode()))
    first = desk(*run, "-i", "texts/a").json
    child = desk(*run, "-i", f"{first['record']}/output/result", "--arg", "n=2").json
    handed_on("function", child)
    handed_on("shards", desk(*run, "-i", "texts", "--sharding-glob-pattern", "/*").json, roots=3)
    (tmp_path / "flow.yaml").write_text(FLOW)
    said = desk("run", "flow", "flow.yaml", "--json")
    assert said.code == 0, said.err
    handed_on("flow", said.json)
    cell = {
        "cell_type": "code",
        "id": "1",
        "metadata": {},
        "source": "print(1)",
        "outputs": [],
        "execution_count": None,
    }
    (tmp_path / "n.ipynb").write_text(json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    desk.engine = FakeEngine(lambda *_: Gave(outputs={"notebook.ipynb": b"{}"}))
    handed_on("notebook", desk("run", "notebook", "n.ipynb", "out.ipynb", "--json").json)
    desk.prepare = plans_of_modules([])
    handed_on("module", desk("run", "wasm", "main.wasm", "--json", "--", "-x").json)
    desk.prepare = fake_prepare
    assert desk("graph", "export", child["record"], "--format", "car", "-o", "lineage.car").code == 0
    files["lineage"] = (tmp_path / "lineage.car", 2, 1)
    return files


def test_the_small_install_audits_everything_that_is_handed_on(published):
    calls = [(file, *more) for file, _, _ in published.values() for more in ((), ("--deep",))]
    found = iter(small_audits(*calls))
    for name, (_, roots, first) in published.items():
        for deep in (False, True):
            code, said = next(found)
            # What `get` hands on is one record; where it came from is in what `publish` and `graph export` make.
            is_missing = deep and name in ("function handed on", "flow handed on")
            assert (code, said["verdict"]) == ((4, "unchecked") if is_missing else (0, "valid")), (name, deep, said)
            assert [one["checks"][0]["n"] for one in said["records"]] == [first] * roots, name
    damaged = published["function published"][0]
    data = damaged.read_bytes()
    damaged.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    ((code, said),) = small_audits([damaged])
    assert (code, said["verdict"]) == (1, "invalid")

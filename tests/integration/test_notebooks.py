"""Notebooks in the real guest: one of the standard library for everything that the runner does, and three real ones.

Each of the three makes an image: CI runs the one with figures on one node; BACALHAU_SLOW_TESTS=1 runs all on two.
"""

import json
import os
from functools import partial
from pathlib import Path

import nbformat
import pytest

from bacalhau.cli.main import main
from bacalhau.home import Home
from bacalhau.services import Services
from runtime.notebook_file import read_notebook
from runtime.notebook_function import function_files
from runtime.prepare import prepare
from runtime.pyodide_engine import PyodideEngine
from storage.sqlite_pins import hold
from tests.integration.conftest import assert_same_machine
from tests.unit.runtime.notebook_world import check_file, joined, notebook_of

FUNCTIONS = Path(__file__).parents[2] / "functions"
SLOW = os.environ.get("BACALHAU_SLOW_TESTS") == "1"
REAL = {
    "climate": ("plot", "C", {"window": "5"}),
    "wines": ("train_model", "98.3%", {}),
    "pendulum": (None, "1.0174", {"degrees": "30"}),
}

pytestmark = pytest.mark.integration


@pytest.fixture
def run(house, tmp_path):
    """Run cells as a function in the real guest."""

    def call(*cells, requirements=None, **request):
        path = tmp_path / "analysis.ipynb"
        path.write_text(json.dumps(notebook_of(*cells)))
        return house.run(function_files(read_notebook(path), requirements), **request)

    return call


def executed(outcome):
    data = outcome.bytes("outputs/outputs/notebook.ipynb")
    check_file(data)
    return json.loads(data)["cells"]


CELLS = (
    "import asyncio, random, sys, time\nfrom datetime import datetime\nprint(datetime.now().year)\nrandom.random()",
    {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": "n = 1", "outputs": [],
     "execution_count": None, "id": ""},
    "print(n, open('data').read(), sep=':')\nprint('also', file=sys.stderr)",
    "%%time\nawait asyncio.sleep(100)\nclass Rich:\n    def _repr_html_(self): return f'<b>{id(self)}</b>'\nRich()",
    "from IPython.display import Markdown, display\nhandle = display(Markdown('*x*'), display_id=True)",
    "handle.update(Markdown('*y*'))\n{'a': [1, 2], 'python': sys.version_info[:2]}",
)  # fmt: skip


def test_a_notebook_is_an_ordinary_repeatable_function(run):
    outcome = run(*CELLS, data=b"input", args=("n=3",))
    again = run(*CELLS, data=b"input", args=("n=3",))
    assert_same_machine(outcome, again)
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.result == ""
    assert outcome.stdout.startswith("2000\n3:input\n")
    assert outcome.stderr == "also\n"
    cells = executed(outcome)
    assert [cell.get("execution_count") for cell in cells] == [1, 2, 3, 4, 5, 6, 7]
    assert cells[2]["id"] == "injected-parameters"
    shown = joined(cells[4]["outputs"])
    assert "Wall time: 100 s (virtual clock)" in shown[0]["text"]
    assert shown[1]["data"]["text/html"].startswith("<b>")
    assert joined(cells[5]["outputs"])[0]["data"]["text/markdown"] == "*y*"
    assert joined(cells[6]["outputs"])[0]["data"]["text/plain"] == "{'a': [1, 2], 'python': (3, 14)}"


@pytest.mark.parametrize(
    ("source", "code", "name"),
    [
        ("def f():\n    return {}['x']\nf()", 1, "KeyError"),
        ("while True: pass", 152, "RunEnded"),
        ("x = []\nwhile True: x.append(bytearray(1 << 24))", 137, "MemoryError"),
        ("import os; os._exit(5)", 5, "RunEnded"),
    ],
)
def test_however_a_run_ends_the_notebook_until_then_is_there(run, source, code, name):
    outcome = run("print('before')\n1 + 1", source, "print('never')", fuel=3_000_000_000, memory="128Mb")
    assert outcome.exit_code == code, outcome.stderr
    cells = executed(outcome)
    assert joined(cells[0]["outputs"])[1]["data"]["text/plain"] == "2"
    assert cells[1]["outputs"][-1]["ename"] == name
    # What a cell raises leaves the runner time to add the cells that did not run.
    assert [cell["outputs"] for cell in cells[2:]] == ([] if name == "RunEnded" else [[]])
    if name == "KeyError":
        assert outcome.stderr.endswith("KeyError: 'x'\n")
        assert "File \"<cell 2>\", line 2, in f\n    return {}['x']" in outcome.stderr
        assert "_notebook" not in outcome.stderr


@pytest.fixture
def services(house, caches, tmp_path):
    """A home of this test's own; runtime, images and wheels are those that all tests share."""

    def make_engine(host="node", **how):
        return PyodideEngine(
            runtimes_dir=house.home / "runtimes",
            wheels_dir=caches / "wheels",
            checkpoints_dir=tmp_path / "checkpoints",
            checkpoint_after_s=0.0,
        )

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


def test_only_what_follows_the_first_changed_cell_runs_again(services, capsys, tmp_path):
    """And whoever audits the record runs all cells, and finds the same."""

    def run(*cells):
        path = tmp_path / "n.ipynb"
        path.write_text(json.dumps(notebook_of(*cells)))
        assert main(["run", "notebook", str(path), "--concurrency", "1", "--confidence", "1", "--json"], services) == 0
        said = capsys.readouterr()
        return json.loads(said.out), said.err

    cells = ("import random\nx = random.random()", "y = [x] * 1000\ntotal = sum(y)")
    run(*cells, "print(total)")
    report, said = run(*cells, "print(total / 2)")
    assert "node 1: notebook: cells 1 to 2 of 3 unchanged, going on from there" in said
    assert report["verdict"] == "agreed"
    assert main(["audit", report["record"], "--rerun", "--json"], services) == 0
    (rerun,) = json.loads(capsys.readouterr().out)["reruns"]
    assert (rerun["ok"], rerun["state_digest"]) == (True, report["state_digest"])


@pytest.mark.parametrize("name", sorted(REAL))
def test_three_real_notebooks_run_verify_and_are_whole(name, services, capsys, tmp_path):
    if not SLOW and name != "climate":
        pytest.skip("makes an image of its own: BACALHAU_SLOW_TESTS=1 runs it")
    nodes = ("--concurrency", "2") if SLOW else ("--concurrency", "1", "--confidence", "1")
    data, said, parameters = REAL[name]
    out = tmp_path / "executed.ipynb"
    call = ["run", "notebook", str(FUNCTIONS / "notebooks" / f"{name}.ipynb"), str(out), "--json", *nodes]
    call += ["-i", str(FUNCTIONS / data / "input.csv")] if data else []
    call += [part for key, value in parameters.items() for part in ("-p", f"{key}={value}")]
    assert main(call, services) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["verdict"] == "agreed"
    assert report["same_state"]
    check_file(out.read_bytes())
    assert said in out.read_text()
    notebook = nbformat.read(out, as_version=4)
    kinds = {kind for cell in notebook.cells for output in cell.get("outputs", ()) for kind in output.get("data", ())}
    assert (
        kinds
        >= {
            "climate": {"text/html", "image/png"},
            "wines": {"text/html", "text/markdown"},
            "pendulum": {"text/latex"},
        }[name]
    )
    assert main(["audit", report["record"]], services) == 0

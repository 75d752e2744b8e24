import json

import pytest

from bacalhau.cli import run_notebook, run_python
from runtime.notebook_function import SEED
from tests.unit.bacalhau.fakes import FakeEngine, Gave


@pytest.fixture
def notebook(tmp_path):
    cells = [
        ("n = 1", ["parameters"]),
        ("print(n)", []),
    ]
    made = [
        {"cell_type": "code", "id": str(number), "metadata": {"tags": tags}, "source": text}
        | {"outputs": [], "execution_count": None}
        for number, (text, tags) in enumerate(cells)
    ]
    path = tmp_path / "analysis.ipynb"
    path.write_text(json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return path


def executed(content=b"{}", **more):
    return FakeEngine(lambda number, plan, store: Gave(outputs={"notebook.ipynb": content}, **more))


def test_the_executed_notebook_is_written(desk, notebook, tmp_path):
    desk.engine = executed(b"executed")
    said = desk("run", "notebook", notebook, "out.ipynb", "-p", "n=3", "--json")
    assert said.code == 0, said.err
    assert (tmp_path / "out.ipynb").read_bytes() == b"executed"
    assert said.json["verdict"] == "agreed"
    assert "executed notebook is in out.ipynb" in said.err
    assert "output is in" not in said.err
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []


def test_parameters_change_the_input_and_not_the_function(desk, notebook):
    reports = [json.loads(desk("run", "notebook", notebook, "-p", f"n={n}", "--json").text) for n in (3, 4)]
    assert reports[0]["function"] == reports[1]["function"]
    assert reports[0]["input"] != reports[1]["input"]
    plan = desk("run", "notebook", notebook, "-p", "n=3", "--dry-run", "--json").json
    assert (plan["entry"], plan["args"], plan["task"]) == ("main", {"n": 3}, reports[0]["task"])


def test_what_cells_draw_does_not_depend_on_other_cells(desk, notebook):
    """Every notebook has the same seed, so that a node can go on from what it has kept of one; see --no-cache."""
    seen = []

    def note(number, plan, store):
        seen.append((plan.input.seed, bool(plan.checkpoints_of)))
        return Gave(outputs={"notebook.ipynb": b"{}"})

    desk.engine = FakeEngine(note)
    one_node = ("--concurrency", "1", "--confidence", "1")
    desk("run", "notebook", notebook, *one_node)
    desk("run", "notebook", notebook, *one_node, "--no-cache")
    desk("run", "notebook", notebook, *one_node, "--seed", "00ff")
    assert seen == [(SEED, True), (SEED, False), ("00ff", True)]


def test_without_a_place_it_says_where_the_notebook_is(desk, notebook):
    desk.engine = executed()
    said = desk("run", "notebook", notebook)
    assert said.code == 0
    assert "/outputs/outputs/notebook.ipynb > executed.ipynb" in said.err
    there = desk("run", "notebook", notebook, "--output-dir", "there")
    assert "output is in" in there.err


def test_a_cell_that_failed_is_verified_and_kept(desk, notebook, tmp_path):
    desk.engine = executed(b"so far", exit_code=1, stderr=b"ZeroDivisionError\n")
    said = desk("run", "notebook", notebook, "out.ipynb")
    assert said.code == 3
    assert (tmp_path / "out.ipynb").read_bytes() == b"so far"


def test_without_agreement_nothing_is_written(desk, notebook, tmp_path):
    (tmp_path / "out.ipynb").write_bytes(b"old")
    desk.engine = FakeEngine(lambda number, plan, store: Gave(outputs={"notebook.ipynb": str(number).encode()}))
    said = desk("run", "notebook", notebook, "out.ipynb")
    assert said.code == 1
    assert (tmp_path / "out.ipynb").read_bytes() == b"old"
    assert "is not written" in said.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["out.ipynb", "--dry-run"], "nothing is written"),
        (["out.txt"], "ends in .ipynb"),
        (["nowhere/out.ipynb"], "mkdir -p nowhere"),
        (["analysis.ipynb"], "is the notebook itself"),
        (["-p", "m=1"], "no parameter 'm'; it has: n"),
        (["-r", "nothing.txt"], "cannot be read"),
        (["--arg", "n=1"], "No such option"),
        (["--sharding-glob-pattern", "/*"], "No such option"),
    ],
)
def test_wrong_calls(desk, notebook, arguments, said):
    answer = desk("run", "notebook", notebook, *arguments)
    assert answer.code == 2
    assert answer.out == b""
    assert said in answer.err
    assert desk.engine.calls == 0


def test_a_missing_notebook_is_told(desk):
    assert "cannot be read: no such file" in desk("run", "notebook", "nothing.ipynb").err


def test_a_cell_that_cannot_run_is_told_before_anything_does(desk, notebook):
    notebook.write_text(notebook.read_text().replace("print(n)", "!ls"))
    said = desk("run", "notebook", notebook)
    assert (said.code, desk.engine.calls) == (2, 0)
    assert "analysis.ipynb code cell 2: there is no shell" in said.err


def test_flags_are_those_of_run_python_but_for_what_means_nothing():
    ours = {param.name for param in run_notebook.command.params}
    theirs = {param.name for param in run_python.command.params}
    assert theirs - ours == {
        "function", "code", "entry", "deterministic",
        "glob_pattern", "base_path", "batch_size", "max_failures",
    }  # fmt: skip
    assert ours - theirs == {"notebook", "executed"}

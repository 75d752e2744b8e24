import json
import sys

import nbformat
import pytest

from runtime.notebook_file import MOST_CELLS, read_notebook
from storage.errors import UserError


def node(*cells, minor=5, **metadata):
    return {"cells": list(cells), "metadata": metadata, "nbformat": 4, "nbformat_minor": minor}


def code(source="x = 1", **more):
    cell = {"cell_type": "code", "metadata": {}, "execution_count": 3, "outputs": [], "source": source}
    return cell | {"id": "a1"} | more


@pytest.fixture
def read(tmp_path):
    def call(content):
        path = tmp_path / "n.ipynb"
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return read_notebook(path)

    return call


def text_of(notebook):
    return json.dumps(notebook.node(), sort_keys=True)


def refusal(read, content):
    with pytest.raises(UserError) as refused:
        read(content)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 600
    return str(refused.value)


def test_what_an_editor_leaves_is_dropped(read):
    output = {"output_type": "stream", "name": "stdout", "text": ["old\n"]}
    marks = {"collapsed": True, "ExecuteTime": {"x": 1}, "tags": ["parameters"], "slideshow": {"slide_type": "slide"}}
    kept = {"tags": marks["tags"], "slideshow": marks["slideshow"]}
    text = {"cell_type": "markdown", "metadata": {}, "attachments": {"a": {"text/plain": "x"}}}
    worn = node(
        code(["x = 1\r\n", "y"], outputs=[output], metadata=marks),
        text | {"id": "b", "source": "# T"},
        kernelspec={"name": "venv", "display_name": "My kernel", "language": "python"},
        language_info={"name": "python", "version": "3.9"},
        widgets={"x": 1},
        title="T",
    )
    clean = node(
        code("x = 1\ny", id="other", execution_count=None, metadata=kept),
        text | {"id": "z", "source": ["# T"]},
        title="T",
    )
    found = read(worn)
    assert text_of(found) == text_of(read(clean))
    written = nbformat.reads(text_of(found), as_version=nbformat.NO_CONVERT)
    nbformat.validate(written)
    assert [cell.id for cell in written.cells] == ["cell-1", "cell-2"]
    assert written.cells[0].metadata == {"tags": ["parameters"], "slideshow": {"slide_type": "slide"}}
    assert written.cells[0].outputs == []
    assert written.metadata.kernelspec.name == "python3"


def test_older_formats_are_the_same_notebook(read):
    def old(minor):
        cell = code()
        del cell["id"]
        return node(cell, minor=minor)

    assert {text_of(read(old(minor))) for minor in range(5)} == {text_of(read(node(code())))}
    third = {
        "metadata": {"name": ""}, "nbformat": 3, "nbformat_minor": 0,
        "worksheets": [{"cells": [{"cell_type": "code", "collapsed": False, "input": ["x = 1"], "language": "python",
                                   "metadata": {}, "outputs": [], "prompt_number": 1}], "metadata": {}}],
    }  # fmt: skip
    assert [dict(cell)["source"] for cell in read(third).cells] == ["x = 1"]


def test_ids_may_be_missing_or_twice(read):
    cell = code()
    del cell["id"]
    other = read(node(code(), code(id="q"), code(id="r")))
    assert text_of(read(node(cell, code(), code()))) == text_of(other)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff", "is no notebook"),
        (b"[" * 100_000, "is no notebook"),
        (b"[]", "it has no cells"),
        (b'{"cells": [], "nbformat": NaN}', "NaN is not JSON"),
        (b'{"cells": [{"source": "\\ud800"}], "nbformat": 4}', "is no notebook"),
        ({"nbformat": 4, "cells": 3}, "it has no cells"),
        ({"cells": []}, "names no format"),
        ({"cells": [], "nbformat": 2, "nbformat_minor": 0}, "format 2"),
        ({"cells": [], "nbformat": 9, "nbformat_minor": 0}, "format 9"),
        (node({"cell_type": "code"}), "no valid notebook of format 4.5: cells[0]"),
        (node(code(outputs=[{"output_type": "stream"}])), "no valid notebook"),
        ({"cells": [code()], "nbformat": 4, "nbformat_minor": 5}, "no valid notebook"),
        (node(), "has no code"),
        (node(code(" \n")), "has no code"),
        (node(code(), kernelspec={"name": "ir", "display_name": "R", "language": "R"}), "notebook in R"),
        (node(code(), language_info={"name": "julia"}), "notebook in julia"),
        (node(*[code()] * (MOST_CELLS + 1)), "1000 are the most"),
        (node(code(), bacalhau={"requirements": "pandas"}), "no list of requirements"),
    ],
)
def test_what_is_no_notebook_is_refused_in_one_line(read, content, said):
    assert said in refusal(read, content)


def test_requirements_of_the_metadata(read):
    found = read(node(code(), bacalhau={"requirements": ["pandas==3.0.2"]}))
    assert found.requirements == ("pandas==3.0.2",)
    assert found.node()["metadata"]["bacalhau"] == {"requirements": ["pandas==3.0.2"]}
    assert read(node(code())).requirements is None


def test_without_nbformat_one_line_says_what_to_install(read, monkeypatch):
    monkeypatch.setitem(sys.modules, "nbformat", None)
    assert "pip install 'bacalhau[notebooks]'" in refusal(read, node(code()))


def test_numbers_are_jupyters(read):
    found = read(node(code("a"), code(""), {"cell_type": "raw", "id": "r", "metadata": {}, "source": "x"}, code("b")))
    assert list(found.code_cells()) == [(1, "a"), (2, "b")]

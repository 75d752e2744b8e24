import base64
import json
import warnings

import pytest

from runtime.notebook_guest import recorder, runner
from runtime.notebook_guest.cell_files import CellFiles, cell_files
from runtime.notebook_guest.document import Document
from runtime.notebook_guest.recorder import Recorder
from tests.unit.runtime.notebook_world import cell, check_file, last, notebook_of, restored, run_cells


@pytest.fixture
def run(tmp_path):
    return lambda *cells, given=None: run_cells(tmp_path, *cells, given=given)


def test_cells_share_a_namespace_and_the_last_value_is_shown(run):
    ran = run("x = 20", "# Text", "y = x + 1\ny * 2", "_ + Out[3] + _3", "In[1], x;  # no")
    assert ran.code == 0
    assert ran.outputs == []
    assert [one["execution_count"] for one in ran.cells] == [1, 2, 3, 4, 5]
    assert ran.cells[2]["outputs"] == [
        {"output_type": "execute_result", "execution_count": 3, "data": {"text/plain": ["42"]}, "metadata": {}}
    ]
    assert ran.cells[3]["outputs"][0]["data"] == {"text/plain": ["126"]}


def test_cells_without_code_have_no_number(run):
    ran = run("1", cell("# Title", kind="markdown"), "  \n", cell("raw", kind="raw"), "2")
    assert [one.get("execution_count") for one in ran.cells] == [1, None, None, None, 2]
    assert ran.cells[2]["outputs"] == []


def test_streams_are_kept_in_their_order(run):
    ran = run(
        "import sys\nprint('a')\nprint('b', end='')\nprint('c', file=sys.stderr)\n"
        "sys.stdout.write('d\\n')\ndisplay(1)\nprint('e')"
    )
    assert [(one.get("name"), one.get("text")) for one in ran.outputs] == [
        ("stdout", "a\nb"), ("stderr", "c\n"), ("stdout", "d\n"), (None, None), ("stdout", "e\n"),
    ]  # fmt: skip
    assert (ran.stdout, ran.stderr) == ("a\nbd\ne\n", "c\n")


def test_whoever_keeps_a_stream_writes_into_the_cell_that_runs(run):
    ran = run("import sys\nkept = sys.stdout", "kept.write('later\\n'); kept.flush()")
    assert ran.outputs[0]["text"] == "later\n"


def test_an_error_ends_the_run_and_is_kept(run):
    ran = run("def f(x):\n    return 1 / x", "print('before')\nf(0)", "print('never')")
    assert ran.code == 1
    assert ran.cells[2]["execution_count"] is None
    said, error = ran.outputs
    assert said["text"] == "before\n"
    assert (error["ename"], error["evalue"]) == ("ZeroDivisionError", "division by zero")
    text = "\n".join(error["traceback"])
    assert text.startswith('Traceback (most recent call last):\n  File "<cell 2>", line 2, in <module>\n    f(0)')
    assert 'File "<cell 1>", line 2, in f\n    return 1 / x' in text
    assert "notebook_guest" not in text
    assert ran.stderr == f"{text}\n"


def test_an_error_that_is_expected_is_kept_and_the_run_goes_on(run):
    ran = run(cell("1 / 0", "raises-exception"), "2")
    assert ran.code == 0
    assert ran.cells[0]["outputs"][0]["ename"] == "ZeroDivisionError"
    assert ran.outputs[0]["data"] == {"text/plain": "2"}
    assert ran.stderr == ""


@pytest.mark.parametrize(
    ("source", "code", "name"),
    [
        ("x = = 1", 1, "SyntaxError"),
        ("import sys; sys.exit(7)", 7, "SystemExit"),
        ("raise SystemExit", 0, "SystemExit"),
        ("raise SystemExit('no')", 1, "SystemExit"),
        ("raise MemoryError", 137, "MemoryError"),
        ("raise KeyboardInterrupt", 1, "KeyboardInterrupt"),
        ("import asyncio; raise asyncio.CancelledError", 1, "CancelledError"),
        ("!ls", 1, "UsageError"),
        ("class E(Exception):\n    def __str__(self): raise ValueError\nraise E", 1, "E"),
    ],
)
def test_how_a_cell_can_end(run, source, code, name):
    ran = run(source, "print('never')")
    assert ran.code == code
    assert ran.outputs[-1]["ename"] == name
    assert ran.cells[1]["execution_count"] is None


def test_causes_and_groups_are_told_without_our_frames(run):
    ran = run("try:\n    {}['x']\nexcept KeyError as error:\n    raise ExceptionGroup('g', [ValueError(1)]) from error")
    text = "\n".join(ran.outputs[0]["traceback"])
    assert "KeyError: 'x'" in text
    assert "ValueError: 1" in text
    assert "runner.py" not in text


def test_await_at_the_top(run):
    ran = run(
        "import asyncio\nasync def f(): await asyncio.sleep(0); return 3\ntask = asyncio.create_task(f())",
        "await task",
        "for i in range(2):\n    await asyncio.sleep(0)\nx = await f()\nx + 1",
    )
    assert ran.cells[1]["outputs"][0]["data"] == {"text/plain": ["3"]}
    assert ran.outputs[0]["data"] == {"text/plain": "4"}


def test_what_is_imported_from_the_future_holds(run):
    ran = run("from __future__ import annotations", "def f(x: nowhere): ...\nf.__annotations__")
    assert ran.outputs[0]["data"] == {"text/plain": "{'x': 'nowhere'}"}


def test_cells_are_the_main_module(run):
    ran = run(
        "import pickle, inspect\nclass Point:\n    x = 1\ndef f():\n    return 1\n",
        "pickle.loads(pickle.dumps(Point())).x, __name__, inspect.getsource(f)",
    )
    assert ran.outputs[0]["data"]["text/plain"] == "(1, '__main__', 'def f():\\n    return 1\\n')"


def test_rich_representations(run):
    ran = run(
        "class Rich:\n"
        "    def __repr__(self): return 'plain'\n"
        "    def _repr_html_(self): return '<b>x</b>\\n<i>y</i>'\n"
        "    def _repr_png_(self): return b'\\x89PNG', {'width': 3}\n"
        "    def _repr_json_(self): return {'a': [1, 2.5, None]}\n"
        "    def _repr_latex_(self): return None\n"
        "    def _repr_svg_(self): raise ValueError('no picture')\n"
        "    def _repr_mimebundle_(self, include=None, exclude=None): return {'application/x+json': {'b': [1]}}\n"
        "Rich()"
    )
    said, shown = ran.outputs
    assert "ValueError: no picture" in said["text"]
    assert shown["data"] == {
        "text/plain": "plain", "text/html": "<b>x</b>\n<i>y</i>", "application/json": {"a": [1, 2.5, None]},
        "image/png": base64.b64encode(b"\x89PNG").decode(), "application/x+json": {"b": [1]},
    }  # fmt: skip
    assert shown["metadata"] == {"image/png": {"width": 3}}
    assert ran.code == 0


def test_what_is_no_medium_is_left_out(run):
    ran = run("class Bad:\n    def _repr_html_(self): return 3\n    def _repr_json_(self): return float('nan')\nBad()")
    assert [list(one.get("data", ())) for one in ran.outputs] == [[], ["text/plain"]]
    assert "text/html is given as int" in ran.outputs[0]["text"]
    said, shown = run("display(3, metadata={'a': {1}})").outputs
    assert (shown["metadata"], "not JSON serializable" in said["text"]) == ({}, True)
    everything = (
        "class Any:\n    def __getattr__(self, name): return lambda *a: 1\n    def __repr__(self): return 'any'\n"
    )
    assert run(f"{everything}Any()").outputs[0]["data"] == {"text/plain": "any"}
    assert run("class Rich:\n    def _repr_html_(self): return ''\nRich").outputs[0]["data"].keys() == {"text/plain"}


def test_containers_are_laid_out(run):
    ran = run("{'name' * 8: list(range(12)), 'b': {3, 1, 2}, 'text': 'x' * 200}")
    text = ran.outputs[0]["data"]["text/plain"]
    assert text.splitlines()[1] == " 'b': {1, 2, 3},"
    assert "x" * 200 in text


def test_display_and_its_module(run):
    ran = run(
        "from IPython.display import HTML, JSON, Image, Latex, Markdown, Math, Pretty, SVG, display\n"
        "import IPython\n"
        "display(HTML('<b>'), Markdown('*x*'), Latex('$x$'), Math('x'), SVG('<svg/>'), JSON('[1]'))\n"
        "display(Image(b'\\x89PNG\\r\\n\\x1a\\nx', width=9), Image(url='https://host/x.png?a=1&b=\"'))\n"
        "display({'text/html': '<i>'}, raw=True)\n"
        "IPython.get_ipython() is get_ipython() and get_ipython().__class__.__name__\n"
    )
    assert [sorted(one["data"].keys() - {"text/plain"}) for one in ran.outputs] == [
        ["text/html"], ["text/markdown"], ["text/latex"], ["text/latex"], ["image/svg+xml"], ["application/json"],
        ["image/png"], ["text/html"], ["text/html"], [],
    ]  # fmt: skip
    assert ran.outputs[6]["metadata"] == {"image/png": {"width": 9}}
    assert ran.outputs[7]["data"]["text/html"] == '<img src="https://host/x.png?a=1&amp;b=&quot;"/>'
    assert ran.outputs[9]["data"]["text/plain"] == "'ZMQInteractiveShell'"
    assert "no network" in run("from IPython.display import HTML\nHTML(url='https://x')").outputs[0]["evalue"]


def test_libraries_find_that_they_are_in_a_notebook(run):
    """As SymPy's init_printing, Matplotlib and tqdm ask."""
    ran = run(
        "import IPython\nfrom IPython.core.getipython import get_ipython as get\n"
        "from IPython.lib.latextools import latex_to_png\n"
        "from IPython.terminal.interactiveshell import TerminalInteractiveShell\n"
        "ip = get()\nip.events.register('post_execute', lambda: print('after'))\n"
        "try:\n    import IPython.kernel\nexcept ModuleNotFoundError: pass\n"
        "(isinstance(ip, TerminalInteractiveShell), latex_to_png('x'), IPython.lib.pretty.pretty([1]),\n"
        " IPython.version_info >= (8, 24), 'IPKernelApp' in ip.config, ip.colors)"
    )
    assert ran.outputs[0]["data"]["text/plain"] == "(False, None, '[1]', True, False, 'neutral')"
    assert ran.outputs[1]["text"] == "after\n"


def test_what_was_shown_can_be_replaced_also_later(run):
    ran = run("handle = display('a', display_id=True)\ndisplay('b')", "handle.update('c')")
    assert [one["data"]["text/plain"] for one in ran.cells[0]["outputs"]] == [["'c'"], ["'b'"]]
    assert ran.outputs == []


def test_output_can_be_cleared(run):
    ran = run(
        "from IPython.display import clear_output\nfor i in range(3):\n    clear_output(wait=True)\n    print(i)\n",
        "print('x')\nclear_output()",
        "print('x')\nclear_output(wait=True)",
    )
    assert [[one["text"] for one in each["outputs"]] for each in ran.cells] == [[["2\n"]], [], [["x\n"]]]


@pytest.mark.parametrize(("source", "shown"), [("1  # a;", True), ("'#';", False), ("'x;'", True), ("1;\n\n", False)])
def test_a_semicolon_at_the_end_shows_nothing(run, source, shown):
    assert bool(run(source).outputs) == shown


def test_warnings_of_the_text_come_once(run):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run("'\\d'\n%time 3")
    assert [(one.filename, "invalid escape" in str(one.message)) for one in caught] == [("<cell 1>", True)]


def test_outputs_that_find_no_room_end_the_run_and_leave_a_whole_file(run, monkeypatch):
    saved = []

    def write(document, data, real=Document._write):
        saved.append(data)
        if b"too much" in data:
            real(document, data[: len(data) // 2])
            raise OSError("No space left on device")
        real(document, data)

    monkeypatch.setattr(Document, "_write", write)
    ran = run("1", "print('too', 'much')", "2")
    assert ran.code == 1
    assert ran.outputs[0]["ename"] == "OSError"
    assert "no room" in ran.stderr
    assert len(ran.cells) == 3


def test_printers_that_write_on_a_page(run):
    ran = run(
        "plain = get_ipython().display_formatter.formatters['text/plain']\n"
        "plain.for_type(int, lambda n, p, cycle: p.text(f'<{n}>'))\n"
        "assert int in plain.type_printers",
        "3",
    )
    assert ran.outputs[0]["data"] == {"text/plain": "<3>"}


def test_formatters_can_be_registered(run):
    ran = run(
        "formatters = get_ipython().display_formatter.formatters\n"
        "formatters['text/latex'].for_type(int, lambda n: f'${n}$')\n"
        "formatters['text/html'].for_type_by_name('fractions', 'Fraction', lambda f: f'<sup>{f}</sup>')\n",
        "display(3)\nfrom fractions import Fraction\nFraction(1, 2)",
    )
    assert ran.outputs[0]["data"] == {"text/plain": "3", "text/latex": "$3$"}
    assert ran.outputs[1]["data"]["text/html"] == "<sup>1/2</sup>"


def test_magics(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ran = run(
        "%pip install a==1 b",
        "%%time\nx = 3\nx",
        "%time y = x + 1\n%time y",
        "%%html\n<b>bold</b>",
        "%%writefile notes.txt\nhello",
        "from pathlib import Path\nPath('notes.txt').read_text()",
        "%%writefile -a notes.txt\n!",
    )
    assert ran.code == 0, ran.stderr
    said = "a==1 b: locked with the function before it ran; nothing is installed now\n"
    assert ran.cells[0]["outputs"][0]["text"] == [said]
    said, value = ran.cells[1]["outputs"]
    assert "(virtual clock)" in said["text"][0]
    assert value["data"]["text/plain"] == ["3"]
    assert ran.cells[2]["outputs"][1]["data"]["text/plain"] == ["4"]
    assert ran.cells[3]["outputs"][0]["data"]["text/html"] == ["<b>bold</b>"]
    assert ran.cells[5]["outputs"][0]["data"]["text/plain"] == ["'hello'"]
    assert (tmp_path / "notes.txt").read_text() == "hello!"


def test_parameters_are_put_in_behind_their_cell(run):
    defaults = cell("n = 1\nname = 'x'", "parameters")
    ran = run("0", defaults, "n, name", given={"name": 'it\'s "b"', "n": None})
    assert [one["id"] for one in ran.cells] == ["cell-1", "cell-2", "injected-parameters", "cell-3"]
    assert "".join(ran.cells[2]["source"]) == "# Parameters\nn = None\nname = 'it\\'s \"b\"'"
    assert ran.cells[2]["metadata"] == {"tags": ["injected-parameters"]}
    assert ran.outputs[0]["data"]["text/plain"] == "(None, 'it\\'s \"b\"')"
    assert [one["id"] for one in run(defaults).cells] == ["cell-1"]
    late = run("0", cell("text", "parameters", kind="markdown"), given={"n": 2})
    assert [one["id"] for one in late.cells] == ["cell-1", "cell-2", "injected-parameters"]
    assert late.cells[2]["execution_count"] == 2
    assert [one["id"] for one in run("n", given={"n": 2}).cells] == ["injected-parameters", "cell-1"]


def test_halves_of_characters_do_not_break_the_file(run):
    ran = run("print('\\udc80 é \\u2028 x')\n'\\ud800'")
    assert ran.code == 0
    assert ran.outputs[0]["text"] == "\\udc80 é \u2028 x\n"


def test_outputs_are_bounded(run, monkeypatch):
    monkeypatch.setattr(runner, "Recorder", lambda: Recorder(most_bytes=1000, most_outputs=4))
    ran = run("print('x' * 900)\nprint('y' * 200)\nprint('z')", "for i in range(9): display(i)", "1 / 0")
    (first, cut) = ran.cells[0]["outputs"]
    assert first["text"] == ["x" * 900 + "\n"]
    assert "cut here" in "".join(cut["text"])
    assert len(ran.cells[1]["outputs"]) == 5
    assert "at most 4 outputs" in "".join(ran.cells[1]["outputs"][4]["text"])
    assert ran.outputs[-1]["ename"] == "ZeroDivisionError"
    long = run("raise ValueError('v' * 300_000)").outputs[-1]
    assert len(long["evalue"]) < recorder.MOST_ERROR_CHARACTERS + 100


def test_at_every_moment_the_file_is_a_whole_notebook(tmp_path):
    """A run that is out of fuel leaves what is there then."""
    path = tmp_path / "executed.ipynb"
    probe = f"import shutil\nshutil.copy({str(path)!r}, '{tmp_path}/seen%d');"
    ran = run_cells(tmp_path, "print('done')", probe % 1, cell("text", kind="markdown"), probe % 2)
    assert ran.code == 0
    for number, running in ((1, 1), (2, 3)):
        seen = (tmp_path / f"seen{number}").read_bytes()
        check_file(seen)
        cells = json.loads(seen)["cells"]
        assert cells[0]["outputs"][0]["text"] == ["done\n"]
        assert cells[running]["outputs"][0]["ename"] == "RunEnded"
        assert len(cells) == running + 1
    assert len(ran.cells) == 4


def test_a_document_is_written_from_the_first_changed_cell_on(tmp_path):
    notebook = notebook_of(*(f"x = {number}\n" for number in range(5)))
    cells = notebook.pop("cells")
    document = Document(notebook, tmp_path / "n.ipynb")
    for some in (cells[:2], cells[2:], []):
        document.add(some)
        check_file((tmp_path / "n.ipynb").read_bytes())
    for number in (4, 0, 2):
        document.cells[number]["source"] = f"y = {number}\n" * (number + 1)
        document.save((number,))
        check_file((tmp_path / "n.ipynb").read_bytes())
    document.close()
    sources = ["".join(one["source"]) for one in json.loads((tmp_path / "n.ipynb").read_bytes())["cells"]]
    assert sources == ["y = 0\n", "x = 1\n", "y = 2\n" * 3, "x = 3\n", "y = 4\n" * 5]


def test_nothing_of_a_cell_is_read_before_its_turn(tmp_path):
    files = {tmp_path / name: text for name, text in cell_files(notebook_of("x = 1", "x += 1", "x")).items()}
    (tmp_path / "_cells").mkdir()

    def give(*names):
        for name in names:
            (tmp_path / name).write_bytes(files[tmp_path / name])

    give("notebook.json", "_cells/1.json")
    with restored():
        steps = runner.Run(CellFiles(tmp_path, {}), tmp_path / "n.ipynb").steps()
        for more in (["_cells/2.json"], ["_cells/3.json"], ["_cells/end.json"]):
            next(steps)
            check_file((tmp_path / "n.ipynb").read_bytes())
            give(*more)
        assert last(steps) == 0
    found = json.loads((tmp_path / "n.ipynb").read_bytes())["cells"]
    assert found[2]["outputs"][0]["data"] == {"text/plain": ["2"]}


def test_cells_for_which_there_is_no_room_leave_a_whole_notebook(tmp_path):
    cells = notebook_of("x = 1", "y = 2")["cells"]
    document = Document({"metadata": {}, "nbformat": 4, "nbformat_minor": 5}, tmp_path / "n.ipynb")
    document.add(cells[:1])
    before = (tmp_path / "n.ipynb").read_bytes()
    write, calls = document._write, iter((OSError("No space left on device"), None))

    def full(data):
        if error := next(calls):
            raise error
        write(data)

    document._write = full
    with pytest.raises(OSError, match="No space left"):
        document.add(cells[1:])
    assert (tmp_path / "n.ipynb").read_bytes() == before
    document._write = write
    document.add(cells[1:])
    document.close()
    assert len(json.loads((tmp_path / "n.ipynb").read_bytes())["cells"]) == 2


def test_inputs_are_linked_into_the_working_directory(tmp_path):
    (tmp_path / "inputs" / "sub").mkdir(parents=True)
    (tmp_path / "inputs" / "data.csv").write_text("x")
    place = tmp_path / "work"
    place.mkdir()
    (place / "sub").write_text("mine")
    runner.link_inputs(tmp_path / "inputs", place)
    runner.link_inputs(tmp_path / "nowhere", place)
    assert (place / "data.csv").read_text() == "x"
    assert (place / "sub").read_text() == "mine"

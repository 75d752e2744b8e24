from dataclasses import dataclass, field

import pytest

import bacalhau
from bacalhau.notebook_magic import CellError, load_ipython_extension
from storage.cid import parse_cid
from storage.unixfs_read import UnixfsReader
from tests.unit.bacalhau.fakes import FakeEngine, Gave
from verifier.model import Function, load_node

MAIN = "def main(data):\n    return data.read()\n"


@dataclass
class FakeShell:
    user_ns: dict = field(default_factory=dict)
    magics: dict = field(default_factory=dict)

    def register_magic_function(self, func, magic_kind, magic_name):
        self.magics[magic_kind, magic_name] = func


@pytest.fixture
def shell(desk):
    shell = FakeShell()
    load_ipython_extension(shell, desk.services())
    return shell


@pytest.fixture
def run(shell):
    return shell.magics["cell", "bacalhau"]


def test_jupyter_finds_the_extension():
    assert bacalhau.load_ipython_extension is load_ipython_extension


def test_a_cell_is_run_and_its_record_shown(desk, run, shell):
    record = run(f"-i {desk.file(b'hello')} --to total", MAIN)
    assert record.report["verdict"] == "agreed"
    assert (record.result, record.value) == ("HELLO", "HELLO")
    assert shell.user_ns == {"total": record}
    assert desk.engine.calls == 3
    assert "verified: 3 of 3 nodes agree" in repr(record)
    assert record.report["record"] in record._repr_html_()


def test_what_a_function_wrote_is_no_html(desk, run):
    desk.engine = FakeEngine(lambda number, plan, store: Gave(result=b"<script>x</script>\x1b[31m", stdout=b"<b>&"))
    shown = run("", "print(1)")._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;x&lt;/script&gt;" in shown
    assert "&lt;b&gt;&amp;" in shown
    assert "\x1b" not in shown


def test_a_cell_without_main_is_a_script(desk, run):
    script, function = run("", "print('x')"), run("", MAIN)
    with desk.store() as store:
        entries = [load_node(store, parse_cid(one.report["function"]), Function).entry for one in (script, function)]
    assert entries == [None, "main"]


def test_a_cell_names_its_packages(desk, run):
    record = run("", f"# requirements: pandas==3.0.2\n{MAIN}")
    with desk.store() as store:
        function = load_node(store, parse_cid(record.report["function"]), Function)
        reader = UnixfsReader(store)
        assert reader.read_bytes(reader.resolve(function.source, "requirements.txt"), 100) == b"pandas==3.0.2\n"


def test_a_result_that_is_json_is_a_value(desk, run):
    desk.engine = FakeEngine(lambda number, plan, store: Gave(result=b'{"n": 3}'))
    assert run("", MAIN).value == {"n": 3}


def test_what_is_not_verified_stops_the_notebook(desk, run):
    desk.engine = FakeEngine(lambda number, plan, store: Gave(result=str(number).encode()))
    with pytest.raises(CellError) as stopped:
        run("--to x", MAIN)
    assert stopped.value._render_traceback_()[-1].startswith("not verified (split)")
    assert stopped.value.report["record"] is None


def test_a_failed_function_is_told_with_its_traceback(desk, run):
    desk.engine = FakeEngine(lambda number, plan, store: Gave(stderr=b"Traceback\nZeroDivisionError\n", exit_code=1))
    with pytest.raises(CellError) as stopped:
        run("", MAIN)
    assert stopped.value.lines == (
        "Traceback", "ZeroDivisionError", "verified: the function failed with exit code 1, 3 of 3 nodes agree",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("line", "cell", "said"),
    [
        ("--nonsense", MAIN, "No such option"),
        ("-c x", MAIN, "means nothing here"),
        ("--id-only", MAIN, "means nothing here"),
        ("--to", MAIN, "name of a variable"),
        ("--to 3x", MAIN, "name of a variable"),
        ("'", MAIN, "quotation"),
        ("-i nowhere.csv", MAIN, "nowhere.csv"),
        ("", "%pip install --user x\n", "--user"),
    ],
)
def test_wrong_lines(run, line, cell, said):
    with pytest.raises(CellError) as refused:
        run(line, cell)
    assert len(refused.value.lines) == 1
    assert said in refused.value.lines[0]

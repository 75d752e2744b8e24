import pytest

from runtime.notebook_guest import cell_source
from runtime.notebook_guest.cell_source import RefusedError, figure_formats, is_empty, packages_of, read_cell


def line(name, argument=""):
    return f"get_ipython().run_line_magic({name!r}, {argument!r})"


@pytest.mark.parametrize(
    ("text", "python"),
    [
        ("x = 1", "x = 1"),
        ("%matplotlib inline\nx = 1", f"{line('matplotlib', 'inline')}\nx = 1"),
        ("x = 1\n%time f(x)\n", f"x = 1\n{line('time', 'f(x)')}\n"),
        ("for i in x:\n    %time f(i)", f"for i in x:\n    {line('time', 'f(i)')}"),
        ("await x\n%time 3", f"await x\n{line('time', '3')}"),
        ("%load_ext autoreload\n%autoreload 2", f"{line('load_ext', 'autoreload')}\n{line('autoreload', '2')}"),
        ("%config InlineBackend.figure_format = 'svg'", line("config", "InlineBackend.figure_format = 'svg'")),
        # What looks like a magic and is Python.
        ("x = '''\n%matplotlib inline\n!ls\n'''", "x = '''\n%matplotlib inline\n!ls\n'''"),
        ("x = (7\n% 4)", "x = (7\n% 4)"),
        ("x = 7 \\\n% 4", "x = 7 \\\n% 4"),
        # What is neither is left to Python, which says so when the cell runs.
        ("x = = 1", "x = = 1"),
        ("print(\n%time x", "print(\n%time x"),
    ],
)
def test_line_magics_become_calls(text, python):
    assert read_cell(text, is_first=False).python == python


def test_cell_magics():
    timed = read_cell("\n%%time\nx = 1\n%time x", is_first=False)
    assert timed.is_timed
    assert timed.python == f"\n\nx = 1\n{line('time', 'x')}"
    assert read_cell("%%html\n<b>\n%x\n", is_first=False).python == (
        "get_ipython().run_cell_magic('html', '', '<b>\\n%x\\n')"
    )
    assert "writefile" in read_cell("%%writefile -a notes.txt\nx", is_first=False).python


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("!ls", "no shell"),
        ("files = !ls", "no shell"),
        ("!echo it's", "no shell"),
        ("x = %time 3", "gives no value"),
        ("foo?", "help"),
        ("?foo", "help"),
        ("%timeit f()", "clock is virtual"),
        ("%matplotlib widget", "%matplotlib widget is not supported"),
        ("%load_ext sql", "%load_ext sql is not supported"),
        ("%env X=1", "%env X=1 is not supported"),
        ("%config InlineBackend.rc = {}", "not supported"),
        ("%config InlineBackend.figure_format = 'bmp'", "not supported"),
        ("%%bash\nls", "%%bash is not supported; these are: %matplotlib inline"),
        ("%%time 3\n4", "below it"),
        ("%%writefile\nx", "one file name"),
        ("%%bacalhau -i x\nx", "for Jupyter"),
        ("%%\nx", "%% is not supported"),
        ("x = 1\n%pip install numpy", "first code cell"),
        ("x = 1\n!pip install numpy", "first code cell"),
    ],
)
def test_what_nothing_stands_behind_is_refused(text, said):
    with pytest.raises(RefusedError) as refused:
        read_cell(text, is_first=False)
    assert said in str(refused.value)


def test_packages_are_named_in_the_first_cell():
    assert packages_of("# requirements: pandas >=2, <3, numpy scipy==1.2\n# Requirements:x[y]>1") == (
        "pandas >=2, <3", "numpy", "scipy==1.2", "x[y]>1",
    )  # fmt: skip
    assert packages_of("%pip install -q a==1 'b<2'  # both\n!pip3 install c\nx = 1") == ("a==1", "b<2", "c")
    assert packages_of("# requirements:\nx = '# requirements: y'") == ()
    assert read_cell("%pip install a", is_first=True).python == line("pip", "install a")
    with pytest.raises(RefusedError, match="--index-url"):
        packages_of("%pip install --index-url https://x y")


def test_figure_formats():
    assert figure_formats("InlineBackend.figure_format = 'retina'") == ("retina",)
    assert figure_formats("InlineBackend.figure_formats={'svg', 'png'}") == ("png", "svg")
    assert figure_formats("InlineBackend.figure_format = open('x')") is None
    assert figure_formats("InlineBackend.figure_format = 'gif'") is None
    assert figure_formats("Other.figure_format = 'png'") is None


def test_empty_cells():
    assert is_empty(" \n")
    assert not is_empty("# a comment")


def test_magics_of_a_cell_are_bounded(monkeypatch):
    monkeypatch.setattr(cell_source, "MOST_MAGICS", 3)
    assert read_cell("%time 1\n" * 3, is_first=False).python == f"{line('time', '1')}\n" * 3
    with pytest.raises(RefusedError, match="at most 3"):
        read_cell("%time 1\n" * 4, is_first=False)

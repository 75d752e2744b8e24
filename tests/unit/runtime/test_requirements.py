import pytest

from runtime.requirements import normalised_text, parse_requirements
from storage.errors import UserError


def parse(text):
    return parse_requirements(text, python="3.14")


def test_order_comments_spelling_and_spacing_do_not_matter():
    one = parse("# data\nPandas >=3, <4   # frames\n\nPython_DateUtil[B,a]==2.9\n")
    two = parse("\ufeffpython-dateutil [a,b] == 2.9\r\npandas<4,>=3\npandas<4,>=3")
    assert normalised_text(one) == normalised_text(two) == "pandas<4,>=3\npython-dateutil[a,b]==2.9\n"


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n", "tk; sys_platform == 'win32'\n"])
def test_files_without_a_requirement_for_the_guest_are_empty(text):
    assert parse(text) == ()


@pytest.mark.parametrize(
    ("marker", "applies"),
    [
        ("sys_platform == 'emscripten'", True),
        ("platform_machine == 'wasm32'", True),
        ("python_version >= '3.14'", True),
        ("python_version < '3.14'", False),
        ("sys_platform == 'linux'", False),
        ("extra == 'test'", False),
    ],
)
def test_markers_are_evaluated_for_the_guest_not_the_host(marker, applies):
    assert bool(parse(f"alpha; {marker}")) is applies


def test_a_continued_line_counts_from_its_first_line():
    (line,) = parse("# one\n\nalpha \\\n  >=1 \\\n  # three\n")
    assert (line.text, line.place) == ("alpha>=1", "requirements.txt line 3")


@pytest.mark.parametrize(
    ("specifier", "pinned"), [("==1.2", True), ("==1.*", False), ("==1.2,!=1.3", False), ("", False)]
)
def test_pinned_means_one_version_only(specifier, pinned):
    assert parse(f"alpha{specifier}")[0].pinned is pinned


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("-r other.txt", "option -r "),
        ("-rother.txt", "option -r "),
        ("--requirement other.txt", "option --requirement "),
        ("-c c.txt", "option -c "),
        ("-e .", "option -e "),
        ("--index-url https://example.org/simple", "option --index-url "),
        ("--extra-index-url=https://example.org/simple", "option --extra-index-url "),
        ("--pre", "option --pre "),
        ("alpha==1 --hash=sha256:00", "option --hash "),
        ("git+https://example.org/alpha.git", "URL or path"),
        ("https://example.org/alpha-1-py3-none-any.whl", "URL or path"),
        ("alpha @ https://example.org/alpha-1-py3-none-any.whl", "URL"),
        ("./alpha", "URL or path"),
        ("alpha=1", "not a requirement"),
        ("alpha beta", "not a requirement"),
        ("alpha>=", "not a requirement"),
        ("alpha; python_versio > '3'", "not a requirement"),
    ],
)
def test_what_is_not_supported_is_refused_with_its_line_and_a_fix(line, problem):
    with pytest.raises(UserError) as caught:
        parse(f"beta\n{line}\n")
    assert problem in caught.value.problem
    assert caught.value.where == "requirements.txt line 2"
    assert caught.value.fix
    assert "\n" not in str(caught.value)

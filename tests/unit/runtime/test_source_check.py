"""What can be told of a function without running it, and what cannot."""

import ast

import pytest

from runtime.source_check import SyntaxProblem, check_entry, parse
from storage.errors import UserError


def check(source, entry="main", args=()):
    module = parse(source.encode(), "function.py")
    assert isinstance(module, ast.Module)
    check_entry(module, entry=entry, args=args, where="function.py")


@pytest.mark.parametrize(
    "source",
    [
        "def main(data): pass",
        "async def main(data): pass",
        "def main(): pass",
        "main = lambda data: 1",
        "main: object = print",
        "from helper import main",
        "from helper import run as main",
        "import main",
        "class main: pass",
        "a, (main, b) = 1, (2, 3)",
        "if True:\n  def main(data): pass",
        "try:\n  import x\nexcept ImportError:\n  def main(data): pass",
        "from helper import *",
        "globals()['main'] = print",
        "def __getattr__(name): return print",
        "exec('def main(data): pass')",
    ],
)
def test_an_entry_point_that_is_or_may_be_there(source):
    check(source)


@pytest.mark.parametrize("source", ["", "x = 1", "def other(data): pass", "def outer():\n  def main(data): pass"])
def test_an_entry_point_that_is_not_there(source):
    with pytest.raises(UserError, match="has no entry point 'main'"):
        check(source)


def test_the_error_names_what_there_is():
    with pytest.raises(UserError, match=r"it defines run, stop\).*--entry run"):
        check("def run(d): pass\ndef stop(d): pass\nx = 1")


@pytest.mark.parametrize(
    ("signature", "args"),
    [
        ("data, n", ["n"]),
        ("data, n=1", []),
        ("data, *, n", ["n"]),
        ("data, *, n=None", []),
        ("data, **more", ["anything"]),
        ("data, n, **more", ["n", "anything"]),
        ("data, *rest", []),
        ("", []),
        ("**more", ["x"]),
        ("*, n", ["n"]),
    ],
)
def test_arguments_that_fit(signature, args):
    check(f"def main({signature}): pass", args=args)


@pytest.mark.parametrize(
    ("signature", "args", "said"),
    [
        ("data", ["n"], r"takes no argument 'n'; it takes: none"),
        ("data, m, k=1", ["n"], r"function.py:1: main\(\) takes no argument 'n'; it takes: m, k"),
        ("data, n", [], r"needs the argument 'n'; give it with --arg n="),
        ("data, n, m=1, *, k", ["n"], "needs the argument 'k'"),
        ("data, /, n", [], "needs the argument 'n'"),
        ("data", ["data"], "'data' is the input itself"),
        ("table", ["table"], "'table' is the input itself"),
    ],
)
def test_arguments_that_do_not_fit(signature, args, said):
    with pytest.raises(UserError, match=said):
        check(f"def main({signature}): pass", args=args)


def test_a_decorated_function_may_take_anything():
    check("import functools\n@functools.cache\ndef main(data): pass", args=["n"])


@pytest.mark.parametrize(
    ("source", "line"),
    [(b"def f(:\n", 1), (b"x = 1\ny = (", 2), (b"\xff", 1), (b"x = '\0'", 1), (b"-" * 100_000 + b"1", 1)],
)
def test_what_does_not_parse_is_a_suspicion(source, line):
    problem = parse(source, "function.py")
    assert isinstance(problem, SyntaxProblem)
    assert problem.line == line
    assert problem.message

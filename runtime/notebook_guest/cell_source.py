"""A cell's text as Python: the few magics that mean something in the guest become calls, all others are refused. Pure.

A line is taken for a magic only where the text stops being Python at it, so that `%` inside of strings and brackets is
never mistaken. Line numbers stay as they are.
Source: https://ipython.readthedocs.io/en/stable/interactive/magics.html
"""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass

MOST_MAGICS = 100
"""Of one cell; the text is parsed once for each."""

_HERE = (
    "%matplotlib inline, %config InlineBackend.figure_format, %time, "
    "%%time, %%html, %%latex, %%markdown, %%svg, %%writefile"
)
_FIGURE_FORMATS = ("png", "retina", "svg")
_CELL_MAGICS = ("html", "latex", "markdown", "svg", "time", "writefile")
_CALL = "get_ipython().run_{kind}_magic({name!r}, {argument!r}{rest})"
_PIP = re.compile(r"[%!]\s*pip3?\s+install\s+(.*)")
_COMMENT = re.compile(r"#\s*requirements:\s*(.*)", re.IGNORECASE)
_BETWEEN = re.compile(r"\s*,\s*(?=[A-Za-z])|\s+(?=[A-Za-z])")
"""Before a name: in `pandas >=2, <3, numpy` only the last comma."""
_HARMLESS_OPTIONS = ("-q", "-qq", "--quiet", "-U", "--upgrade")


class RefusedError(Exception):
    """The cell asks for something that is not there; the message says for what, and what to do."""


@dataclass(frozen=True)
class CellSource:
    """What is run of a cell."""

    python: str
    is_timed: bool = False
    """By %%time."""


def read_cell(text: str, *, is_first: bool) -> CellSource:
    """Return what is run of a cell; is_first: it is the first code cell, where packages may be named.

    Raises:
        RefusedError: a magic, a shell command or a request for help that nothing stands behind.
    """
    head, _, body = text.lstrip().partition("\n")
    if not head.startswith("%%"):
        return CellSource(_without_magics(text, is_first=is_first))
    found = re.fullmatch(r"%%([A-Za-z_]\w*)[ \t]*(.*)", head.rstrip())
    name, argument = (found[1], found[2]) if found else (head.rstrip()[2:], "")
    if name == "bacalhau":
        raise RefusedError("%%bacalhau is for Jupyter: here every cell is verified already; remove the line")
    if name not in _CELL_MAGICS:
        raise RefusedError(f"%%{name} is not supported; these are: {_HERE}")
    if name == "time":
        if argument:
            raise RefusedError("%%time takes no arguments: write the statement below it")
        above = text[: len(text) - len(text.lstrip())].count("\n") + 1
        return CellSource("\n" * above + _without_magics(body, is_first=is_first), is_timed=True)
    if name == "writefile" and not re.fullmatch(r"(-a\s+|--append\s+)?\S+", argument):
        raise RefusedError("%%writefile takes one file name, and -a before it to append")
    return CellSource(_CALL.format(kind="cell", name=name, argument=argument, rest=f", {body!r}"))


def is_empty(text: str) -> bool:
    """Tell whether nothing of a cell is to be run: such cells have no number."""
    return not text.strip()


def packages_of(text: str) -> tuple[str, ...]:
    """Return the requirements that the first code cell names: `# requirements: …`, `%pip install …`.

    Raises:
        RefusedError: pip has an option with it that would mean something.
    """
    found: list[str] = []
    for line in text.split("\n"):
        if comment := _COMMENT.fullmatch(line.strip()):
            found += (part for part in _BETWEEN.split(comment[1].strip()) if part)
        elif pip := _PIP.fullmatch(line.strip()):
            found += _pip_packages(pip[1])
    return tuple(found)


def figure_formats(argument: str) -> tuple[str, ...] | None:
    """Return the formats that an argument of %config asks for, None if it asks for something else."""
    found = re.fullmatch(r"InlineBackend\.figure_formats?\s*=\s*(.+)", argument.strip())
    if found is None:
        return None
    try:
        value = ast.literal_eval(found[1])
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    names = [value] if isinstance(value, str) else list(value) if isinstance(value, (list, tuple, set)) else []
    return tuple(sorted(names)) if names and all(name in _FIGURE_FORMATS for name in names) else None


def _without_magics(text: str, *, is_first: bool) -> str:
    lines = text.split("\n")
    for _ in range(MOST_MAGICS + 1):
        number = _stops_at("\n".join(lines))
        call = _call(lines[number - 1], is_first=is_first) if number and number <= len(lines) else None
        if number is None or call is None:
            # Python to its end; or neither Python nor a magic, and Python itself says so when the cell runs.
            return "\n".join(lines)
        lines[number - 1] = call
    raise RefusedError(f"a cell has at most {MOST_MAGICS} lines with magics")


def _stops_at(text: str) -> int | None:
    """Return the line at which a text stops being Python, None if it is Python to the end."""
    flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they come when the cell is run
            compile(text, "<cell>", "exec", flags, dont_inherit=True)
    except SyntaxError as error:
        return error.lineno
    except (ValueError, RecursionError, MemoryError):
        return None
    return None


def _call(line: str, *, is_first: bool) -> str | None:
    """Return the call that stands for a line, with its indentation; None if it is no magic."""
    said = line.strip()
    indent = line[: len(line) - len(line.lstrip())]
    if pip := _PIP.fullmatch(said):
        if not is_first:
            raise RefusedError("packages are named in the first code cell, before anything runs: move the line there")
        return indent + _CALL.format(kind="line", name="pip", argument=f"install {pip[1]}", rest="")
    if said.startswith("!") or re.match(r"[\w.,\s\[\]]+=\s*!", said):
        raise RefusedError(f"there is no shell to run {said!r} in; do it in Python")
    if re.match(r"[\w.,\s\[\]]+=\s*%[A-Za-z]", said):
        raise RefusedError(f"a magic gives no value: {said!r}; write Python")
    if said.startswith("?") or said.endswith("?"):
        raise RefusedError(f"{said!r} asks a person's notebook for help; remove it, or write help(…)")
    magic = re.fullmatch(r"%([A-Za-z_]\w*)[ \t]*(.*)", said)
    if magic is None:
        return None
    _check_line_magic(magic[1], magic[2].partition(" #")[0].strip() if magic[1] != "time" else magic[2])
    return indent + _CALL.format(kind="line", name=magic[1], argument=magic[2], rest="")


def _check_line_magic(name: str, argument: str) -> None:
    if name == "matplotlib" and argument in ("", "inline", "agg", "Agg"):
        return
    if name == "config" and figure_formats(argument):
        return
    if name == "time" and argument:
        return
    if (name in ("load_ext", "reload_ext") and argument == "autoreload") or name == "autoreload":
        return
    if name == "timeit":
        raise RefusedError("%timeit measures nothing here: the clock is virtual; the run's fuel is what it cost")
    raise RefusedError(f"%{name} {argument}".rstrip() + f" is not supported; these are: {_HERE}")


def _pip_packages(arguments: str) -> list[str]:
    words = [word.strip("'\"") for word in arguments.partition(" #")[0].split()]
    found = [word for word in words if word not in _HARMLESS_OPTIONS]
    for word in found:
        if word.startswith("-"):
            raise RefusedError(f"pip's option {word} is not supported; name packages alone")
    return found

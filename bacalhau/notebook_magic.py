"""`%%bacalhau` in Jupyter: a cell becomes a function that several nodes run and agree on, and its record is shown.

    %load_ext bacalhau

    %%bacalhau -i prices.csv --arg column=price --to total
    # requirements: pandas==3.0.2
    def main(data, column): ...

The flags are those of `bacalhau run python`, and so is what happens: the command itself is called. A cell without
`main` is a script, and what it prints is its output. IPython is needed by nobody but whoever calls this from it.
"""

from __future__ import annotations

import html
import io
import json
import re
import shlex
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Protocol

from bacalhau.services import Services
from bacalhau.terminal_text import clean
from bacalhau.votes_text import votes_text
from runtime.notebook_guest.cell_source import RefusedError, packages_of

_REFUSED: Final = ("-c", "--id-only", "--dry-run", "--explain", "--no-wait", "--json", "--help")
"""They give no report of a run, or something else to run."""
_SHOWN: Final = 4_000
"""Characters of a text."""
_FIELDS: Final = ("function", "input", "output", "record", "task")
_GOOD, _BAD = "#137333", "#b3261e"


class Shell(Protocol):
    """What is asked of IPython's shell."""

    user_ns: dict[str, Any]

    def register_magic_function(self, func: Any, magic_kind: str, magic_name: str) -> None:
        """Make a function a magic."""
        ...


class CellError(Exception):
    """The cell was not run, or not verified, or its function failed; Jupyter shows these lines and no traceback."""

    def __init__(self, lines: tuple[str, ...], report: Mapping[str, Any] | None = None) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines
        self.report = report

    def _render_traceback_(self) -> list[str]:
        return list(self.lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class CellRecord:
    """What came of a cell: its result, and the record that proves it."""

    report: Mapping[str, Any]
    """What `bacalhau run python --json` prints."""

    @property
    def result(self) -> str | None:
        """The result as text; None if it is binary or long: `bacalhau cat OUTPUT/result` gives it."""
        result: str | None = self.report["result"]
        return result

    @property
    def value(self) -> Any:
        """The result as a value, if it is JSON, else as text."""
        try:
            return None if self.result is None else json.loads(self.result)
        except ValueError:
            return self.result

    def __repr__(self) -> str:
        lines = [_verdict(self.report), *(f"{name}  {self.report[name]}" for name in _FIELDS if self.report[name])]
        return "\n".join([*(_short(self.report[key]) for key in ("stdout", "result") if self.report[key]), *lines])

    def _repr_html_(self) -> str:
        texts = "".join(
            f"<pre>{html.escape(_short(self.report[key]))}</pre>"
            for key in ("stdout", "result", "stderr")
            if self.report[key]
        )
        rows = "".join(
            f"<tr><th>{name}</th><td><code>{html.escape(str(self.report[name]))}</code></td></tr>"
            for name in _FIELDS
            if self.report[name]
        )
        color = _GOOD if self.report["verdict"] in ("agreed", "cached") else _BAD
        said = f'<p style="color:{color}"><b>{html.escape(_verdict(self.report))}</b></p>'
        return f"<div>{texts}{said}<table>{rows}</table></div>"


def load_ipython_extension(shell: Shell, services: Services | None = None) -> None:
    """Register the magic: what `%load_ext bacalhau` calls."""

    def bacalhau(line: str, cell: str) -> CellRecord:
        """Run the cell on nodes that must agree, with the flags of `bacalhau run python`; --to NAME keeps it."""
        return run_cell(line, cell, shell, services)

    shell.register_magic_function(bacalhau, magic_kind="cell", magic_name="bacalhau")


def run_cell(line: str, cell: str, shell: Shell, services: Services | None = None) -> CellRecord:
    """Run a cell and return its record.

    Raises:
        CellError: as its docstring says.
    """
    flags, name = _flags(line)
    with TemporaryDirectory(prefix="bacalhau-cell-") as folder:
        code, out, err = _call([*flags, *_function(cell, flags, Path(folder))], services)
    lines = tuple(clean(err).strip().splitlines())
    try:
        report = json.loads(out)
    except ValueError:  # nothing ran; the last line says why
        raise CellError(lines[-1:] or (f"bacalhau ended with exit code {code}",)) from None
    record = CellRecord(report=report)
    if code:
        raise CellError((*clean(report["stderr"] or "").splitlines(), _verdict(report)), report)
    if name is not None:
        shell.user_ns[name] = record
    return record


def _flags(line: str) -> tuple[list[str], str | None]:
    """Return the flags of the command, and the name under which the record is kept."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError as error:
        raise CellError((f"%%bacalhau: {error}",)) from error
    for word in words:
        if word.partition("=")[0] in _REFUSED:
            raise CellError((f"%%bacalhau: {word} means nothing here; leave it out",))
    if "--to" not in words:
        return words, None
    place = words.index("--to")
    name = words[place + 1] if place + 1 < len(words) else ""
    if not name.isidentifier():
        raise CellError(("%%bacalhau: --to wants the name of a variable",))
    return words[:place] + words[place + 2 :], name


def _function(cell: str, flags: list[str], folder: Path) -> list[str]:
    """Write the cell down as a function, or give it as a script, and return the arguments that name it."""
    try:
        packages = packages_of(cell)
    except RefusedError as error:
        raise CellError((f"%%bacalhau: {error}",)) from error
    said: list[str] = []
    if packages and "-r" not in flags:
        (folder / "requirements").write_text("".join(f"{package}\n" for package in packages), encoding="utf-8")
        said = ["-r", str(folder / "requirements")]
    if re.search(r"^(async[ \t]+)?def[ \t]+main\b", cell, re.MULTILINE) is None and "--entry" not in flags:
        return [*said, "-c", cell]
    (folder / "function.py").write_text(cell, encoding="utf-8")
    return [*said, "--", str(folder / "function.py")]


def _call(arguments: list[str], services: Services | None) -> tuple[int, str, str]:
    """Return exit code, stdout and stderr of `bacalhau run python … --json`."""
    from bacalhau.cli.main import main

    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(["run", "python", "--json", *arguments], services)
    return code, out.getvalue(), err.getvalue()


def _verdict(report: Mapping[str, Any]) -> str:
    receipts = report["receipts"]
    if report["verdict"] not in ("agreed", "cached"):
        return f"not verified ({report['verdict']}): {report['reason']}"
    agreeing = sum(receipt["agrees"] for receipt in receipts)
    failed = f"the function failed with exit code {report['exit_code']}, " if report["exit_code"] else ""
    return f"verified: {failed}{votes_text(agreeing, len(receipts))}"


def _short(text: str) -> str:
    text = clean(text)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"

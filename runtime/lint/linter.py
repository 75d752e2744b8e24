"""Lints a function: reads its files as Python reads them, from `function.py` along its imports, and applies the rules.

Pure: the source was read, and what is known of packages was found out, before.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, TypeAlias

from runtime.lint.calls import call_findings
from runtime.lint.chance import chance_findings
from runtime.lint.contract import entry_findings, path_findings
from runtime.lint.finding import Finding, Place, found, in_order
from runtime.lint.ordering import order_findings
from runtime.lint.packages import Knowledge, imported_modules, package_findings
from runtime.lint.reading import Reading, Unparsed, read
from runtime.lint.rules import Level
from runtime.release import PYTHON_VERSION
from runtime.source_check import SyntaxProblem
from runtime.source_import import ENTRY_FILE, REQUIREMENTS_FILE, Source

MOST_FILES: Final = 500
"""Of one function that are read; a function is 10 MiB at most."""


AskGuest: TypeAlias = Callable[[bytes], SyntaxProblem | None]
"""Returns why the guest's Python cannot parse a file; None: it can, or that could not be found out."""


def nobody(_content: bytes) -> None:
    """Find out nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LintReport:
    """What was found."""

    findings: tuple[Finding, ...]
    files: tuple[str, ...]
    """That were read."""
    unparsed: tuple[str, ...]
    """That this Python cannot read, and the guest's newer one perhaps can: nothing is known of them."""
    notes: tuple[str, ...] = ()
    """What was not looked at, and why."""

    @property
    def has_errors(self) -> bool:
        """Whether any finding is an error."""
        return any(finding.level is Level.ERROR for finding in self.findings)

    @property
    def verdict(self) -> str:
        """`errors`, else `unchecked` if something could not be read, else `findings` or `clean`."""
        if self.has_errors:
            return "errors"
        if self.unparsed:
            return "unchecked"
        return "findings" if self.findings else "clean"

    def to_json(self) -> dict[str, Any]:
        """Return the object of docs/lint.md."""
        levels = [finding.level for finding in self.findings]
        return {
            "verdict": self.verdict,
            "counts": {level.value: levels.count(level) for level in Level},
            "findings": [finding.to_json() for finding in self.findings],
            "files": list(self.files),
            "unparsed": list(self.unparsed),
            "notes": list(self.notes),
        }


def lint(
    source: Source,
    *,
    entry: str | None,
    knowledge: Knowledge | None,
    notes: tuple[str, ...] = (),
    ask: AskGuest = nobody,
) -> LintReport:
    """Return the findings about a function.

    entry: None for a script, and for a file that is no function. knowledge: None leaves the packages out. ask: the
    guest's word on a file that this Python, if it is older, cannot parse.
    """
    files = dict(source.files)
    local = frozenset(path.partition("/")[0].removesuffix(".py") for path in files) - {"function"}
    findings: list[Finding] = []
    readings: list[Reading] = []
    unparsed: list[str] = []
    for path, one in _followed(files, local):
        if isinstance(one, Unparsed):
            problem = _unparsed(path, one, partial(ask, files[path]))
            findings.append(problem)
            if problem.level is not Level.ERROR:
                unparsed.append(path)
            continue
        readings.append(one)
        if path == ENTRY_FILE and entry is not None:
            findings += entry_findings(one, entry)
        findings += lint_reading(one, local, frozenset(files))
    if knowledge is not None:
        findings += package_findings(files.get(REQUIREMENTS_FILE), readings, local, knowledge)
    read_files = tuple(reading.path for reading in readings)
    return LintReport(findings=in_order(findings), files=read_files, unparsed=tuple(unparsed), notes=notes)


def lint_reading(reading: Reading, local: frozenset[str], beside: frozenset[str]) -> list[Finding]:
    """Return the findings about one file, without those that its comments allow."""
    findings = [
        *call_findings(reading, local),
        *chance_findings(reading),
        *order_findings(reading),
        *path_findings(reading, beside),
    ]
    return [one for one in findings if not reading.is_allowed(one.place.line, (one.rule.id, one.rule.name))]


def _followed(files: dict[str, bytes], local: frozenset[str]) -> Iterator[tuple[str, Reading | Unparsed]]:
    """Yield `function.py` and every file of the function that it imports, and that those import, each once."""
    waiting, seen = [ENTRY_FILE], {ENTRY_FILE}
    while waiting and len(seen) <= MOST_FILES:
        path = waiting.pop(0)
        one = read(path, files[path])
        yield path, one
        if isinstance(one, Unparsed):
            continue
        for imported in _imported(one, path, local):
            for candidate in (f"{imported}.py", f"{imported}/__init__.py"):
                if candidate in files and candidate not in seen:
                    seen.add(candidate)
                    waiting.append(candidate)


def _imported(reading: Reading, path: str, local: frozenset[str]) -> Iterator[str]:
    """Yield paths, without suffix, of the function's own modules that a file may import."""
    for node in ast.walk(reading.tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, path)
            names = [base, *(f"{base}.{alias.name}".strip(".") for alias in node.names)]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] in local or (imported_modules(node) == [] and name):
                yield from ("/".join(parts[: end + 1]) for end in range(len(parts)))


def _absolute(node: ast.ImportFrom, path: str) -> str:
    """Return the dotted module of `from … import`, dots resolved."""
    if node.level == 0:
        return node.module or ""
    package = path.split("/")[:-1]
    package = package[: len(package) - (node.level - 1)]
    return ".".join([*package, *([node.module] if node.module else [])])


def _unparsed(path: str, problem: Unparsed, ask: Callable[[], SyntaxProblem | None]) -> Finding:
    """A syntax error, if this Python knows at least the guest's grammar, or the guest says so; else a doubt."""
    place = Place(path=path, line=problem.line, column=problem.column, end_line=problem.line, end_column=problem.column)
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    knows = sys.version_info[:2] >= tuple(map(int, PYTHON_VERSION.split(".")))
    if knows:
        return found("syntax", place, path, detail=problem.message)
    if (said := ask()) is not None:
        there = replace(place, line=said.line, column=1, end_line=said.line, end_column=1)
        return found("syntax", there, path, detail=said.message)
    detail = f"{problem.message} (for Python {here} here; the guest has {PYTHON_VERSION}, and `bacalhau run` asks it)"
    return found("syntax", place, path, level=Level.WARNING, detail=detail)

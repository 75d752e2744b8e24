"""Finds what is wrong with requirements.txt, and with imports that it should bring.

Pure: what is known of packages is handed in.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from runtime.lint.finding import Finding, Place, found
from runtime.lint.known_calls import ABSENT, BRIDGE
from runtime.lint.reading import Reading
from runtime.lint.rules import Level
from runtime.requirements import RequirementLine, parse_requirements
from runtime.source_import import REQUIREMENTS_FILE
from storage.counting import counted
from storage.errors import UnavailableError, UserError

MOST_WHEELS: Final = 25
"""More than any of functions/ needs; their images take several seconds to make."""
MOST_BYTES: Final = 60 << 20
"""scikit-learn with all it needs has some 30 MB."""
_NEW: Final = frozenset({"annotationlib", "compression"})
"""Modules that the guest's Python has and an older one here does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedWheel:
    """A wheel that the requirements bring."""

    name: str
    size: int | None
    """Bytes; None where the wheel was never fetched here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """What is known of packages."""

    python: str
    """The guest's feature version."""
    provides: Mapping[str, str]
    """Top-level module -> package of the distribution that has it."""
    lock: Callable[[tuple[RequirementLine, ...]], tuple[LockedWheel, ...]]
    """Raises UserError where there is no solution, UnavailableError where that is not known."""


def package_findings(
    requirements: bytes | None, readings: list[Reading], local: frozenset[str], knowledge: Knowledge
) -> Iterator[Finding]:
    """Yield the findings about packages.

    requirements: the file's bytes, None where there is none. local: modules that the function's directory provides.
    """
    try:
        lines = parse_requirements((requirements or b"").decode("utf-8", "replace"), python=knowledge.python)
    except UserError as error:
        yield _at(error.where, "bad-requirement", error.where, f"{error.problem}; {error.fix}".rstrip("; "))
        return
    for line in lines:
        if not line.pinned:
            yield _at(line.place, "unpinned", line.text)
    wheels: tuple[LockedWheel, ...] = ()
    if lines:
        try:
            wheels = knowledge.lock(lines)
        except UserError as error:
            yield _at(
                error.where, "no-wheel", error.where or REQUIREMENTS_FILE, f"{error.problem}; {error.fix}".rstrip("; ")
            )
            return
        except UnavailableError as error:
            yield _at(lines[0].place, "not-locked-here", error.where or REQUIREMENTS_FILE, error.problem)
            return
    yield from _weight(wheels, lines)
    yield from _missing(readings, local, knowledge, frozenset(wheel.name for wheel in wheels))


def _weight(wheels: tuple[LockedWheel, ...], lines: tuple[RequirementLine, ...]) -> Iterator[Finding]:
    size = sum(wheel.size or 0 for wheel in wheels)
    if len(wheels) > MOST_WHEELS or size > MOST_BYTES:
        known = f", {size >> 20} MB of them known here" if size else ""
        yield _at(lines[0].place, "heavy", REQUIREMENTS_FILE, f"{counted(len(wheels), 'wheel')}{known}")


def _missing(
    readings: list[Reading], local: frozenset[str], knowledge: Knowledge, have: frozenset[str]
) -> Iterator[Finding]:
    """Imports of modules that no locked package brings, as far as that is known."""
    seen = set(local)
    for reading in readings:
        for node in reading.walk():
            for module in imported_modules(node):
                if module in seen or not isinstance(node, ast.Import | ast.ImportFrom):
                    continue
                detail, level = _lack(module, knowledge, have)
                if not detail:
                    continue
                seen.add(module)
                level = Level.NOTE if reading.is_guarded(node) else level
                yield found("not-required", reading.place(node), module, level=level, detail=detail)


def _lack(module: str, knowledge: Knowledge, have: frozenset[str]) -> tuple[str, Level]:
    """Return why a module will not be there, empty if it may be; and how sure that is."""
    package = knowledge.provides.get(module)
    if package is not None:
        detail = f"is in the package {package}, which requirements.txt does not bring"
        return ("", Level.NOTE) if package in have else (detail, Level.ERROR)
    is_elsewhere = module in sys.stdlib_module_names or module in _NEW or module in ABSENT or module in BRIDGE
    if is_elsewhere or not have <= set(knowledge.provides.values()):
        return "", Level.NOTE  # part of Python, of another rule, or perhaps of a package of the index
    return "is in none of the locked packages", Level.WARNING if have else Level.ERROR


def imported_modules(node: ast.AST) -> list[str]:
    """Return the top-level names that an import statement asks for; none for other nodes and relative imports."""
    if isinstance(node, ast.Import):
        return [alias.name.partition(".")[0] for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
        return [node.module.partition(".")[0]]
    return []


def _at(where: str, rule: str, subject: str, detail: str = "") -> Finding:
    """Return a finding at a line of requirements.txt, as the place says it."""
    number = re.search(r"line (\d+)", where)
    line = int(number[1]) if number else 1
    place = Place(path=REQUIREMENTS_FILE, line=line, column=1, end_line=line, end_column=1)
    return found(rule, place, subject, detail=detail)

"""A finding: a rule, where it holds, and what was found there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runtime.lint.rules import RULES, Level, Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where in a file; lines and columns count from 1, columns in code points; the end is exclusive."""

    path: str
    """Relative to the function's directory, with slashes."""
    line: int
    column: int
    end_line: int
    end_column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One place where a rule holds."""

    rule: Rule
    place: Place
    subject: str
    """What was found, as the source has it or as it is known: `time.time`."""
    level: Level
    """The rule's, or less where something speaks for it."""
    detail: str = ""
    """Instead of the rule's words, where more is known."""

    @property
    def message(self) -> str:
        """Return one sentence without a full stop."""
        return f"{self.subject}: {self.detail or self.rule.what}"

    def to_json(self) -> dict[str, Any]:
        """Return the entry of `findings`."""
        place = self.place
        return {
            "rule": self.rule.id,
            "name": self.rule.name,
            "level": self.level.value,
            "category": self.rule.category.value,
            "path": place.path,
            "line": place.line,
            "column": place.column,
            "end_line": place.end_line,
            "end_column": place.end_column,
            "message": self.message,
            "why": self.rule.why,
            "advice": self.rule.advice,
        }


def found(name: str, place: Place, subject: str, *, level: Level | None = None, detail: str = "") -> Finding:
    """Return the finding of a rule."""
    rule = RULES[name]
    return Finding(rule=rule, place=place, subject=subject, level=level or rule.level, detail=detail)


def in_order(findings: list[Finding]) -> tuple[Finding, ...]:
    """Return findings by place, each once."""
    unique = {(one.place.path, one.place.line, one.place.column, one.rule.id): one for one in findings}
    return tuple(unique[key] for key in sorted(unique))

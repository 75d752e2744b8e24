"""What an audit says: numbered checks, and the verdict that follows from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, TypeVar

from storage.errors import UnavailableError, UserError, VerificationError
from verifier.blindness import Blindness

AuditVerdict: TypeAlias = Literal["valid", "invalid", "unchecked"]

SHOWN_PROBLEMS: Final = 5
"""Enough to see what is going on; a broken input of 10,000 blocks must not make a report of 10,000 lines."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One numbered check of docs/audit.md."""

    n: int
    name: str
    ok: bool | None
    """None: could not be checked, because a block is not here or what it needs failed."""
    detail: str
    """What was checked if it is ok, else what is wrong or missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """The checks in their order."""

    checks: tuple[Check, ...]
    blindness: Blindness | None = None
    """Of a record whose checks 1 and 7 to 10 are true; no part of the verdict."""
    unblind: int | None = None
    """Of a graph: records in which nodes that agree may have seen earlier receipts, as far as that is known."""

    @property
    def verdict(self) -> AuditVerdict:
        """`invalid` if any check is false, else `unchecked` if any is unknown, else `valid`."""
        states = [check.ok for check in self.checks]
        if False in states:
            return "invalid"
        return "valid" if states and None not in states else "unchecked"

    @property
    def reason(self) -> str:
        """The first check that is false, else the first that is unknown, with its detail; empty if all are true."""
        open_ones = sorted((one for one in self.checks if one.ok is not True), key=lambda one: one.ok is None)
        return f"{open_ones[0].name}: {open_ones[0].detail}" if open_ones else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong (`wrong`) or could not be checked."""

    wrong: bool
    text: str


Outcome: TypeAlias = tuple[list[Finding], str]
"""What a check found, and what it says when that is nothing."""


def examine(look: Callable[..., Any], *args: Any) -> list[Finding]:
    """Return what `look(*args)` finds: nothing, unless it raises one of the expected errors."""
    try:
        look(*args)
    except UnavailableError as error:
        return [Finding(wrong=False, text=str(error))]
    except (VerificationError, UserError) as error:
        return [Finding(wrong=True, text=str(error))]
    return []


def examine_several(look: Callable[..., list[Finding]], *args: Any) -> list[Finding]:
    """Return the findings of a look that makes several itself, or the one for what kept it from looking."""
    found: list[Finding] = []
    return examine(lambda: found.extend(look(*args))) + found


def examine_each(look: Callable[[T], Any], items: Iterable[T]) -> list[Finding]:
    """Return what `look` finds over all items; one that fails does not hide the next."""
    return [finding for item in items for finding in examine(look, item)]


def make_check(n: int, name: str, findings: Sequence[Finding], done: str) -> Check:
    """Return the check: false if anything is wrong, unknown if anything is missing, else ok with the detail `done`."""
    if not findings:
        return Check(n=n, name=name, ok=True, detail=done)
    wrong = [finding.text for finding in findings if finding.wrong]
    texts = list(dict.fromkeys(wrong or [finding.text for finding in findings]))
    more = f"; and {len(texts) - SHOWN_PROBLEMS} more" if len(texts) > SHOWN_PROBLEMS else ""
    return Check(n=n, name=name, ok=False if wrong else None, detail="; ".join(texts[:SHOWN_PROBLEMS]) + more)


def later_phrase(unblind: int) -> str:
    """Return what a check over many records says of those of which some nodes committed later than others revealed."""
    return f"; in {unblind} of them nodes that agree may have seen earlier receipts" if unblind else ""


def blind_entry(report: AuditReport) -> dict[str, int | None]:
    """Return the key of a report that says how blind its nodes were: of a graph `unblind`, else `blind`."""
    if report.unblind is not None:
        return {"unblind": report.unblind}
    return {"blind": None if report.blindness is None else report.blindness.blind}

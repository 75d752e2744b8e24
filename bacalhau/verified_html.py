"""A `Verified` as a notebook shows it. Everything that somebody wrote is escaped: no result is ever markup."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

from bacalhau.votes_text import votes_text

_CELL: Final = "text-align:left;vertical-align:top"


def card(report: Mapping[str, Any], *, shown: str, votes: tuple[int, int]) -> str:
    """Return HTML for a report. shown: the value as text, votes: nodes that say this, and nodes that said anything."""
    rows = "".join(
        f'<tr><th style="{_CELL}" scope="row">{escape(name)}</th>'
        f'<td style="{_CELL}"><code>{escape(text)}</code></td></tr>'
        for name, text in _rows(report, shown, votes)
    )
    return f"<table><caption>{escape(_title(report, votes))}</caption><tbody>{rows}</tbody></table>"


def _title(report: Mapping[str, Any], votes: tuple[int, int]) -> str:
    said = "Verified" if report["tier"] == "verified" else "Not verified"
    return f"{said}: {votes_text(*votes)}"


def _rows(report: Mapping[str, Any], shown: str, votes: tuple[int, int]) -> Iterator[tuple[str, str]]:
    yield "value", shown
    for name in ("record", "output", "function", "input"):
        yield name, str(report[name])
    if report["verdict"] == "cached":
        yield "verdict", "known before; nothing ran"
    if votes[0] < votes[1]:
        yield "dissent", f"{votes[1] - votes[0]} said something else"
    yield "check it", f"bacalhau audit {report['record']}"

"""The protocol's tables as text for docs/protocol.md: a Mermaid diagram and a full table of each. Text out, no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum

from network import node_task, requester_task, session
from network.messages import MESSAGES
from network.node_state import Stage
from network.session_events import Phase
from network.transition_table import Table


def diagrams() -> dict[str, str]:
    """Return the generated parts of docs/protocol.md by name."""
    return {
        "session": _part(session.TRANSITIONS, tuple(Phase)),
        "requester": _part(requester_task.TRANSITIONS, tuple(Phase)),
        "node": _part(node_task.TRANSITIONS, tuple(Stage)),
        "messages": _messages(),
    }


def _part(table: Table, phases: Sequence[StrEnum]) -> str:
    return f"{_diagram(table, phases)}\n\n{_matrix(table, phases)}"


def _diagram(table: Table, phases: Sequence[StrEnum]) -> str:
    """Draw what leads from one phase to another; what stays is in the table."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {phases[0]}"]
    for phase in phases:
        for target in phases:
            events = [kind.__name__ for (at, kind), cell in table.items() if at is phase and target in cell.to]
            if events and target is not phase:
                lines.append(f"    {phase} --> {target}: {', '.join(sorted(events))}")
    lines += [f"    {phases[-1]} --> [*]", "```"]
    return "\n".join(lines)


def _matrix(table: Table, phases: Sequence[StrEnum]) -> str:
    """Write every cell: where it may lead, `-` for no further than where it is, nothing for what cannot occur."""
    columns = [phase for phase in phases if any(at is phase for at, _ in table)]
    kinds = sorted({kind for _, kind in table}, key=lambda kind: kind.__name__)
    rows = [[f"`{kind.__name__}`", *(_cell(table, phase, kind) for phase in columns)] for kind in kinds]
    return _rows([["", *columns], *rows])


def _cell(table: Table, phase: StrEnum, kind: type) -> str:
    cell = table.get((phase, kind))
    if cell is None:
        return ""
    return ", ".join("-" if target is phase else target.value for target in cell.to)


def _messages() -> str:
    rows = [
        [f"`{kind.VERSION}`", f"{kind.MAX_BYTES:,}", _first_line(kind)]
        for kind in MESSAGES
    ]  # fmt: skip
    return _rows([["message", "at most bytes", "says"], *rows])


def _first_line(kind: type) -> str:
    return (kind.__doc__ or "").partition("\n")[0]


def _rows(rows: Iterable[Sequence[str]]) -> str:
    head, *rest = rows
    lines = [head, ["---"] * len(head), *rest]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)

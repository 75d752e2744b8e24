"""A picture as text for Graphviz. Source: the DOT language, graphviz.org."""

from __future__ import annotations

from typing import Final

from bacalhau.lineage_drawing import Arrow, Box, Drawing, Shape
from bacalhau.provenance import Footing

COLOURS: Final = {
    Footing.VERIFIED: "#2e7d32",
    Footing.TAINTED: "#c77700",
    Footing.UNVERIFIED: "#b71c1c",
    Footing.UNKNOWN: "#5f6368",
    None: "#37474f",
}
"""Of outlines; the words say the same, for who does not see colours."""
_SHAPES: Final = {
    Shape.RECORD: "box",
    Shape.FUNCTION: "component",
    Shape.CONTENT: "ellipse",
    Shape.MISSING: "octagon",
}


def to_dot(drawing: Drawing) -> str:
    """Return the picture as a digraph, from left to right."""
    lines = ["digraph lineage {", "  rankdir=LR;", '  node [fontname="sans-serif", fontsize=10];']
    lines += [_node(box) for box in drawing.boxes]
    lines += [_edge(arrow) for arrow in drawing.arrows]
    return "\n".join([*lines, "}"]) + "\n"


def _node(box: Box) -> str:
    label = "\\n".join(_escaped(line) for line in box.lines)
    style = "dashed" if box.shape is Shape.MISSING or box.footing is Footing.UNVERIFIED else "solid"
    return (
        f'  {_quoted(box.id)} [label="{label}", tooltip={_quoted(box.title)}, shape={_SHAPES[box.shape]}, '
        f'color="{COLOURS[box.footing]}", style={style}];'
    )


def _edge(arrow: Arrow) -> str:
    label = f", label={_quoted(arrow.label)}" if arrow.label else ""
    style = "dashed" if arrow.is_lineage else "solid"
    return f"  {_quoted(arrow.tail)} -> {_quoted(arrow.head)} [style={style}{label}];"


def _quoted(text: str) -> str:
    return f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    # A backslash begins an escape, of a line or of the node's name; doubled it is one.
    return text.replace("\\", "\\\\").replace('"', '\\"')

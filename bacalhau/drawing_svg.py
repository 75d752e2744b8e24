"""A picture as SVG, without Graphviz: boxes in layers, arrows as curves between them. Source: SVG 2, w3.org.

No scripts, links or outside resources; everything that others wrote is escaped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from bacalhau.drawing_dot import COLOURS
from bacalhau.layered_layout import layers_of
from bacalhau.lineage_drawing import Arrow, Box, Drawing, Shape
from bacalhau.provenance import Footing
from storage.counting import counted
from storage.errors import UserError

MAX_BOXES: Final = 3000
"""More than anybody can read; the sweeps of the layout grow with boxes times arrows."""
_CHARACTER: Final = 6.2
"""Width of a character of 10 px sans-serif, about; boxes may be a little too wide, never too narrow for hex."""
_LINE: Final = 14
_PAD: Final = 10
_GAP_X: Final = 70
_GAP_Y: Final = 22


def to_svg(drawing: Drawing) -> str:
    """Return the picture.

    Raises:
        UserError: it has more than MAX_BOXES boxes.
    """
    if len(drawing.boxes) > MAX_BOXES:
        problem = f"has {counted(len(drawing.boxes), 'box', 'boxes')}, a picture at most {MAX_BOXES}"
        raise UserError(problem, where="--format svg", fix="export it as dot or json")
    places = _place(drawing)
    width = max((x + w for x, _, w, _ in places.values()), default=0) + _PAD
    height = max((y + h for _, y, _, h in places.values()), default=0) + _PAD
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="sans-serif" font-size="10">',
        '<defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0 0 L8 4 L0 8 z" fill="#37474f"/></marker></defs>',
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>',
    ]
    for arrow in drawing.arrows:
        lines += _arrow(arrow, places)
    for box in drawing.boxes:
        lines += _box(box, places[box.id])
    return "\n".join([*lines, "</svg>"]) + "\n"


_Place = tuple[float, float, float, float]
"""Left, top, width, height, in pixels."""


def _place(drawing: Drawing) -> dict[str, _Place]:
    sizes = {box.id: _size(box) for box in drawing.boxes}
    pairs = list(dict.fromkeys((arrow.tail, arrow.head) for arrow in drawing.arrows))
    layers = layers_of([box.id for box in drawing.boxes], pairs)
    tall = max((sum(sizes[one][1] + _GAP_Y for one in layer) for layer in layers), default=0)
    places: dict[str, _Place] = {}
    left = float(_PAD)
    for layer in layers:
        wide = max((sizes[one][0] for one in layer), default=0)
        top = _PAD + (tall - sum(sizes[one][1] + _GAP_Y for one in layer)) / 2
        for one in layer:
            width, height = sizes[one]
            places[one] = (left + (wide - width) / 2, top, width, height)
            top += height + _GAP_Y
        left += wide + _GAP_X
    return places


def _size(box: Box) -> tuple[float, float]:
    return max(map(len, box.lines)) * _CHARACTER + 2 * _PAD, len(box.lines) * _LINE + 2 * _PAD - 4


def _arrow(arrow: Arrow, places: Mapping[str, _Place]) -> Iterator[str]:
    left, top, width, height = places[arrow.tail]
    x1, y1 = left + width, top + height / 2
    x2, top2, _, height2 = places[arrow.head]
    y2 = top2 + height2 / 2
    bend = max(30.0, abs(x2 - x1) / 2)
    dashes = ' stroke-dasharray="4 3"' if arrow.is_lineage else ""
    yield (
        f'<path d="M{x1:.1f} {y1:.1f} C{x1 + bend:.1f} {y1:.1f} {x2 - bend:.1f} {y2:.1f} {x2:.1f} {y2:.1f}" '
        f'fill="none" stroke="#37474f"{dashes} marker-end="url(#head)"/>'
    )
    if arrow.label:
        x, y = (x1 + x2) / 2, (y1 + y2) / 2 - 3
        yield f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle" fill="#5f6368">{escape(arrow.label)}</text>'


def _box(box: Box, place: _Place) -> Iterator[str]:
    left, top, width, height = place
    radius = {Shape.CONTENT: height / 2, Shape.RECORD: 4}.get(box.shape, 0)
    dashes = ' stroke-dasharray="5 3"' if box.shape is Shape.MISSING or box.footing is Footing.UNVERIFIED else ""
    fill = "#eceff1" if box.shape is Shape.FUNCTION else "#ffffff"
    yield f"<g id={quoteattr(box.id)}><title>{escape(box.title)}</title>"
    yield (
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{radius:.1f}" '
        f'fill="{fill}" stroke="{COLOURS[box.footing]}" stroke-width="1.5"{dashes}/>'
    )
    for number, line in enumerate(box.lines):
        y = top + _PAD + (number + 0.75) * _LINE - 2
        yield f'<text x="{left + width / 2:.1f}" y="{y:.1f}" text-anchor="middle">{escape(line)}</text>'
    yield "</g>"

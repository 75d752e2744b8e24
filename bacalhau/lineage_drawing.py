"""The picture of a provenance, before it has a form: boxes with lines of text, and arrows the way the data goes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bacalhau.provenance import Footing, Performed, Provenance
from bacalhau.terminal_text import visible
from storage.cid import CID, cid_text

_LABEL_CHARACTERS: Final = 40
_FOOTINGS: Final = (Footing.VERIFIED, Footing.UNKNOWN, Footing.TAINTED, Footing.UNVERIFIED, None)
"""The best first."""


class Shape(StrEnum):
    """What a box stands for."""

    RECORD = "record"
    FUNCTION = "function"
    CONTENT = "content"
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """One thing of the picture."""

    id: str
    """Unique in the picture, the same in every export of it."""
    shape: Shape
    lines: tuple[str, ...]
    """Short, without control characters; made by others, so to be escaped."""
    title: str
    """The whole CID."""
    footing: Footing | None = None
    """Of a record or what it gave."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrow:
    """The data goes from one box to another."""

    tail: str
    head: str
    label: str
    is_lineage: bool
    """From a record's output to a record that names it as a parent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """Boxes and arrows, in a fixed order."""

    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]


def draw(provenance: Provenance) -> Drawing:
    """Return the picture: each function, raw input, record and output once."""
    boxes: dict[str, Box] = {}
    arrows: dict[tuple[str, str, str], Arrow] = {}
    for cid in provenance.missing:
        _put(boxes, _plain("m", cid, Shape.MISSING, "not here"))
    missing = frozenset(provenance.missing)
    outputs = {one.record: one.output for one in provenance}
    for one in provenance:
        for box in _boxes(one):
            _put(boxes, box)
        for arrow in _arrows(one, outputs, missing):
            arrows.setdefault((arrow.tail, arrow.head, arrow.label), arrow)
    return Drawing(boxes=tuple(boxes.values()), arrows=tuple(arrows.values()))


def _put(boxes: dict[str, Box], box: Box) -> None:
    known = boxes.get(box.id)
    # One content may be an input here and an output there, or what two records gave: it rests on the better of them.
    if known is None or _FOOTINGS.index(box.footing) < _FOOTINGS.index(known.footing):
        boxes[box.id] = box


def _boxes(one: Performed) -> Iterable[Box]:
    if one.function is not None:
        yield _plain("f", one.function, Shape.FUNCTION, one.name)
    for name, content in one.inputs:
        yield _plain("c", content, Shape.CONTENT, name)
    lines = (_cut(one.name), footing_phrase(one), votes_phrase(one), _short(one.record))
    yield Box(id=_id("r", one.record), shape=Shape.RECORD, lines=lines, title=cid_text(one.record), footing=one.footing)
    yield _plain("c", one.output, Shape.CONTENT, "output", one.footing)


def _plain(kind: str, cid: CID, shape: Shape, name: str, footing: Footing | None = None) -> Box:
    return Box(id=_id(kind, cid), shape=shape, lines=(_cut(name), _short(cid)), title=cid_text(cid), footing=footing)


def _arrows(one: Performed, outputs: dict[CID, CID], missing: frozenset[CID]) -> Iterable[Arrow]:
    me = _id("r", one.record)
    if one.function is not None:
        yield Arrow(tail=_id("f", one.function), head=me, label="", is_lineage=False)
    for name, content in one.inputs:
        yield Arrow(tail=_id("c", content), head=me, label=_cut(name), is_lineage=False)
    for parent in one.parents:
        tail = _id("m", parent) if parent in missing else _id("c", outputs[parent])
        yield Arrow(tail=tail, head=me, label="part of", is_lineage=True)
    yield Arrow(tail=me, head=_id("c", one.output), label="", is_lineage=False)


def footing_phrase(one: Performed) -> str:
    """Return in words what a record rests on."""
    return {
        Footing.VERIFIED: "verified",
        Footing.TAINTED: "verified, but tainted: comes from an unverified record",
        Footing.UNVERIFIED: "unverified: nobody vouches for it",
        Footing.UNKNOWN: "verified; of what it comes from something is not here",
    }[one.footing]


def votes_phrase(one: Performed) -> str:
    """Return in words who agrees and who does not."""
    if not one.agreeing and not one.dissenting:
        return "no receipts"
    dissent = f", {one.dissenting} DISSENT" if one.dissenting else ""
    return f"{one.agreeing} of {one.agreeing + one.dissenting} agree{dissent}"


def _id(kind: str, cid: CID) -> str:
    return f"{kind}_{cid_text(cid)}"


def _short(cid: CID) -> str:
    text = cid_text(cid)
    return f"{text[:6]}…{text[-8:]}"


def _cut(text: str) -> str:
    shown = visible(text)
    return shown if len(shown) <= _LABEL_CHARACTERS else shown[: _LABEL_CHARACTERS - 1] + "…"

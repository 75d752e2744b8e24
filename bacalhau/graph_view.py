"""What is asked of the result graph, answered from its index: what a record rests on, what rests on it, what is wrong.

Every answer is bounded and says when it is cut. Taint and dispute are never kept with a record: they are derived of its
ancestors each time, so what turns up later is seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from network.lineage_store import BY_PARTS, MAX_WALK, Judged, LineageRow, LineageStore, Part
from storage.cid import CID, cid_text
from verifier.graph_reading import VERIFIED

DEFAULT_LIMIT: Final = 200
"""Records of one answer: what a person looks at."""
MAX_LIMIT: Final = MAX_WALK
_MAX_LOOKS: Final = 20_000
"""Rows that are looked at for the records that use something themselves: the same may come up over and over."""
MAX_EDGES: Final = 4096
"""Parents, children or contents of one record that are looked at."""
MAX_NAMED: Final = 20
"""CIDs of records that are named as the reason for something; all are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is wrong with a record, or with anything that it rests on."""

    tainted_by: tuple[CID, ...] = ()
    """Records of another tier than `verified`, the nearest first, itself perhaps."""
    disputed_by: tuple[CID, ...] = ()
    """Records whose task has another output as well, in another record."""
    dissent_in: tuple[CID, ...] = ()
    """Records that have receipts which claim something else."""
    missing: tuple[CID, ...] = ()
    """Ancestors that are named and not here: of those nothing is known."""
    looked_at: int = 0
    is_cut: bool = False
    """There are more ancestors than were looked at."""

    @property
    def word(self) -> str:
        """Return it in a word; `unknown` where something is not known, and never `verified` then."""
        if self.disputed_by:
            return "disputed"
        if self.tainted_by:
            return "tainted"
        return "unknown" if self.missing or self.is_cut else VERIFIED

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON: at most 20 CIDs for each reason, and how many there are."""
        reasons = {
            "tainted_by": self.tainted_by,
            "disputed_by": self.disputed_by,
            "dissent_in": self.dissent_in,
            "missing": self.missing,
        }
        return {
            "standing": self.word,
            **{name: [cid_text(cid) for cid in found[:MAX_NAMED]] for name, found in reasons.items()},
            "counts": {name: len(found) for name, found in reasons.items()},
            "looked_at": self.looked_at,
            "cut": self.is_cut,
        }


def standing_of(record: CID, lineage: LineageStore, *, limit: int = MAX_WALK) -> Standing:
    """Return how a record stands, by itself and all its ancestors."""
    return judge(lineage.ancestors(record, limit=limit + 1), limit=limit)


def judge(walked: Iterable[Judged], *, limit: int) -> Standing:
    """Return what is wrong with the records of a walk; of more than `limit`, those are not looked at."""
    found = list(walked)
    looked = found[:limit]
    return Standing(
        tainted_by=tuple(one.record for one in looked if one.tier not in (None, VERIFIED)),
        disputed_by=tuple(one.record for one in looked if one.is_disputed),
        dissent_in=tuple(one.record for one in looked if one.dissent),
        missing=tuple(one.record for one in looked if one.tier is None),
        looked_at=len(looked),
        is_cut=len(found) > limit,
    )


def rivals_of(row: LineageRow, lineage: LineageStore) -> list[LineageRow]:
    """Return the records that contradict a record: of the same task, verified like it, with another output."""
    if row.tier != VERIFIED:
        return []
    same = lineage.records("task", row.task, limit=MAX_EDGES)
    return sorted(
        (one for one in same if one.tier == VERIFIED and one.output != row.output), key=lambda one: one.record
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """One thing that a record's function was given."""

    role: str
    """data or volume."""
    path: str
    """Where a volume is mounted; empty for the data."""
    cid: CID
    given_by: tuple[CID, ...]
    """Those of the record's parents whose output it is, holds, or comes out of."""
    origins: tuple[Mapping[str, Any], ...] = ()
    """Where it, or what is in it, was fetched from, as jobs here noted it; evidence of nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordNode:
    """One record of an answer."""

    cid: CID
    row: LineageRow | None
    """None: it is named, and not here."""
    parents: tuple[CID, ...] = ()
    contents: tuple[Content, ...] = ()
    rivals: tuple[CID, ...] = ()
    """Records that contradict it."""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        row = self.row
        return {
            "record": cid_text(self.cid),
            "here": row is not None,
            "tier": None if row is None else row.tier,
            **{name: None if row is None else cid_text(getattr(row, name)) for name in _NAMES},
            "receipts": None if row is None else row.receipts,
            "dissent": None if row is None else row.dissent,
            "merged": None if row is None else row.merged,
            "parents": [cid_text(parent) for parent in self.parents],
            "contradicted_by": [cid_text(rival) for rival in self.rivals],
            "contents": [
                {
                    "role": one.role,
                    "path": one.path,
                    "cid": cid_text(one.cid),
                    "given_by": [cid_text(parent) for parent in one.given_by],
                    "origins": [dict(origin) for origin in one.origins],
                }
                for one in self.contents
            ],
        }


_NAMES: Final = ("task", "function", "input", "output")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordGraph:
    """Records and what they rest on, from some of them on; a value that can be drawn, printed and exported."""

    roots: tuple[CID, ...]
    nodes: Mapping[CID, RecordNode] = field(default_factory=dict)
    """By record, the nearest first; each record once."""
    is_cut: bool = False
    """There are more records than these."""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "roots": [cid_text(root) for root in self.roots],
            "nodes": [node.to_json() for node in self.nodes.values()],
            "cut": self.is_cut,
        }


def ancestry(
    roots: Iterable[CID], lineage: LineageStore, *, limit: int = DEFAULT_LIMIT, depth: int | None = None
) -> RecordGraph:
    """Return what records rest on, parents before grandparents; at most `limit` records, `depth` edges far."""
    wanted = list(dict.fromkeys(roots))
    nodes: dict[CID, RecordNode] = {}
    level, is_cut, steps = wanted, False, 0
    while level:
        following: dict[CID, None] = {}
        for cid in level:
            if len(nodes) >= limit:
                is_cut = True
                break
            nodes[cid] = node_of(cid, lineage)
            following.update(dict.fromkeys(nodes[cid].parents))
        level = [cid for cid in following if cid not in nodes]
        if is_cut or (depth is not None and steps >= depth):
            is_cut = is_cut or bool(level)
            break
        steps += 1
    return RecordGraph(roots=tuple(wanted), nodes=nodes, is_cut=is_cut)


def node_of(record: CID, lineage: LineageStore) -> RecordNode:
    """Return one record with its parents and what its function was given."""
    row = lineage.record(record)
    if row is None:
        return RecordNode(cid=record, row=None)
    parents = tuple(lineage.parents(record, limit=MAX_EDGES))
    outputs = {parent: found.output for parent in parents if (found := lineage.record(parent)) is not None}
    given = [part for part in lineage.parts(row.input, limit=MAX_EDGES) if part.role in ("data", "volume")]
    return RecordNode(
        cid=record,
        row=row,
        parents=parents,
        contents=tuple(_content(part, outputs, lineage) for part in given),
        rivals=tuple(rival.record for rival in rivals_of(row, lineage)),
    )


def _content(part: Part, outputs: Mapping[CID, CID], lineage: LineageStore) -> Content:
    given_by: tuple[CID, ...] = ()
    if outputs:
        inside = {part.cid, *(entry.cid for entry in lineage.parts(part.cid, limit=MAX_EDGES))}
        given_by = tuple(parent for parent, output in outputs.items() if _gave(output, inside, lineage))
    return Content(role=part.role, path=part.path, cid=part.cid, given_by=given_by)


def _gave(output: CID, inside: set[CID], lineage: LineageStore) -> bool:
    """Tell whether an output, or something in it, is among what a content is and holds."""
    return output in inside or any(entry.cid in inside for entry in lineage.parts(output, limit=MAX_EDGES))


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependents:
    """What rests on something."""

    direct: tuple[CID, ...]
    """Records that use it themselves, by CID."""
    further: tuple[CID, ...]
    """Records that rest on those, the nearest first."""
    is_cut: bool
    """There are more."""


def dependents_of(cid: CID, lineage: LineageStore, *, limit: int = DEFAULT_LIMIT) -> Dependents:
    """Return the records that rest on a record, an output, a content, a function or a part of one, such as a wheel."""
    looked = list(islice(_users(cid, lineage, limit + 1), _MAX_LOOKS))
    direct = list(dict.fromkeys(looked))
    is_cut = len(direct) > limit or len(looked) == _MAX_LOOKS
    direct = sorted(direct[:limit])
    walked = lineage.descendants(direct, limit=limit + 1) if direct else []
    near = frozenset(direct)
    further = tuple(one for one in walked[:limit] if one not in near)
    return Dependents(direct=tuple(direct), further=further, is_cut=is_cut or len(walked) > limit)


def _users(cid: CID, lineage: LineageStore, limit: int) -> Iterator[CID]:
    """Yield the records that use something themselves, perhaps more than once, and about `limit` of them."""
    yield from lineage.children(cid, limit=limit)
    for by in BY_PARTS:
        yield from (row.record for row in lineage.records(by, cid, limit=limit))
    for made in lineage.records("output", cid, limit=limit):
        yield from lineage.children(made.record, limit=limit)
    holders = [part.owner for part in lineage.owners(cid, limit=limit) if part.role == "entry"]
    for content in dict.fromkeys((cid, *holders)):
        for part in lineage.owners(content, limit=limit):
            if part.role in ("data", "volume"):
                yield from (row.record for row in lineage.records("input", part.owner, limit=limit))
            elif part.role != "entry" and content == cid:
                yield from (row.record for row in lineage.records("function", part.owner, limit=limit))


def producers_of(cid: CID, lineage: LineageStore, *, limit: int = DEFAULT_LIMIT) -> list[CID]:
    """Return the records whose output this is, or has this in it, by CID."""
    exact = [row.record for row in lineage.records("output", cid, limit=limit)]
    if exact:
        return sorted(exact)
    holders = [part.owner for part in lineage.owners(cid, limit=limit) if part.role == "entry"]
    found = (row.record for one in dict.fromkeys(holders) for row in lineage.records("output", one, limit=limit))
    return sorted(set(found))[:limit]

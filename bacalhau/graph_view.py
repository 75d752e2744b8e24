"""What is asked of the result graph, answered from its index: what a record rests on, what rests on it, what is wrong.

Every answer is bounded and says when it is cut. Taint and dispute are never kept with a record: they are derived of its
ancestors each time, so what turns up later is seen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from network.lineage_store import BY_PARTS, MAX_MANY, MAX_WALK, NEAR, LineageRow, LineageStore, Part
from storage.cid import CID, cid_text
from verifier.graph_reading import VERIFIED

DEFAULT_LIMIT: Final = 200
"""Records of one answer: what a person looks at."""
MAX_LIMIT: Final = MAX_WALK
_MAX_LOOKS: Final = 20_000
"""Rows that are looked at for the records that use something themselves: the same may come up over and over."""
MAX_EDGES: Final = 4096
"""Parents, children or contents of one record that are looked at."""
_MOST: Final = 20_000
"""Rows about a few hundred records that are looked at."""
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


def standing_of(record: CID, lineage: LineageStore, *, limit: int = NEAR) -> Standing:
    """Return how a record stands, by itself and its ancestors; of those beyond the nearest `limit` nothing is known."""
    walked = lineage.ancestors(record, limit=limit)
    return Standing(
        tainted_by=tuple(one.record for one in walked.found if one.tier not in (None, VERIFIED)),
        disputed_by=tuple(one.record for one in walked.found if one.is_disputed),
        dissent_in=tuple(one.record for one in walked.found if one.dissent),
        missing=tuple(one.record for one in walked.found if one.tier is None),
        looked_at=walked.looked_at,
        is_cut=walked.is_cut,
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
        room = limit - len(nodes)
        is_cut = len(level) > room
        for some in _some_at_once(level[:room]):
            more, lacks = _nodes(some, lineage)
            nodes |= more
            is_cut = is_cut or lacks
        following = dict.fromkeys(parent for cid in level[:room] for parent in nodes[cid].parents)
        level = [cid for cid in following if cid not in nodes]
        if len(nodes) >= limit or (depth is not None and steps >= depth):
            is_cut = is_cut or bool(level)
            break
        steps += 1
    return RecordGraph(roots=tuple(wanted), nodes=nodes, is_cut=is_cut)


def _nodes(records: Sequence[CID], lineage: LineageStore) -> tuple[dict[CID, RecordNode], bool]:
    """Return records with their parents and what their functions were given, and whether there is more of these.

    A few questions for all of them.
    """
    rows = lineage.rows(records)
    edges, rivalries = lineage.edges(records, limit=_MOST), lineage.rivals(records, limit=_MOST)
    parts = lineage.contents(list(dict.fromkeys(row.input for row in rows.values())), limit=_MOST)
    parents, rivals = _grouped(edges), _grouped(rivalries)
    given: dict[CID, list[Part]] = defaultdict(list)
    for part in parts:
        given[part.owner].append(part)
    outputs: dict[CID, CID] = {}
    for some in _some_at_once(list(dict.fromkeys(parent for found in parents.values() for parent in found))):
        outputs |= {cid: row.output for cid, row in lineage.rows(some).items()}

    def content(part: Part, of: Sequence[CID]) -> Content:
        gave = (parent for parent in of if parent in outputs and lineage.shares(part.cid, outputs[parent]))
        return Content(role=part.role, path=part.path, cid=part.cid, given_by=tuple(gave))

    found = {}
    for cid in records:
        row, above = rows.get(cid), parents[cid][:MAX_EDGES]
        contents = () if row is None else tuple(content(part, above) for part in given[row.input])
        found[cid] = RecordNode(
            cid=cid, row=row, parents=tuple(above), contents=contents, rivals=tuple(sorted(set(rivals[cid])))
        )
    return found, _MOST in (len(edges), len(rivalries), len(parts))


def _some_at_once(cids: Sequence[CID]) -> Iterator[Sequence[CID]]:
    for start in range(0, len(cids), MAX_MANY):
        yield cids[start : start + MAX_MANY]


def _grouped(pairs: Iterable[tuple[CID, CID]]) -> dict[CID, list[CID]]:
    groups: dict[CID, list[CID]] = defaultdict(list)
    for one, other in pairs:
        groups[one].append(other)
    return groups


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
    found: dict[CID, None] = {}
    looks = 0
    for looks, record in enumerate(_users(cid, lineage, limit + 1), 1):
        found[record] = None
        if len(found) > limit or looks == _MAX_LOOKS:
            break
    direct = list(found)
    is_cut = len(direct) > limit or looks == _MAX_LOOKS
    direct = sorted(direct[:limit])
    walked = lineage.descendants(direct, limit=limit + 1) if direct else []
    near = frozenset(direct)
    further = tuple(one for one in walked[:limit] if one not in near)
    return Dependents(direct=tuple(direct), further=further, is_cut=is_cut or len(walked) > limit)


def _users(cid: CID, lineage: LineageStore, limit: int) -> Iterator[CID]:
    """Yield the records that use something themselves, perhaps more than once, and about `limit` of them."""
    yield from lineage.children(cid, limit=limit)
    for by in BY_PARTS:
        yield from lineage.users(by, cid, limit=limit)
    for made in lineage.users("output", cid, limit=limit):
        yield from lineage.children(made, limit=limit)
    holders = [part.owner for part in lineage.owners(cid, limit=limit) if part.role == "entry"]
    for content in dict.fromkeys((cid, *holders)):
        for part in lineage.owners(content, limit=limit):
            if part.role in ("data", "volume"):
                yield from lineage.users("input", part.owner, limit=limit)
            elif part.role != "entry" and content == cid:
                yield from lineage.users("function", part.owner, limit=limit)


def producers_of(cid: CID, lineage: LineageStore, *, limit: int = DEFAULT_LIMIT) -> list[CID]:
    """Return the records whose output this is, or has this in it, by CID."""
    exact = lineage.users("output", cid, limit=limit)
    if exact:
        return sorted(exact)
    holders = [part.owner for part in lineage.owners(cid, limit=limit) if part.role == "entry"]
    found = (record for one in dict.fromkeys(holders) for record in lineage.users("output", one, limit=limit))
    return sorted(set(found))[:limit]

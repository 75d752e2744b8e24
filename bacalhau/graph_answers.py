"""What `graph show` and `graph why` say: the records that something stands for, what they rest on, how they stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bacalhau.graph_sources import Named, OpenGraph, with_origins
from bacalhau.graph_view import RecordGraph, Standing, ancestry, standing_of
from network.lineage_store import NEAR
from storage.cid import CID, cid_text

_MOST_STANDINGS = 20
"""Records of one job whose standing is told each by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer."""

    named: Named
    found: RecordGraph
    standings: Mapping[CID, Standing]
    """Of the records that were asked for, the first 20 of them."""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        named = self.named
        return {
            "kind": named.kind,
            "cid": None if named.cid is None else cid_text(named.cid),
            "job": None if named.job is None else named.job.id,
            "standing": {cid_text(cid): one.to_json() for cid, one in self.standings.items()},
            **self.found.to_json(),
        }


def shown_answer(named: Named, graph: OpenGraph, *, limit: int, depth: int) -> Answer:
    """Return the records of something with their ancestors, some edges far."""
    return _answer(named, ancestry(named.records, graph.lineage, limit=limit, depth=depth), graph, limit)


def explained_answer(named: Named, graph: OpenGraph, *, limit: int) -> Answer:
    """Return the records of something with all their ancestors and what was noted of their raw inputs."""
    return _answer(named, with_origins(ancestry(named.records, graph.lineage, limit=limit), graph), graph, limit)


def _answer(named: Named, found: RecordGraph, graph: OpenGraph, limit: int) -> Answer:
    asked = found.roots[:_MOST_STANDINGS]
    standings = {cid: standing_of(cid, graph.lineage, limit=max(limit, NEAR)) for cid in asked}
    return Answer(named=named, found=found, standings=standings)

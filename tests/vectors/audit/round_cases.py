"""The cases of records of more than one round: whoever was asked later may have seen receipts of those before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from storage.cid import CID
from tests.vectors.audit.graph_shelf import annotated, of_records
from tests.vectors.audit.graph_shelf import filed as graph_of
from tests.vectors.audit.kind_cases import filed
from tests.vectors.audit.shapes import Case
from tests.vectors.records.cases import change
from tests.vectors.records.world import KeptStore, World

Rounds = tuple[tuple[int, ...], ...]
"""Nodes by number, in the order of the rounds."""


@dataclass(kw_only=True)
class RoundsWorld(World):
    """As `World`; some of the nodes were asked when others had revealed."""

    rounds: Rounds
    named: Callable[[int, int], int] = lambda _node, own: own
    """Of which round the receipt of a node names the list; own: the one in which it was asked."""
    dropped: tuple[int, ...] = ()
    """Nodes whose commitments are in earlier lists and not in the last."""

    def _list(self) -> dict[str, Any]:
        whole = super()._list()
        by_node = {commitment["node"]: commitment for commitment in whole["commitments"]}
        self.lists: list[CID] = []
        asked: list[int] = []
        for nodes in self.rounds:
            asked += nodes
            peers = sorted(self._commitment(number)["node"] for number in asked)
            self.lists.append(self.put("round", {**whole, "commitments": [by_node[peer] for peer in peers]}))
        gone = {self._commitment(number)["node"] for number in self.dropped}
        return {**whole, "commitments": [one for one in whole["commitments"] if one["node"] not in gone]}

    def _receipt(self, number: int) -> dict[str, Any]:
        own = next(n for n, nodes in enumerate(self.rounds) if number in nodes)
        last, self.list = self.list, self.lists[self.named(number, own)]
        made = super()._receipt(number)
        self.list = last
        return made


def topped_up(about: str, check: int | None, blind: int | None, *rounds: tuple[int, ...], **changes: Any) -> Case:
    return Case(about=about, check=check, blind=blind, data=filed(lambda: RoundsWorld(rounds=rounds, **changes)))


def in_graph(store: KeptStore) -> list[CID]:
    """Three records, of which one was topped up."""
    made = [RoundsWorld(store=store, rounds=((0,), (1, 2))).build()]
    return made + [World(store=store, edits={"input": change(epoch=number)}).build() for number in (1, 2)]


def topped_rival(store: KeptStore) -> tuple[list[CID], list[CID], list[CID]]:
    lie = {"output": lambda files: files.update(result=b"a lie")}
    return [World(store=store).build()], [], [RoundsWorld(store=store, rounds=((0,), (1, 2)), edits=lie).build()]


ROUND_CASES: Mapping[str, Case] = {
    "rounds": topped_up("a third node was asked when two had revealed: two are blind", None, 2, (0, 1), (2,)),
    "rounds-three": topped_up("three rounds of one node each: one is blind", None, 1, (0,), (1,), (2,)),
    "rounds-split": topped_up(
        "after a split three more were asked: the dissenting one was in the first round, and is not counted",
        None,
        1,
        (0, 4),
        (1, 2, 3),
        nodes=5,
        liars=1,
    ),
    "rounds-dissent-later": topped_up(
        "the dissenting node was asked later: the others are blind", None, 2, (0, 1), (2,), liars=1
    ),
    "rounds-other-named": topped_up(
        "a node of the first round names the list of the second: it had committed before all the same",
        None,
        2,
        (0, 1),
        (2,),
        named=lambda node, own: 1 if node == 1 else own,
    ),
    "rounds-earlier-named_fail": topped_up(
        "the node of the second round names the list of the first, in which it is not",
        9,
        None,
        (0, 1),
        (2,),
        named=lambda _node, _own: 0,
    ),
    "rounds-dropped_fail": topped_up(
        "a commitment of the first round is not in the last list", 9, None, (0, 1), (2,), dropped=(1,)
    ),
    "graph-rounds": Case(
        about="one of three records was topped up", check=None, blind=1, data=graph_of(of_records(in_graph))
    ),
    "graph-rounds-rival_missing": Case(about="a rival was topped up", check=28, blind=0, data=annotated(topped_rival)),
}

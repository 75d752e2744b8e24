"""Where the boxes of a picture stand: layers from left to right, each box right of all that leads to it.

Layers are those of longest paths from the left, with sources drawn near. Within a layer boxes are sorted by the mean
place of their neighbours, a few sweeps to and fro (the barycentre heuristic of Sugiyama, Tagawa and Toda, 1981). Pure
and deterministic: ties go by the order in which boxes were given.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

_SWEEPS: Final = 8

Pairs: TypeAlias = Sequence[tuple[str, str]]
"""Tail and head."""


def layers_of(ids: Sequence[str], pairs: Pairs) -> list[list[str]]:
    """Return the boxes by layer, and in each from the top; an arrow that would close a circle counts for nothing."""
    levels = _levels(ids, pairs)
    _draw_near(levels, pairs)
    layers: list[list[str]] = [[] for _ in range(max(levels.values(), default=-1) + 1)]
    for one in ids:
        layers[levels[one]].append(one)
    heads_of, tails_of = _neighbours(pairs), _neighbours([(head, tail) for tail, head in pairs])
    for sweep in range(_SWEEPS):
        # Rightwards boxes follow what leads to them, leftwards what they lead to.
        neighbours, order = (tails_of, layers[1:]) if sweep % 2 == 0 else (heads_of, layers[-2::-1])
        for layer in order:
            _sort(layer, _places(layers), neighbours)
    return layers


def _sort(layer: list[str], places: Mapping[str, float], neighbours: Mapping[str, Sequence[str]]) -> None:
    layer.sort(key=lambda one: _mean((places[other] for other in neighbours.get(one, ())), places[one]))


def _levels(ids: Sequence[str], pairs: Pairs) -> dict[str, int]:
    """Return for each box the length of the longest path to it (Kahn's order)."""
    open_heads: dict[str, int] = dict.fromkeys(ids, 0)
    after: dict[str, list[str]] = defaultdict(list)
    for tail, head in pairs:
        open_heads[head] += 1
        after[tail].append(head)
    levels = dict.fromkeys(ids, 0)
    ready = [one for one in ids if open_heads[one] == 0]
    while ready:
        one = ready.pop()
        for head in after[one]:
            levels[head] = max(levels[head], levels[one] + 1)
            open_heads[head] -= 1
            if open_heads[head] == 0:
                ready.append(head)
    return levels


def _draw_near(levels: dict[str, int], pairs: Pairs) -> None:
    """Put what nothing leads to right before the first box that it leads to: short arrows cross fewer boxes."""
    heads = {head for _, head in pairs}
    nearest: dict[str, int] = {}
    for tail, head in pairs:
        if tail not in heads:
            nearest[tail] = min(nearest.get(tail, levels[head]), levels[head])
    levels.update({tail: max(0, level - 1) for tail, level in nearest.items()})


def _neighbours(pairs: Pairs) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for tail, head in pairs:
        found[tail].append(head)
    return found


def _places(layers: Iterable[Sequence[str]]) -> dict[str, float]:
    """Return where each box stands in its layer, from -0.5 to 0.5, so that layers of any size can be compared."""
    return {one: (place + 0.5) / len(layer) - 0.5 for layer in layers for place, one in enumerate(layer)}


def _mean(places: Iterable[float], own: float) -> float:
    found = list(places)
    return sum(found) / len(found) if found else own

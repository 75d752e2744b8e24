import random

import pytest

from bacalhau.layered_layout import layers_of


def levels(layers):
    return {one: number for number, layer in enumerate(layers) for one in layer}


def crossings(layers, pairs):
    place = {one: at for layer in layers for at, one in enumerate(layer)}
    level = levels(layers)
    found = 0
    for number, (tail, head) in enumerate(pairs):
        for tail2, head2 in pairs[:number]:
            if (level[tail], level[head]) == (level[tail2], level[head2]):
                found += (place[tail] - place[tail2]) * (place[head] - place[head2]) < 0
    return found


@pytest.mark.parametrize("seed", range(5))
def test_every_box_stands_right_of_what_leads_to_it(seed):
    chosen = random.Random(seed)
    ids = [f"b{number}" for number in range(60)]
    pairs = [(ids[min(pair)], ids[max(pair)]) for pair in (chosen.sample(range(60), 2) for _ in range(120))]
    layers = layers_of(ids, pairs)
    assert sorted(one for layer in layers for one in layer) == sorted(ids)
    level = levels(layers)
    assert all(level[tail] < level[head] for tail, head in pairs)
    assert layers == layers_of(ids, pairs)


def test_what_nothing_leads_to_stands_right_before_its_first_use():
    layers = layers_of(["raw", "a", "b", "c", "late"], [("raw", "a"), ("a", "b"), ("b", "c"), ("late", "c")])
    assert levels(layers) == {"raw": 0, "a": 1, "b": 2, "c": 3, "late": 2}


def test_boxes_are_sorted_so_that_arrows_do_not_cross_needlessly():
    tails, heads = [f"t{number}" for number in range(8)], [f"h{number}" for number in range(8)]
    pairs = list(zip(tails, reversed(heads), strict=True))
    assert crossings(layers_of([*tails, *heads], pairs), pairs) == 0


def test_a_circle_ends_too_and_nothing_gives_nothing():
    layers = layers_of(["a", "b", "c"], [("a", "b"), ("b", "a"), ("b", "c")])
    assert sorted(one for layer in layers for one in layer) == ["a", "b", "c"]
    assert layers_of([], []) == []

"""Whom to offer a task, and which of the bids that are there to take: by a seed that nodes do not know.

When enough bids are there, is not decided here: unless more are asked for (`min_bids`), those that bid first are taken.

With `diverse`, engines and architectures take turns, those first that have been asked least.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias, TypeVar

from verifier.model import PeerId

Kind: TypeAlias = tuple[str, str]
"""Engine and architecture."""

T = TypeVar("T")


def draws(seed: str, count: int, below: int) -> list[int]:
    """Return `count` numbers from 0 to below-1, fixed by the seed (bias under 2**-32 for less than 2**32 nodes)."""
    stream = hashlib.shake_256(seed.encode()).digest(8 * count)
    return [int.from_bytes(stream[at : at + 8], "big") % below for at in range(0, 8 * count, 8)]


def rank(seed: str, peer: PeerId) -> bytes:
    """Return the place of a peer among others under a seed."""
    return hashlib.sha256(f"{seed}/{peer}".encode()).digest()


def choose_bids(
    bids: Mapping[PeerId, Kind], count: int, *, seed: str, diverse: bool, asked: Sequence[Kind] = ()
) -> tuple[PeerId, ...]:
    """Return up to `count` bidders, in the order of the seed.

    asked: kinds of the nodes that work on this task already; counts with `diverse` only.
    """
    ordered = sorted(bids, key=lambda peer: rank(seed, peer))
    if not diverse:
        return tuple(ordered[:count])
    taken = Counter(asked)
    chosen: list[PeerId] = []
    while ordered and len(chosen) < count:
        peer = min(ordered, key=lambda peer: taken[bids[peer]])  # the first of the rarest: min is stable
        ordered.remove(peer)
        chosen.append(peer)
        taken[bids[peer]] += 1
    return tuple(chosen)


def is_diverse_enough(bids: Collection[Kind], asked: Collection[Kind], confidence: int) -> bool:
    """Tell whether these kinds together can satisfy `diverse` (`verifier.compare`)."""
    return len({*bids, *asked}) >= min(2, confidence)

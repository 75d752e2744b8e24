"""What is varied: each factor with its trials, and the kinds of requests by which it can reach a function."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from runtime.chaos.trial import ALL, Trial

LAYOUT: Final = "memory layout"
DAY_S: Final = 90_000
"""A day and an hour: another date and another time of day."""


@dataclass(frozen=True, slots=True)
class Factor:
    """One thing that could be otherwise."""

    name: str
    about: str
    """What it would be otherwise elsewhere."""
    kinds: tuple[str, ...]
    """Of the ledger."""
    trials: tuple[Trial, ...]
    is_input: bool = False
    """It is part of the task: an output that follows it is a function of the task all the same."""


def _padding(number: int) -> int:
    return 1_009 + 19_001 * number


def factors(*, runs: int, epoch: int, has_tree: bool, engines: tuple[str, ...]) -> tuple[Factor, ...]:
    """Return the factors.

    runs: trials of each factor that has many values. epoch: the task's. has_tree: the input is a directory.
    engines: those to compare with, beside the usual one.
    """
    numbers = range(1, runs + 1)
    seeds = tuple(hashlib.sha256(b"bacalhau chaos seed %d" % number).hexdigest()[:32] for number in numbers)
    several = numbers[: (runs + 2) // 3]  # each needs images of its own
    seeded = tuple(Trial(seed=seed) for seed in seeds)
    later = tuple(Trial(epoch=epoch + DAY_S * number**5) for number in numbers)
    rehashed = tuple(Trial(hash_seed=number) for number in several)
    padded = tuple(Trial(padding=_padding(number)) for number in numbers)
    tree = (Trial(entries="reversed"),)
    found = [
        Factor("seed", "--seed, by default derived from the task", ("randomness",), seeded, is_input=True),
        Factor("epoch", "--epoch, where the clock starts", ("clock",), later, is_input=True),
        Factor("hash seed", "PYTHONHASHSEED, another in every ordinary process", ("set order", "hash"), rehashed),
        _emulated("set order", "the order of a set, which Python does not promise"),
        _emulated("listing order", "the order of a directory listing, which is each file system's own"),
        _emulated("object ids", "whether an address is used again when its object is gone", kind="object id"),
        Factor(
            LAYOUT, "where objects lie: what id(), repr() and hash() show", ("object id", "hash", "set order"), padded
        ),
        _emulated("hashes", "hash() of text and objects, another in every ordinary process", kind="hash"),
        _emulated("host identity", "process id, host, user and number of processors"),
        _emulated("locale", "the user's language"),
    ]
    if has_tree:
        found.append(Factor("input order", "the order of the input's members in its tar stream", (), tree))
    found += [Factor(f"engine {name}", f"{name} instead of Node", (), (Trial(engine=name),)) for name in engines]
    return tuple(found)


def _emulated(name: str, about: str, *, kind: str = "") -> Factor:
    """Return a factor whose requests get another answer from the watch; the kind of the requests is its name."""
    kind = kind or name
    return Factor(name, about, (kind,), (Trial(vary=((kind, ALL),)),))

"""Numbers of things in sentences: `1 wheel`, `5 wheels`. Pure."""

from __future__ import annotations


def agrees(number: int, verb: str, verbs: str) -> str:
    """Return the form of a verb that goes with a number of things: `agrees(1, "has", "have")` is `has`."""
    return verb if number == 1 else verbs


def counted(number: int, thing: str, things: str = "") -> str:
    """Return a number with what it counts; things: the plural, where it is not `thing` with an `s` behind it."""
    return f"{number} {thing if number == 1 else things or thing + 's'}"

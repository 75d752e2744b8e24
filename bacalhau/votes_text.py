"""How many nodes say the same, in words. Pure."""

from __future__ import annotations

from storage.counting import agrees, counted


def votes_text(agreeing: int, said: int) -> str:
    """Return how many of the nodes that said anything say this: `2 of 3 nodes agree`."""
    return f"{agreeing} of {counted(said, 'node')} {agrees(agreeing, 'agrees', 'agree')}"

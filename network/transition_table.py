"""What the tables of the protocol are made of: for a phase and a kind of event, what is done and where it may lead.

The declared targets are what docs/protocol.md is drawn from, so each step is held to them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

from network.protocol_errors import LocalProtocolError


@dataclass(frozen=True, slots=True)
class Transition:
    """One cell of a table."""

    handle: Callable[..., Any]
    """Returns the next state and the actions."""
    to: tuple[StrEnum, ...]
    """Phases in which the next state may be; the same phase first where it may stay."""


Table: TypeAlias = Mapping[tuple[StrEnum, type], Transition]


def held_to(transition: Transition, phase: StrEnum) -> None:
    """Check where a transition led.

    Raises:
        LocalProtocolError: to a phase that its cell does not name.
    """
    if phase not in transition.to:
        raise LocalProtocolError(f"{transition.handle.__name__} led to {phase}")

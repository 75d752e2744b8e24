"""What a pool of workers knows: workers, the places they take, who waits for one, and the numbers."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, Protocol, TypeVar


class PooledWorker(Protocol):
    """What a pool needs of a worker."""

    @property
    def memory_bytes(self) -> int:
        """What the worker may take of the host's memory; fixed while it lives."""
        ...

    @property
    def is_alive(self) -> bool:
        """The process still runs. Asked with the pool's lock held: must not block."""
        ...

    def close(self) -> None:
        """End the process, within moments. Called once, by any thread, also while another uses it; must not raise."""
        ...


W = TypeVar("W", bound=PooledWorker)


class State(Enum):
    """Where a worker is between its start and its end."""

    STARTING = "starting"
    LEASED = "leased"
    IDLE = "idle"
    ENDING = "ending"


@dataclass(slots=True, kw_only=True, eq=False)
class Slot(Generic[W]):
    """The share of the capacity that one worker takes, from before its start until its process is gone."""

    key: Hashable
    memory_bytes: int
    state: State
    worker: W | None = None
    """None while it starts."""
    idle_since_s: float = 0.0


@dataclass(slots=True, kw_only=True, eq=False)
class Waiter(Generic[W]):
    """A lease that was asked for."""

    key: Hashable
    memory_bytes: int
    slot: Slot[W] | None = None
    """What it was given: a leased worker, or a place in which to start one."""
    overtakers: set[Slot[W]] = field(default_factory=set)
    """What others were given while this one waited at the head."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps(Generic[W]):
    """What the pool has to do now."""

    woken: tuple[Waiter[W], ...]
    """With a slot, or without one because the pool was stopped."""
    ending: tuple[Slot[W], ...]
    """To be closed; `gone` tells when that is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStats:
    """Workers now, and since the pool was made: started = leased + idle + expired + evicted + discarded."""

    leased: int
    idle: int
    starting: int
    ending: int
    """Being closed; counted in one of the totals below already."""
    waiting: int
    """Leases that were asked for and not given yet."""
    started: int
    reused: int
    """Leases served by an idle worker."""
    expired: int
    """Idle too long."""
    evicted: int
    """Ended while idle, to make room."""
    discarded: int
    """Not given back as pristine, found dead, or ended with the pool."""

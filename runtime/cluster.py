"""The seam to a cluster of one operator that executes tasks for a node: `Cluster`, and the values that cross it.

A cluster places an order on one of its workers, and on another one when that is lost. What the worker needs and what it
gives does not pass through the cluster: it dials the node that gave the order (`channel_transport`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from runtime.engine import UndeterminedError
from runtime.jail import Level
from storage.cid import CID


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One execution that a worker is to do: small, and without any block of the task."""

    task: CID
    wall_clock_s: float
    """As in `Plan`."""
    submitter: str
    """As in `Plan`."""
    engine: str
    """JavaScript engine, one of `engine_host.HOSTS`."""
    strict: bool
    """Execute nothing outside of a whole jail."""
    level: Level | None = None
    """Of the jail: this one and no other; None for the best that the worker's machine has."""
    contact: str
    """Where the node is dialled: `tcp://HOST:PORT`, or `tls://…`."""
    checkpoints_of: str = ""
    """As in `Plan`: the node, for checkpoints that the worker that executes has kept itself."""
    ticket: str
    """What opens the node's door for this order: 64 characters, secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRoom:
    """What one worker has for executions."""

    name: str
    """Its address in the cluster."""
    slots: int
    """Executions at a time."""
    memory_bytes: int
    """Of them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """An order is no longer with the cluster."""

    problem: str = ""
    """Why the cluster will not execute it; empty if a worker came to an end with it, one way or another."""


class LostWorkerError(UndeterminedError):
    """A worker was lost in the middle, or the way to it: the order may be given again."""


class Cluster(Protocol):
    """Workers that somebody else schedules. Thread-safe."""

    def workers(self) -> tuple[WorkerRoom, ...]:
        """Return the workers of this moment that orders may be placed on."""
        ...

    def watch(self, tell: Callable[[], None]) -> None:
        """Have `tell` called, by a thread of the cluster's, whenever `workers` has changed; it must not block."""
        ...

    def submit(self, order: Order, memory_bytes: int, ended: Callable[[Ended], None]) -> Callable[[], None]:
        """Give an order; return what takes it back, which does not wait and may be called when it is over.

        memory_bytes: what a worker must have free. ended: called once by a thread of the cluster's, unless it was taken
        back; it must not block.

        Raises:
            UndeterminedError: the cluster cannot be reached.
        """
        ...

    def close(self) -> None:
        """Leave the cluster: orders that are left are taken back."""
        ...

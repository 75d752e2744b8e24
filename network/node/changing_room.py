"""The seam to room that is not this machine's, and becomes more and less while a node runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from network.messages import Demand


class ChangingRoom(Protocol):
    """Room that is elsewhere (`network.node.cluster_total`). Thread-safe."""

    def total(self) -> Demand:
        """Return what jobs get now, all together."""
        ...

    def job_most(self) -> Demand:
        """Return what one of them gets at most now."""
        ...

    def watch(self, tell: Callable[[], None]) -> None:
        """Have `tell` called, by any thread, when something has changed; it must not block or raise."""
        ...

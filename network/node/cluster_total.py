"""What a node with a cluster has: the sum over its workers, within what the operator allows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from network.messages import Demand
from runtime.cluster import Cluster
from runtime.cluster_room import largest_memory, total_memory, total_slots
from runtime.worker_transport import worker_memory


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterTotal:
    """A `ChangingRoom`. A slot of a worker counts as a core."""

    cluster: Cluster
    limit: Demand
    """The disk is this machine's, where blocks are kept; workers have their own."""

    def total(self) -> Demand:
        """Return what there is now."""
        workers = self.cluster.workers()
        return Demand(
            cpu_milli=min(self.limit.cpu_milli, 1000 * total_slots(workers)),
            memory=min(self.limit.memory, total_memory(workers)),
            disk=self.limit.disk,
            gpus=0,
        )

    def largest_memory(self) -> int:
        """Return the most memory that a task can ask for now, in bytes: the process around it takes some too."""
        return max(0, largest_memory(self.cluster.workers()) - worker_memory(0))

    def watch(self, tell: Callable[[], None]) -> None:
        """Have `tell` called when workers have come or gone."""
        self.cluster.watch(tell)

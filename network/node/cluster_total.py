"""What a node with a cluster has: the sum over its workers, within what the operator allows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from network.messages import Demand
from runtime.capacity import Room
from runtime.cluster import Cluster
from runtime.cluster_room import largest_memory, total_memory, total_slots


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterTotal:
    """A `ChangingRoom`. A slot of a worker counts as a core."""

    cluster: Cluster
    limit: Room
    """Of all jobs together. The disk is this machine's, where blocks are kept; workers have their own."""
    job_limit: Room
    """Of each."""

    def total(self) -> Demand:
        """Return what there is now."""
        workers = self.cluster.workers()
        return Demand(
            cpu_milli=min(self.limit.cpu_milli, 1000 * total_slots(workers)),
            memory=min(self.limit.memory_bytes, total_memory(workers)),
            disk=self.limit.disk_bytes,
            gpus=0,
        )

    def job_most(self) -> Demand:
        """Return what one job gets now: no more memory than one worker has."""
        workers = self.cluster.workers()
        return Demand(
            cpu_milli=min(self.job_limit.cpu_milli, 1000 * total_slots(workers)),
            memory=min(self.job_limit.memory_bytes, largest_memory(workers)),
            disk=self.job_limit.disk_bytes,
            gpus=0,
        )

    def watch(self, tell: Callable[[], None]) -> None:
        """Have `tell` called when workers have come or gone."""
        self.cluster.watch(tell)

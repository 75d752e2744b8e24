"""What a running node can be asked and told by its operator: the seam between `network.node.node` and the HTTP API.

Runs on trio, in the node's own loop; nothing here blocks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from network.messages import Demand
from network.node.datastore import JobEvent, KeptJob, Submission
from verifier.model import PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus:
    """How a node is, now."""

    peer: PeerId
    addresses: tuple[str, ...]
    """Where others can reach it; each ends in its peer id."""
    roles: tuple[str, ...]
    """`compute`, `requester`."""
    connected: tuple[PeerId, ...]
    labels: Mapping[str, str]
    engines: tuple[str, ...]
    total: Demand
    """Of its compute node; zeros without one."""
    job_most: Demand
    """What one job gets of it, at most."""
    free: Demand
    gpus: tuple[str, ...]
    """UUIDs of its devices."""
    gpu_note: str
    """Why there are none, or not all that the machine has; empty if there is nothing to say."""
    known_nodes: int
    """Compute nodes whose capacity its requester has heard of."""
    running: int
    """Executions under way here."""
    jobs_open: int
    """Jobs of its requester that have not ended."""
    store_ok: bool
    """The datastore could be written to when it was last tried."""


class NodeControl(Protocol):
    """A running node."""

    def status(self) -> NodeStatus:
        """Return how the node is."""
        ...

    async def submit(self, submission: Submission) -> None:
        """Accept a job; when this returns it is durable and will end. Submitting the same again changes nothing.

        Raises:
            UserError: it is not possible, another job has this id, or this node is no requester.
            UnavailableError: blocks of the task are not here, or the datastore cannot be written.
        """
        ...

    async def cancel(self, job: str) -> None:
        """Give a job up; one that has ended stays as it is.

        job: a whole id.

        Raises:
            UserError: there is no such job.
            UnavailableError: the datastore cannot be written.
        """
        ...

    async def job(self, job: str) -> KeptJob | None:
        """Return a job by its whole id."""
        ...

    async def jobs(self, *, limit: int) -> Sequence[KeptJob]:
        """Return the newest jobs, the newest first."""
        ...

    async def events(self, job: str, *, after: int = 0, limit: int = 1000) -> Sequence[JobEvent]:
        """Return events of a job with a number greater than `after`, in their order."""
        ...

    async def wait_for_events(self, job: str, after: int) -> None:
        """Return when the job has, or may have, an event with a number greater than `after`. The last is `ended`."""
        ...


def status_json(status: NodeStatus) -> dict[str, Any]:
    """Return a status as JSON."""
    return {
        "peer": status.peer,
        "addresses": list(status.addresses),
        "roles": list(status.roles),
        "connected": list(status.connected),
        "labels": dict(status.labels),
        "engines": list(status.engines),
        "total": status.total.to_node(),
        "job_most": status.job_most.to_node(),
        "gpus": list(status.gpus),
        "gpu_note": status.gpu_note,
        "free": status.free.to_node(),
        "known_nodes": status.known_nodes,
        "running": status.running,
        "jobs_open": status.jobs_open,
        "store_ok": status.store_ok,
    }

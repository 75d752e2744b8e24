"""How a node is at this moment, told of its halves: to its operator, and to who measures it."""

from __future__ import annotations

from typing import Final

from network.messages import Demand
from network.node.compute_side import ComputeSide
from network.node.control import NodeStatus
from network.node.measures import Levels
from network.node.requester_side import RequesterSide
from network.transport import Transport

NOTHING: Final = Demand(cpu_milli=0, memory=0, disk=0, gpus=0)


def status_of(transport: Transport, compute: ComputeSide | None, requester: RequesterSide | None) -> NodeStatus:
    """Return how a node is."""
    halves = (("compute", compute), ("requester", requester))
    return NodeStatus(
        peer=transport.peer,
        addresses=transport.addresses,
        roles=tuple(name for name, half in halves if half is not None),
        connected=tuple(sorted(transport.connected())),
        labels={} if compute is None else compute.settings.labels,
        engines=() if compute is None else tuple(f"{one.engine}/{one.arch}" for one in compute.settings.engines),
        total=NOTHING if compute is None else compute.total,
        job_most=NOTHING if compute is None else compute.job_most or compute.total,
        gpus=() if compute is None else compute.settings.gpus or (),
        gpu_note="" if compute is None else compute.settings.gpu_note,
        free=NOTHING if compute is None else compute.free,
        known_nodes=0 if requester is None else requester.known_nodes,
        running=0 if compute is None else compute.executor.running,
        jobs_open=0 if requester is None else len(requester.open),
        store_ok=_are_healthy(compute, requester),
    )


def levels_of(transport: Transport, compute: ComputeSide | None, requester: RequesterSide | None) -> Levels:
    """Return how much there is."""
    jobs = () if requester is None else requester.open.values()
    return Levels(
        jobs_open=len(jobs),
        tasks_open=sum(len(job.tasks) - len(job.tally.ended) for job in jobs),
        tasks_unassigned=0 if requester is None else requester.unassigned,
        offers_waiting=0 if compute is None else compute.waiting,
        executions=0 if compute is None else compute.executor.running,
        peers=len(transport.connected()),
        is_healthy=_are_healthy(compute, requester),
    )


def _are_healthy(*halves: ComputeSide | RequesterSide | None) -> bool:
    return all(half.host.is_healthy for half in halves if half is not None)

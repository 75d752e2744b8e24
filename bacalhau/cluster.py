"""What `serve --workers` stands on: an engine whose executions are elsewhere, and the room that there is for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage.blocks import BlockStore
from storage.cid import CID

if TYPE_CHECKING:
    from network.node.cluster_total import ClusterTotal
    from runtime.cluster_engine import ClusterEngine
    from runtime.jail import Level
    from runtime.machine_room import MachineRoom


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterOptions:
    """What the operator said of the cluster."""

    scheduler: str
    """Address of Dask's scheduler."""
    contact_host: str = ""
    """Address of this machine that workers connect to; empty for the one on the way to the scheduler."""
    contact_port: int = 0


def open_cluster(
    options: ClusterOptions,
    runtime: CID,
    store: BlockStore,
    *,
    limit: MachineRoom,
    engine: str,
    strict: bool,
    level: Level | None = None,
) -> tuple[ClusterEngine, ClusterTotal]:
    """Connect to a cluster; stopping the engine leaves it.

    runtime: of this release, in the store. limit: what the node takes at most. engine, strict, level:
    of the executions.

    Raises:
        UserError: an address cannot be used.
        UnavailableError: no scheduler answers, or there are workers and all of them are of another release.
    """
    from network.node.cluster_total import ClusterTotal
    from runtime.cluster_engine import ClusterEngine
    from runtime.dask_client import address_towards, connect, door_context
    from runtime.door_transport import Door
    from verifier.model import Runtime, load_node

    cluster = connect(options.scheduler, load_node(store, runtime, Runtime), engine=engine)
    try:
        host = options.contact_host or address_towards(cluster)
        door = Door(host, options.contact_port, context=door_context(cluster))
    except BaseException:
        cluster.close()
        raise
    made = ClusterEngine(cluster=cluster, door=door, engine=engine, strict=strict, level=level)
    return made, ClusterTotal(cluster=cluster, limit=limit.total, job_limit=limit.job_most)

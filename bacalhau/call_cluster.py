"""The workers of a Dask cluster as what calls of the Python API execute on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bacalhau.services import Services
from runtime.engine import Engine
from storage.errors import UserError
from storage.sqlite_block_store import SqliteBlockStore

if TYPE_CHECKING:
    from distributed import Client


def open_call_cluster(
    dask: Client | str, services: Services, store: SqliteBlockStore, *, strict: bool
) -> tuple[Engine, int]:
    """Return an engine on the workers of a cluster, and how many calls keep them busy.

    Raises:
        UserError: it is no client and no address.
        UnavailableError: no scheduler answers, or its workers are of another release.
    """
    from bacalhau.cluster import ClusterOptions, open_cluster
    from runtime.machine_room import RoomFlags, cluster_limit

    address = dask if isinstance(dask, str) else getattr(getattr(dask, "scheduler", None), "address", None)
    if not isinstance(address, str) or not address:
        raise UserError(f"{dask!r} is no Dask client", where="Executor(dask=…)", fix="give a Client or tcp://host:port")
    limit = cluster_limit(services.home.store_path, RoomFlags())
    runtime = services.make_runtime(store)
    engine, total = open_cluster(
        ClusterOptions(scheduler=address), runtime, store, limit=limit, engine="node", strict=strict
    )
    return engine, max(1, total.total().cpu_milli // 1000)

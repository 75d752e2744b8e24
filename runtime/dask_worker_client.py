"""The end of Dask that is on a worker: what a node sends there by name (`dask_client`)."""

from __future__ import annotations

import asyncio
import os
from functools import partial
from pathlib import Path
from typing import Final

from distributed import Worker, get_worker

from runtime.cluster import Order
from runtime.cluster_release import Facts, Release, release_here
from runtime.cluster_worker_client import execute_order, make_place, place_once
from runtime.pool_capacity import PoolCapacity
from storage import dag_cbor
from verifier.model import Runtime

DIRECTORY: Final = "cluster-worker"
"""Below BACALHAU_DIR of a worker; without that variable, below a folder that goes with the worker."""


async def admit(manifest: bytes, wanted: Release, dask_worker: Worker) -> Facts:
    """Say what this worker has, and take orders of `wanted` from now on if it is that. Runs in the worker's loop."""
    runtime = Runtime.from_node(dag_cbor.decode(manifest))
    release = await asyncio.to_thread(release_here, runtime, wanted.engine)
    room = _capacity(dask_worker)
    if release == wanted:
        await dask_worker.set_resources(**{release.resource: room.memory_bytes})
    return Facts(release=release, slots=room.workers, memory_bytes=room.memory_bytes)


def run_order(order: Order) -> str:
    """Execute an order here; runs in a thread of the worker's, one of as many as it has room for."""
    worker = get_worker()
    context = worker.security.get_connection_args("worker")["ssl_context"]
    root = _root(worker)
    key = (root, order.engine, order.strict, order.level)
    place = place_once(key, partial(make_place, root, order, _capacity(worker)))
    return execute_order(order, place, context, name=worker.address)


def _root(worker: Worker) -> Path:
    chosen = os.environ.get("BACALHAU_DIR", "")
    return Path(chosen).expanduser().absolute() / DIRECTORY if chosen else Path(worker.local_directory) / DIRECTORY


def _capacity(worker: Worker) -> PoolCapacity:
    """Return what executions may take: a process for each thread, and the memory that is free and allowed."""
    free, allowed = PoolCapacity.of_machine().memory_bytes, worker.memory_manager.memory_limit
    return PoolCapacity(workers=worker.state.nthreads, memory_bytes=min(free, allowed) if allowed else free)

"""Makes the engine for containers of this home: with this machine's room, and the engine that the environment names."""

from __future__ import annotations

import os

from bacalhau.home import Home
from runtime.capacity_gate import CapacityGate
from runtime.capacity_ledger import CapacityLedger
from runtime.container_lease_store import ContainerLeases
from runtime.docker_api_client import DockerApi
from runtime.docker_engine import DockerEngine
from runtime.machine_room import machine_room


def make_containers(home: Home) -> DockerEngine:
    """Return an engine that has asked nobody yet.

    Raises:
        UserError, UnavailableError: as `machine_room`.
    """
    home.create()
    found = machine_room(home.store_path)
    ledger = CapacityLedger(found.total, job_most=found.job_most, gpus=[gpu.uuid for gpu in found.gpus])
    return DockerEngine(
        connect=lambda: DockerApi.connect(os.environ),
        leases=ContainerLeases(home.containers_dir),
        gate=CapacityGate(ledger),
    )

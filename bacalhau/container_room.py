"""Makes the engine for containers of this home: with this machine's room, and the engine that the environment names."""

from __future__ import annotations

import logging
import os

from bacalhau.home import Home
from runtime.capacity_gate import CapacityGate
from runtime.capacity_ledger import CapacityLedger
from runtime.container_lease_store import ContainerLeases
from runtime.docker_api_client import DockerApi
from runtime.docker_engine import DockerEngine
from runtime.machine_room import machine_room
from storage.errors import BacalhauError

log = logging.getLogger(__name__)


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


def sweep_left_behind(home: Home) -> None:
    """Remove containers of this home whose process was killed; what cannot be done is logged, and done by the next.

    Asks no engine where this home never had a container.
    """
    if not home.containers_dir.exists():
        return
    try:
        for name in make_containers(home).sweep():
            log.warning("removed what a run left behind: %s", name)
    except BacalhauError as error:
        log.warning("containers that were left behind could not be looked for: %s", error)

"""`NodeControl` of a home on which no node runs: it knows no job that is under way, and takes none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from network.messages import Demand
from network.node.control import NodeStatus
from network.node.datastore import JobEvent, KeptJob, Submission
from storage.errors import UnavailableError
from verifier.model import PeerId

_NOTHING = Demand(cpu_milli=0, memory=0, disk=0, gpus=0)


class NoNode:
    """Nobody."""

    def status(self) -> NodeStatus:
        """Return that of no node: empty."""
        return NodeStatus(
            peer=PeerId(""), addresses=(), roles=(), connected=(), labels={}, engines=(), known_nodes=0, running=0,
            total=_NOTHING, job_most=_NOTHING, free=_NOTHING, gpus=(), gpu_note="", jobs_open=0, store_ok=True,
        )  # fmt: skip

    async def submit(self, submission: Submission) -> None:
        """Refuse.

        Raises:
            UnavailableError: always.
        """
        self._refuse(submission.job)

    async def cancel(self, job: str) -> None:
        """Refuse; raises as `submit`."""
        self._refuse(job)

    async def job(self, job: str) -> KeptJob | None:  # noqa: ARG002  part of the protocol
        """Know none."""
        return None

    async def jobs(self, *, limit: int) -> Sequence[KeptJob]:  # noqa: ARG002
        """Know none."""
        return ()

    async def events(self, job: str, *, after: int = 0, limit: int = 1000) -> Sequence[JobEvent]:  # noqa: ARG002
        """Know none."""
        return ()

    async def wait_for_events(self, job: str, after: int) -> None:
        """Return: nothing will come."""

    def _refuse(self, job: str) -> NoReturn:
        raise UnavailableError("no node runs here", where=job, fix="start one with `bacalhau serve`")

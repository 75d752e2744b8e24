"""Finished jobs that ran in containers, as other commands find them in the job store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bacalhau.job_view import ENDED

if TYPE_CHECKING:
    from network.job_store import Job

CONTAINERS: Final = "docker"
"""What the key `engine` of their reports says; reports of functions have no such key."""


def is_of_container(job: Job) -> bool:
    """Tell whether a job ran in containers."""
    return job.report.get("engine") == CONTAINERS


def container_logs(job: Job) -> dict[str, Any]:
    """Return what `logs` prints: also of a job that gave no output, what its first failed run wrote until then."""
    return {"job": job.id, "state": ENDED, **{name: job.report[name] for name in ("stdout", "stderr", "cut")}}

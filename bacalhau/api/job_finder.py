"""Finds a job by what people call it: among those of the running node, and those that ended in this datastore."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from bacalhau.api.answers import RefusedError
from bacalhau.container_jobs import is_of_container
from bacalhau.job_view import summary_of_job, summary_of_kept, view
from bacalhau.targets import find_job
from network.job_id import MIN_PREFIX
from network.job_store import Job, JobStore
from network.node.control import NodeControl
from network.node.datastore import KeptJob
from storage.cid import CID, is_cid_text, parse_cid
from storage.errors import UserError

MAX_LISTED: Final = 1000
"""Jobs of one listing; a prefix of an id is looked up among as many."""
MAX_NAME_CHARACTERS: Final = 256
_HEX: Final = re.compile(r"[0-9a-f]{1,32}")
_WHOLE: Final = 32
_READERS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundJob:
    """One job. At least one of the two is there."""

    kept: KeptJob | None
    """What the node keeps; None for a job that another process ran in this datastore."""
    job: Job | None
    """None while it has not ended."""

    @property
    def id(self) -> str:
        """32 hex digits."""
        if self.job is not None:
            return self.job.id
        return self.kept.submission.job if self.kept is not None else ""

    def view(self) -> dict[str, Any]:
        """Return it as JSON."""
        return view(self.kept, self.job)

    def finished(self) -> Job:
        """Return what came of it.

        Raises:
            RefusedError: 409, it has not ended.
        """
        if self.job is None:
            raise RefusedError(409, "has not ended yet", where=self.id, fix=f"see `bacalhau events -f {self.id[:8]}`")
        return self.job

    def agreed(self) -> tuple[CID, CID]:
        """Return output and record.

        Raises:
            RefusedError: 409 it has not ended, 422 it was not verified.
        """
        job = self.finished()
        if job.output is None or job.record is None:
            raise RefusedError(422, f"was not verified ({job.verdict}), so it has no output", where=job.id)
        if is_of_container(job):
            fix = "take its output by its CID, if its word is enough"
            raise RefusedError(422, "was not verified, it ran in a container", where=job.id, fix=fix)
        return job.output, job.record


class JobFinder:
    """Looks into the node and into the datastore, which is read in threads."""

    def __init__(self, control: NodeControl, jobs: JobStore) -> None:
        self._control = control
        self._jobs = jobs
        self._limiter: CapacityLimiter | None = None

    async def find(self, name: str) -> FoundJob:
        """Return the job that an id, the first digits of one, or a CID names.

        Raises:
            RefusedError: 404 there is none, or several; 400 it is no name of a job.
        """
        if len(name) > MAX_NAME_CHARACTERS or not name.isascii():
            raise RefusedError(400, "is neither a job id nor a CID", where="job")
        if is_cid_text(name):
            return await self._by_cid(name)
        digits = name.lower()
        if not _HEX.fullmatch(digits):
            raise RefusedError(400, "is neither a job id nor a CID", where=repr(name))
        if len(digits) < MIN_PREFIX:
            raise RefusedError(400, "is too short for a job id", where=name, fix=f"give at least {MIN_PREFIX} digits")
        return await self._by_id(digits if len(digits) == _WHOLE else await self._whole_id(digits))

    async def newest(self, limit: int) -> list[dict[str, Any]]:
        """Return summaries of the newest jobs, the newest first."""
        kept = {one.submission.job: one for one in await self._control.jobs(limit=limit)}
        ended = {job.id: job for job in await self._read_newest(limit)}
        rows: list[tuple[float, dict[str, Any]]] = []
        for name, job in ended.items():
            cancelled = name in kept and kept[name].cancelled
            rows.append((job.created_at, summary_of_job(job, cancelled=cancelled)))
        for name, one in kept.items():
            if name not in ended:
                found = await self._finished(name)
                row = summary_of_kept(one) if found is None else summary_of_job(found, cancelled=one.cancelled)
                rows.append((one.submission.created_at, row))
        rows.sort(key=lambda row: row[0], reverse=True)
        return [row for _, row in rows[:limit]]

    async def _by_id(self, name: str) -> FoundJob:
        kept, job = await self._control.job(name), await self._finished(name)
        if kept is None and job is None:
            raise _absent(name)
        return FoundJob(kept=kept, job=job)

    async def _whole_id(self, digits: str) -> str:
        under_way = await self._control.jobs(limit=MAX_LISTED)
        ids = {one.submission.job for one in under_way if one.submission.job.startswith(digits)}
        ids |= {job.id for job in await self._read(self._jobs.beginning, digits)}
        if not ids:
            raise _absent(digits)
        if len(ids) > 1:
            raise RefusedError(404, "several jobs begin like this", where=digits, fix="give more digits of the id")
        return ids.pop()

    async def _by_cid(self, text: str) -> FoundJob:
        cid = parse_cid(text)
        under_way = await self._control.jobs(limit=MAX_LISTED)
        name = next((one.submission.job for one in under_way if one.submission.task == cid), None)
        if name is None:
            try:
                name = (await self._read(find_job, text, self._jobs)).id
            except UserError as error:
                raise RefusedError(404, error.problem, where=text, fix=error.fix) from error
        return await self._by_id(name)

    async def _finished(self, name: str) -> Job | None:
        return next(iter(await self._read(self._jobs.beginning, name)), None)

    async def _read_newest(self, limit: int) -> Sequence[Job]:
        found: Sequence[Job] = await self._read(self._jobs.newest, limit)
        return found

    async def _read(self, read: Any, *arguments: Any) -> Any:
        if self._limiter is None:  # belongs to the loop that runs, so not made before
            self._limiter = CapacityLimiter(_READERS)
        return await run_sync(read, *arguments, limiter=self._limiter)


def _absent(name: str) -> RefusedError:
    return RefusedError(404, "no job here has this id", where=name, fix="see `bacalhau list`")

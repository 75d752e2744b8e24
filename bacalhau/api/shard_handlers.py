"""The shards of a job that has ended, as the datastore lists them; and their proofs, one CAR for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.types import ASGIApp

from bacalhau.api.answers import RefusedError, json_answer
from bacalhau.api.block_handlers import CAR, BlockRoom
from bacalhau.api.endpoint import number_of, only_queries
from bacalhau.api.job_finder import JobFinder
from bacalhau.proof import proof_blocks
from bacalhau.shard_report import shard_entry
from network.job_shards import JobShard
from network.job_store import Job, JobStore
from network.shard_list import MAX_SHARDS
from storage.car import car_pieces
from storage.cid import CID

MAX_SHARDS_LISTED: Final = 1000
"""In one answer."""
MAX_PROVEN: Final = 20_000
"""Records in one CAR, whose header may have 1 MiB."""


class ShardHandlers:
    """What is below `/jobs/{job}` for jobs over shards."""

    def __init__(self, room: BlockRoom, finder: JobFinder, jobs: JobStore) -> None:
        """Take what the handlers ask."""
        self._room = room
        self._finder = finder
        self._jobs = jobs

    async def shards(self, request: Request) -> ASGIApp:
        """`GET /jobs/{job}/shards`: a page of them.

        Raises:
            RefusedError: 400, 404, 409 it has not ended.
        """
        only_queries(request, "first", "limit")
        first = number_of(request, "first", 0, low=0, high=MAX_SHARDS)
        limit = number_of(request, "limit", MAX_SHARDS_LISTED, low=1, high=MAX_SHARDS_LISTED)
        job = (await self._finder.find(request.path_params["job"])).finished()
        rows = await run_sync(self._page, job.id, first, limit, limiter=self._room.limiter)
        return json_answer({"shards": [shard_entry(row) for row in rows]})

    async def proofs(self, job: Job) -> ASGIApp:
        """Return the records of all shards and all that their audits read, each block once.

        Raises:
            RefusedError: 422 none was verified.
            BacalhauError: the first blocks cannot be read; later ones break the answer off.
        """
        records = await run_sync(self._records, job.id, limiter=self._room.limiter)
        if not records:
            raise RefusedError(422, f"was not verified ({job.verdict}), so it has no output", where=job.id)
        pieces = car_pieces(records, proof_blocks(self._room.store, *records))
        return await self._room.stream(pieces, CAR, name=f"{job.id}.car")

    def _page(self, job: str, first: int, limit: int) -> tuple[JobShard, ...]:
        return self._jobs.shards(job, after=first - 1, limit=limit)

    def _records(self, job: str) -> list[CID]:
        return list(_first(MAX_PROVEN, (row.record for row in self._jobs.each_shard(job) if row.record is not None)))


def _first(count: int, cids: Iterator[CID]) -> Iterator[CID]:
    for _, cid in zip(range(count), cids, strict=False):
        yield cid

"""Jobs: submit, list, describe, cancel; the logs and the proof of those that have ended."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

import anyio
from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.types import ASGIApp

from bacalhau.api.answers import RefusedError, json_answer
from bacalhau.api.block_handlers import CAR, BlockRoom
from bacalhau.api.endpoint import number_of, only_queries
from bacalhau.api.job_finder import MAX_LISTED, JobFinder
from bacalhau.api.request_body import read_json_body
from bacalhau.api.shard_handlers import ShardHandlers
from bacalhau.api.submission import Asked, Needs, is_same, make_submission, read_asked
from bacalhau.container_jobs import container_logs, is_of_container
from bacalhau.job_view import ENDED
from bacalhau.output_texts import read_texts
from bacalhau.proof import proof_blocks
from network.demand import demand_of
from network.node.control import NodeControl
from network.node.datastore import Submission
from network.shard_list import load_shards
from runtime.any_plan import any_plan_of_task
from runtime.container_plan import ContainerPlan
from runtime.demand import task_room
from runtime.plan import plan_of_task
from storage.blocks import BlockStore, block_missing
from storage.car import car_pieces
from storage.cid import CID, cid_text
from storage.dag_size import MAX_BYTES, claimed_bytes
from storage.errors import UnavailableError, VerificationError
from storage.unixfs_read import UnixfsReader
from verifier.model import Input, Task, load_node
from verifier.unverified_types import load_any_record

_BODIES: Final = 8
"""Submissions that are read at the same time: 1 MiB each."""
_DEFAULT_LISTED: Final = 20


class JobHandlers:
    """What is below `/jobs`, but for events."""

    def __init__(
        self,
        control: NodeControl,
        room: BlockRoom,
        finder: JobFinder,
        shards: ShardHandlers,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take what the handlers ask. clock: seconds since 1970."""
        self._control = control
        self._room = room
        self._finder = finder
        self._shards = shards
        self._clock = clock
        self._bodies: anyio.Semaphore | None = None

    async def list_jobs(self, request: Request) -> ASGIApp:
        """`GET /jobs`: the newest jobs.

        Raises:
            RefusedError: 400.
        """
        only_queries(request, "limit")
        limit = number_of(request, "limit", _DEFAULT_LISTED, low=1, high=MAX_LISTED)
        return json_answer({"jobs": await self._finder.newest(limit)})

    async def submit(self, request: Request) -> ASGIApp:
        """`POST /jobs`: accept a job.

        Raises:
            RefusedError: 400 malformed, 409 another job has this id, 424 a block is not here, 422 it is no task.
            BacalhauError: as `NodeControl.submit`.
        """
        if self._bodies is None:  # belongs to the loop that runs, so not made before
            self._bodies = anyio.Semaphore(_BODIES)
        async with self._bodies:
            asked = read_asked(await read_json_body(request))
            job = asked.job or uuid.uuid4().hex
            await self._control.submit(await self._submission(asked, job))
        return json_answer({"job": job}, status=202, headers={"Location": f"/api/v1/jobs/{job}"})

    async def describe(self, request: Request) -> ASGIApp:
        """`GET /jobs/{job}`: all that is known of a job.

        Raises:
            RefusedError: 400, 404.
        """
        return json_answer((await self._finder.find(request.path_params["job"])).view())

    async def cancel(self, request: Request) -> ASGIApp:
        """`POST /jobs/{job}/cancel`: give it up; one that has ended stays as it is.

        Raises:
            RefusedError: 400, 404.
            BacalhauError: as `NodeControl.cancel`.
        """
        found = await self._finder.find(request.path_params["job"])
        if found.job is None:
            await self._control.cancel(found.id)
            found = await self._finder.find(found.id)
        said = found.view()
        return json_answer({name: said[name] for name in ("job", "state", "cancelled")})

    async def logs(self, request: Request) -> ASGIApp:
        """`GET /jobs/{job}/logs`: what the function wrote.

        Raises:
            RefusedError: 400 also of a job over shards, 404, 409 it has not ended, 422 it was not verified.
            BacalhauError: the output cannot be read.
        """
        found = await self._finder.find(request.path_params["job"])
        if found.finished().task is None:
            fix = f"see `bacalhau get {found.id[:8]}`"
            raise RefusedError(400, "is over shards, each of which wrote on its own", where=found.id, fix=fix)
        if is_of_container(found.finished()):
            return json_answer(container_logs(found.finished()))
        output, _ = found.agreed()
        texts = await run_sync(read_texts, UnixfsReader(self._room.store), output, limiter=self._room.limiter)
        cut = [name for name, one in (("stdout", texts.stdout), ("stderr", texts.stderr)) if one.is_cut]
        said = {"stdout": texts.stdout.text(), "stderr": texts.stderr.text(), "cut": cut}
        return json_answer({"job": found.id, "state": ENDED, **said})

    async def results(self, request: Request) -> ASGIApp:
        """`GET /jobs/{job}/results`: the record, or those of all shards, and all that its audit reads, as a CAR.

        Raises:
            RefusedError: as `logs`.
            BacalhauError: the first blocks cannot be read; later ones break the answer off.
        """
        found = await self._finder.find(request.path_params["job"])
        if (job := found.finished()).task is None:
            return await self._shards.proofs(job)
        _, record = found.agreed()
        pieces = car_pieces([record], proof_blocks(self._room.store, record))
        return await self._room.stream(pieces, CAR, name=f"{found.id}.car")

    async def _submission(self, asked: Asked, job: str) -> Submission:
        read = partial(_needs_of, asked, self._room.store)
        try:
            needs = await run_sync(read, limiter=self._room.limiter)
        except UnavailableError as error:
            fix = "send it with PUT /blocks first"
            raise RefusedError(424, f"the job needs a block: {error.problem}", where=error.where, fix=fix) from error
        submission = make_submission(asked, job=job, created_at=self._clock(), needs=needs)
        known = await self._control.job(job)
        if known is None:
            return submission
        if not is_same(submission, known.submission):
            raise RefusedError(409, "another job has this id", where=job, fix="draw a new one")
        return known.submission


def _needs_of(asked: Asked, store: BlockStore) -> Needs:
    """Return what the tasks need; their own nodes, and the records of the inputs, must be here.

    Raises:
        UnavailableError: a block is not here.
        VerificationError: it is no task, a parent is no record, or shards are not of one function and its arguments.
    """
    for parent in (*asked.parents, *asked.data_parents):
        output = load_any_record(store, parent).output
        if not store.has(output):
            raise block_missing(output)
    if asked.shards is not None:
        return _needs_of_shards(asked.shards, store, asked.timeout_s)
    if asked.task is None:
        raise ValueError("neither a task nor shards")
    plan = any_plan_of_task(asked.task, store, asked.timeout_s)
    is_container = isinstance(plan, ContainerPlan)
    return Needs(demand=demand_of(task_room(plan, store)), shard_count=0, unverified=is_container)


def _needs_of_shards(cid: CID, store: BlockStore, timeout_s: float) -> Needs:
    """Return what each of them needs at most. The function is looked at once, and its size is that of all."""
    _, shards = load_shards(store, cid)
    data_bytes = 0
    first: tuple[CID, Input] | None = None
    for number, shard in enumerate(shards):
        task = load_node(store, shard.task, Task)
        if not store.has(task.function):
            raise block_missing(task.function)
        input_ = load_node(store, task.input, Input)
        data_bytes = max(data_bytes, 0 if input_.data is None else claimed_bytes(store, input_.data))
        common = (task.function, replace(input_, data=None))
        first = first or common
        if common != first:
            problem = f"shard {number} is of another function than the others, or has other arguments or limits"
            raise VerificationError(problem, where=cid_text(cid))
    if first is None:
        raise ValueError("a list has shards")
    room = task_room(plan_of_task(shards[0].task, store, timeout_s), store)
    disk_bytes = min(room.disk_bytes + data_bytes, MAX_BYTES)
    return Needs(demand=demand_of(replace(room, disk_bytes=disk_bytes)), shard_count=len(shards))

"""What the pages ask beside the API: records, audits, files, the graph. Below `/pages/data`, with the token.

No contract: it changes with the pages. Blocks are read in threads, a few at a time, and one audit at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import quote

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from bacalhau.api.answers import RefusedError, json_answer
from bacalhau.api.block_handlers import BlockRoom
from bacalhau.api.endpoint import number_of, only_queries
from bacalhau.audit_demand import Demand
from bacalhau.auditing import audit_whole
from bacalhau.graph_auditing import rivals_of, with_disputes
from bacalhau.graph_view import MAX_NAMED
from bacalhau.taint_report import taint_of
from bacalhau.web.content_view import head_of_file, listing
from bacalhau.web.graph_view import MAX_NODES, graph_view
from bacalhau.web.record_view import record_view
from network.job_store import JobStore
from network.lineage_index import Filer
from network.lineage_store import MAX_MANY, LineageStore
from storage.cid import CID, cid_text, is_cid_text, parse_cid
from verifier.model import Record
from verifier.unverified_types import UnverifiedRecord

_RECORDS: Final = (Record.VERSION, UnverifiedRecord.VERSION)
_LONGEST_CID: Final = 256
_LONGEST_PATH: Final = 4096
_MOST_SKIPPED: Final = 10_000_000
_SHARDS_OF_JOB: Final = 1000
_MOST_RIVALS: Final = 1000
"""Contradicting records that are drawn."""
_FILE_HEADERS: Final = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    # If somebody opens it by itself: no script of a stranger's output runs with this origin.
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Content-Disposition": "attachment",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class PageData:
    """Handlers."""

    def __init__(self, room: BlockRoom, jobs: JobStore, lineage: LineageStore) -> None:
        """Take the store, the jobs, and what is filed of records."""
        self._room = room
        self._jobs = jobs
        self._lineage = lineage
        self._audits: CapacityLimiter | None = None

    async def record(self, request: Request) -> ASGIApp:
        """`GET records/{cid}`; of a record also its taint, and the records that it or an ancestor of it is disputed by.

        Raises:
            RefusedError, BacalhauError: no CID, no record, or not here.
        """
        return json_answer(await self._read(self._record, _cid(request)))

    def _record(self, cid: CID) -> dict[str, Any]:
        found = record_view(self._room.store, cid)
        if found["kind"] not in _RECORDS:
            return found
        rivals = rivals_of([cid], self._room.store, self._lineage, ancestors=True)
        disputes = [{"rival": cid_text(one), "of": cid_text(of)} for one, of in sorted(rivals.items())[:MAX_NAMED]]
        return found | taint_of([cid], self._room.store) | {"disputes": disputes, "disputed_by": len(rivals)}

    async def audit(self, request: Request) -> ASGIApp:
        """`POST records/{cid}/audit`: what `bacalhau audit` says of a record.

        Raises:
            RefusedError, BacalhauError: no CID.
        """
        if self._audits is None:  # belongs to the loop that runs, so not made before
            self._audits = CapacityLimiter(1)
        cid = _cid(request)
        return json_answer(await run_sync(self._audit, cid, limiter=self._audits))

    def _audit(self, cid: CID) -> dict[str, Any]:
        found = audit_whole(self._room.store, cid, Demand()).to_json()
        return with_disputes(found, [cid], self._room.store, self._lineage)

    async def content(self, request: Request) -> ASGIApp:
        """`GET content/{cid}?path=&skip=`: a listing.

        Raises:
            RefusedError, BacalhauError: there is nothing, or it is not here.
        """
        only_queries(request, "path", "skip")
        skip = number_of(request, "skip", 0, low=0, high=_MOST_SKIPPED)
        return json_answer(
            await self._read(lambda: listing(self._room.store, _cid(request), _path(request), skip=skip))
        )

    async def file(self, request: Request) -> ASGIApp:
        """`GET files/{cid}?path=`: the first 8 MiB of a file; the header `X-Size` has the bytes of all of it.

        Raises:
            RefusedError, BacalhauError: it is no file, or not here.
        """
        only_queries(request, "path")
        head, size = await self._read(head_of_file, self._room.store, _cid(request), _path(request))
        return Response(head, media_type="application/octet-stream", headers={**_FILE_HEADERS, "X-Size": str(size)})

    async def graph(self, request: Request) -> ASGIApp:
        """`GET graph?of=&limit=`: records and what they came of; without `of` those of the newest jobs.

        Raises:
            RefusedError: 400.
        """
        only_queries(request, "of", "limit")
        limit = number_of(request, "limit", MAX_NODES, low=1, high=MAX_NODES)
        names = request.query_params.getlist("of")
        if len(names) > 1:
            raise RefusedError(400, "is there twice", where="of")
        return json_answer(await self._read(self._graph, names[0] if names else "", limit))

    def _graph(self, name: str, limit: int) -> dict[str, Any]:
        focus: list[CID] = []
        if name:
            if len(name) > _LONGEST_CID or not is_cid_text(name):
                raise RefusedError(400, "is no CID", where="of")
            focus = self._records_of(parse_cid(name))
        # Those that may have come of it are among the newest: what is not related is left out by the page.
        newest = self._newest(limit)
        found = graph_view(self._room.store, [*focus, *newest], limit=limit)
        rivals = self._rivals([parse_cid(node["cid"]) for node in found["nodes"]])
        if rivals:  # what contradicts may have come with a graph that was merged, and be no job's here
            found = graph_view(self._room.store, [*focus, *rivals, *newest], limit=limit)
        return {**found, "focus": [cid_text(cid) for cid in focus]}

    def _records_of(self, cid: CID) -> list[CID]:
        """Return the records that a CID names: itself, or those of an output."""
        of_jobs = (job.record for job in self._jobs.by_output(cid))
        of_shards = (shard.record for _, shard in self._jobs.shards_with(cid, limit=1))
        found = [record for record in (*of_jobs, *of_shards) if record is not None]
        return found or self._lineage.users("output", cid, limit=MAX_MANY) or [cid]

    def _rivals(self, drawn: Sequence[CID]) -> list[CID]:
        """Return the records that contradict those that are drawn, and are not drawn, by CID."""
        Filer(self._room.store, self._lineage).catch_up()
        rivals: set[CID] = set()
        for start in range(0, len(drawn), MAX_MANY):
            some = drawn[start : start + MAX_MANY]
            rivals.update(rival for _, rival in self._lineage.rivals(some, limit=_MOST_RIVALS))
        return sorted(rivals - set(drawn))[:_MOST_RIVALS]

    def _newest(self, limit: int) -> list[CID]:
        found: dict[CID, None] = {}
        for job in self._jobs.newest(limit):
            rows = [job.record] if job.record is not None else []
            if job.record is None:
                rows = [one.record for one in self._jobs.shards(job.id, limit=_SHARDS_OF_JOB) if one.record is not None]
            found.update(dict.fromkeys(rows))
            if len(found) >= limit:
                break
        return list(found)

    async def _read(self, read: Callable[..., Any], *arguments: Any) -> Any:
        return await run_sync(read, *arguments, limiter=self._room.limiter)


def _cid(request: Request) -> CID:
    text = request.path_params["cid"]
    if len(text) > _LONGEST_CID or not text.isascii():
        raise RefusedError(400, "is not a CID", where=quote(text[:80]))
    return parse_cid(text)


def _path(request: Request) -> str:
    given = request.query_params.getlist("path")
    if len(given) > 1 or len("".join(given)) > _LONGEST_PATH:
        raise RefusedError(400, "is there twice, or too long", where="path")
    return given[0] if given else ""

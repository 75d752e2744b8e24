"""The API as one ASGI application: paths, the guard in front, the trustless gateway beside (docs/api.md)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route, Router
from starlette.types import ASGIApp

from bacalhau import __version__
from bacalhau.api.answers import RefusedError, json_answer, refused
from bacalhau.api.block_handlers import BlockRoom
from bacalhau.api.document import make_document
from bacalhau.api.endpoint import Bounded, Endpoint, Places, absent
from bacalhau.api.event_stream import EventHandlers
from bacalhau.api.guard import GATEWAY, PAGES, PAGES_DATA, PREFIX, Guard
from bacalhau.api.job_finder import JobFinder
from bacalhau.api.job_handlers import JobHandlers
from bacalhau.api.metrics import METRICS, MetricsHandler, NodeMetrics
from bacalhau.api.shard_handlers import ShardHandlers
from bacalhau.web.page_data import PageData
from bacalhau.web.page_files import PageFile, PageHandlers
from network.job_store import JobStore
from network.lineage_store import LineageStore
from network.node.control import NodeControl, status_json
from storage.blocks import BlockStore
from storage.errors import BacalhauError
from storage.gateway_asgi import GatewayApp

MAX_STREAMS: Final = 24
"""CARs that are being sent at the same time: each holds a block of up to 2 MiB while its client is slow."""


def make_app(
    control: NodeControl,
    store: BlockStore,
    jobs: JobStore,
    *,
    token: str,
    hosts: Iterable[str] = (),
    clock: Callable[[], float] = time.time,
    pages: Mapping[str, PageFile] | None = None,
    lineage: LineageStore | None = None,
    metrics: NodeMetrics | None = None,
) -> Guard:
    """Return the application for one node.

    store: safe for threads, stays open while it serves; jobs: of the node's datastore, where ended jobs are found;
    token: 64 hex digits; hosts: `name` (with the node's port) or `name:port` of the Host header to answer besides
    loopback ones; clock: seconds since 1970; pages: the files of the web pages, None for none; they need `lineage`,
    what is filed of records; metrics: what `/metrics` tells, None where no node runs.
    """
    room, finder = BlockRoom(store), JobFinder(control, jobs)
    shard, event = ShardHandlers(room, finder, jobs), EventHandlers(control, finder)
    job = JobHandlers(control, room, finder, shard, clock)
    document = make_document()

    async def node(_request: Request) -> ASGIApp:
        return json_answer(status_json(control.status()))

    async def health(_request: Request) -> ASGIApp:
        status = control.status()
        said = {"ok": status.store_ok, "peer": status.peer, "version": __version__}
        return json_answer(said, status=200 if status.store_ok else 503)

    async def description(_request: Request) -> ASGIApp:
        return json_answer(document)

    streams = Places(MAX_STREAMS)
    endpoints: dict[str, ASGIApp] = {
        "/jobs": Endpoint(GET=job.list_jobs, POST=job.submit),
        "/jobs/{job}": Endpoint(GET=job.describe),
        "/jobs/{job}/cancel": Endpoint(POST=job.cancel),
        "/jobs/{job}/events": Endpoint(GET=event.events),
        "/jobs/{job}/shards": Endpoint(GET=shard.shards),
        "/jobs/{job}/logs": Endpoint(GET=job.logs),
        "/jobs/{job}/results": Bounded(Endpoint(GET=job.results), streams),
        "/blocks": Endpoint(PUT=room.put_car),
        "/blocks/{cid}": Endpoint(GET=room.get_block),
        "/node": Endpoint(GET=node),
        "/health": Endpoint(GET=health),
        "/openapi.json": Endpoint(GET=description),
    }
    routes = [Route(f"{PREFIX}{path}", endpoint) for path, endpoint in endpoints.items()]
    if pages is not None and lineage is not None:
        routes += _page_routes(PageHandlers(pages), PageData(room, jobs, lineage))
    routes.append(Route(METRICS, Endpoint(GET=MetricsHandler(metrics))))
    router = Router(
        [*routes, Mount(GATEWAY, Bounded(GatewayApp(store), streams))], redirect_slashes=False, default=absent
    )
    answering = ExceptionMiddleware(router, handlers={RefusedError: _refusal, BacalhauError: _refusal})
    if metrics is not None:
        metrics.requests.learn(router.routes)
    return Guard(answering, token=token, hosts=hosts, counts=None if metrics is None else metrics.requests)


def _page_routes(page: PageHandlers, data: PageData) -> list[Route]:
    """Return the routes of the pages, and of what they ask beside the API."""
    return [
        Route("/", Endpoint(GET=page.index)),
        Route(f"{PAGES}/{{name}}", Endpoint(GET=page.file)),
        Route(f"{PAGES_DATA}/records/{{cid}}", Endpoint(GET=data.record)),
        Route(f"{PAGES_DATA}/records/{{cid}}/audit", Endpoint(POST=data.audit)),
        Route(f"{PAGES_DATA}/content/{{cid}}", Endpoint(GET=data.content)),
        Route(f"{PAGES_DATA}/files/{{cid}}", Endpoint(GET=data.file)),
        Route(f"{PAGES_DATA}/graph", Endpoint(GET=data.graph)),
    ]


def _refusal(_request: Request, error: Any) -> Response:
    return (error if isinstance(error, RefusedError) else refused(error)).answer()

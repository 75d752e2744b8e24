"""Events of a job: as JSON lines, or as server-sent events that follow the job to its end.

Followers are counted, and give their place back however they end. A follower that does not read is let go by the
server's own deadline for writing (`http_server`). Source of the format: HTML Living Standard, server-sent events.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

import anyio
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from bacalhau.api.answers import RefusedError, json_bytes
from bacalhau.api.endpoint import number_of, only_queries
from bacalhau.api.job_finder import FoundJob, JobFinder
from bacalhau.job_events import LAST, event_json, events_of_report
from network.node.control import NodeControl
from network.node.datastore import JobState

JSON_LINES: Final = "application/jsonl"
SERVER_SENT: Final = "text/event-stream"
MAX_FOLLOWERS: Final = 32
"""Half of the connections that there may be."""
HEARTBEAT_S: Final = 15.0
"""A comment this often tells each side that the other is there, and the job is looked at again."""
MAX_NUMBER: Final = (1 << 53) - 1
"""What JavaScript counts exactly."""
_PAGE: Final = 1000


class Source(Protocol):
    """Where the events of one job come from."""

    async def page(self, after: int) -> Sequence[dict[str, Any]]:
        """Return the next events after a number; none: there are none yet."""
        ...

    async def wait(self, after: int) -> None:
        """Return when there may be more."""
        ...

    async def has_ended(self) -> bool:
        """Tell whether nothing will follow what is there now."""
        ...


class NodeEvents:
    """Events that the node keeps."""

    def __init__(self, control: NodeControl, job: str) -> None:
        self._control = control
        self._job = job

    async def page(self, after: int) -> Sequence[dict[str, Any]]:
        """Return the next events."""
        return [event_json(event) for event in await self._control.events(self._job, after=after, limit=_PAGE)]

    async def wait(self, after: int) -> None:
        """Wait for the node to tell, or for a heartbeat."""
        with anyio.move_on_after(HEARTBEAT_S):
            await self._control.wait_for_events(self._job, after)

    async def has_ended(self) -> bool:
        """Ask the node."""
        kept = await self._control.job(self._job)
        return kept is None or kept.state is JobState.ENDED


class ReportEvents:
    """What the report of a job knows that no node kept."""

    def __init__(self, report: dict[str, Any]) -> None:
        self._events = events_of_report(report)

    async def page(self, after: int) -> Sequence[dict[str, Any]]:
        """Return all that is left."""
        return self._events[after:]

    async def wait(self, after: int) -> None:
        """Return: nothing will come."""

    async def has_ended(self) -> bool:
        """It has."""
        return True


class EventHandlers:
    """`GET /jobs/{job}/events`."""

    def __init__(self, control: NodeControl, finder: JobFinder) -> None:
        self._control = control
        self._finder = finder
        self.followers = 0
        """At this moment."""

    async def events(self, request: Request) -> ASGIApp:
        """Answer with events.

        Raises:
            RefusedError: 400 or 404; 429 from the answer, too many follow.
        """
        only_queries(request, "after", "follow")
        after = max(number_of(request, "after", 0, low=0, high=MAX_NUMBER), _last_event_id(request))
        follow = number_of(request, "follow", 0, low=0, high=1)
        source = self._source(await self._finder.find(request.path_params["job"]))
        if not follow:
            return _Events(self, source, after, is_sent=SERVER_SENT in request.headers.get("accept", ""), follow=False)
        if await source.has_ended() and not await source.page(after):
            return Response(status_code=204)  # which tells a browser not to come back
        return _Events(self, source, after, is_sent=True, follow=True)

    def _source(self, found: FoundJob) -> Source:
        if found.kept is not None:
            return NodeEvents(self._control, found.id)
        return ReportEvents(dict(found.finished().report))


class _Events:
    """The answer, as an ASGI application."""

    def __init__(self, handlers: EventHandlers, source: Source, after: int, *, is_sent: bool, follow: bool) -> None:
        self._handlers = handlers
        self._source = source
        self._after = after
        self._is_sent = is_sent
        self._follow = follow

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        if self._follow and self._handlers.followers >= MAX_FOLLOWERS:
            raise RefusedError(429, f"{MAX_FOLLOWERS} follow events already", headers={"Retry-After": "10"})
        self._handlers.followers += self._follow
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_end_with_client, receive, tasks.cancel_scope)
                await self._answer(send)
                tasks.cancel_scope.cancel()
        finally:
            self._handlers.followers -= self._follow

    async def _answer(self, send: Send) -> None:
        media_type = SERVER_SENT if self._is_sent else JSON_LINES
        headers = [(b"content-type", media_type.encode()), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        while await self._send_more(send):
            pass
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_more(self, send: Send) -> bool:
        """Send what is there, or wait for it; tell whether to go on."""
        # Asked before the events are read: what it says of those is still true then.
        is_over = not self._follow or await self._source.has_ended()
        events = await self._source.page(self._after)
        if events:
            self._after = events[-1]["number"]
            await _send_piece(send, b"".join(map(self._written, events)))
            return bool(events[-1]["kind"] != LAST)
        if is_over:
            return False
        await self._source.wait(self._after)
        await _send_piece(send, b":\n\n")
        return True

    def _written(self, event: dict[str, Any]) -> bytes:
        data = json_bytes(event)
        return b"id: %d\ndata: %s\n\n" % (event["number"], data) if self._is_sent else data + b"\n"


async def _send_piece(send: Send, piece: bytes) -> None:
    await send({"type": "http.response.body", "body": piece, "more_body": True})


async def _end_with_client(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


def _last_event_id(request: Request) -> int:
    """Return what a client that comes again has seen; a text that is no number of ours is nobody's event."""
    text = request.headers.get("last-event-id", "").strip()
    return min(int(text), MAX_NUMBER) if text.isascii() and text.isdigit() and len(text) <= 18 else 0

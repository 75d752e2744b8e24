"""One path of the API: a handler for each of its methods, and numbers read from the query."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from bacalhau.api.answers import RefusedError

Handler: TypeAlias = Callable[[Request], Awaitable[ASGIApp]]
_LONGEST_NUMBER: Final = 18


class Places:
    """How many more there may be at this moment."""

    def __init__(self, free: int) -> None:
        self.free = free


class Endpoint:
    """An ASGI application of one path."""

    def __init__(self, **handlers: Handler) -> None:
        """Take the handlers by method, in capitals."""
        self._handlers = handlers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request.

        Raises:
            RefusedError: 405, or what the handler raises.
        """
        handler = self._handlers.get(scope["method"])
        if handler is None:
            allowed = {"Allow": ", ".join(sorted(self._handlers))}
            raise RefusedError(405, f"{scope['method']} is not for this path", where=scope["path"], headers=allowed)
        answer = await handler(Request(scope, receive))
        await answer(scope, receive, send)


class Bounded:
    """An application that answers so many requests at the same time, and refuses further ones."""

    def __init__(self, app: ASGIApp, places: Places) -> None:
        """Take the application, and places that it may share with others."""
        self._app = app
        self._places = places

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request.

        Raises:
            RefusedError: 429, or what the application raises.
        """
        if self._places.free == 0:
            raise RefusedError(429, "too many do this already", where=scope["path"][:256], headers={"Retry-After": "5"})
        self._places.free -= 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._places.free += 1


async def absent(scope: Scope, _receive: Receive, _send: Send) -> Any:
    """Answer for every path that there is not.

    Raises:
        RefusedError: 404.
    """
    raise RefusedError(404, "there is no such path", where=scope["path"][:256], fix="see /api/v1/openapi.json")


def number_of(request: Request, name: str, default: int, *, low: int, high: int) -> int:
    """Return an integer of the query.

    Raises:
        RefusedError: 400, not one, out of range, or there twice.
    """
    given = request.query_params.getlist(name)
    if not given:
        return default
    text = given[0]
    is_number = len(given) == 1 and text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER
    if not is_number or not low <= int(text) <= high:
        raise RefusedError(400, f"must be an integer, {low} to {high}", where=name)
    return int(text)


def only_queries(request: Request, *names: str) -> None:
    """Refuse what is not known: a slip of the pen must not be taken for the default.

    Raises:
        RefusedError: 400.
    """
    unknown = sorted(set(request.query_params) - set(names))
    if unknown:
        known = f"; there are {', '.join(names)}" if names else ""
        raise RefusedError(400, f"is no parameter here{known}", where=unknown[0][:80])

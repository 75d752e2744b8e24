"""Counts how requests were answered, by path and status. What a client chooses never becomes a label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from starlette.routing import BaseRoute, Mount, Route
from starlette.types import Message, Scope, Send

NO_PATH: Final = "none"
"""Refused by the guard, or no path of ours."""


class RequestCounts:
    """Answers that were begun, by the path's template and the status. Used in the node's loop alone."""

    def __init__(self) -> None:
        self.answered: Counter[tuple[str, int]] = Counter()
        self._templates: dict[int, str] = {}

    def learn(self, routes: Iterable[BaseRoute]) -> None:
        """Note the paths that there are."""
        for route in routes:
            if isinstance(route, Route):
                self._templates[id(route.endpoint)] = route.path
            elif isinstance(route, Mount):
                self._templates[id(route.app)] = route.path

    def watch(self, scope: Scope, send: Send) -> Send:
        """Return what to answer a request with; it is counted when the answer begins."""

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                template = self._templates.get(id(scope.get("endpoint")), NO_PATH)
                self.answered[template, message["status"]] += 1
            await send(message)

        return told

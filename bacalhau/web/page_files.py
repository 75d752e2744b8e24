"""The files that make the pages: our own, and two libraries that draw graphs, which npm brings.

Only files that are listed here are served, from memory, with headers that leave a page nothing but this origin: no
inline script or style, no frame, no form that leads elsewhere. Nothing is fetched from anywhere else, so the pages
work without a network.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from bacalhau.api.answers import RefusedError

INDEX: Final = "index.html"
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
LIBRARIES: Final = {"graphology.js": "graphology/dist/graphology.umd.min.js", "sigma.js": "sigma/dist/sigma.min.js"}
"""Name here -> path in node_modules."""
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PageFile:
    """One file."""

    content: bytes
    media_type: str
    tag: str
    """Names the content: an HTTP entity tag."""


def read_page_files(find_modules: Callable[[], Path | None]) -> Mapping[str, PageFile]:
    """Return the files by name. Without the libraries, the graph is a list.

    find_modules: returns npm's node_modules, None if they are not to be had.
    """
    folder = resources.files("bacalhau.web") / "static"
    found = {item.name: item.read_bytes() for item in folder.iterdir() if Path(item.name).suffix in _TYPES}
    modules = find_modules()
    for name, place in LIBRARIES.items():
        if modules is not None and (modules / place).is_file():
            found[name] = (modules / place).read_bytes()
    return {name: _page_file(name, content) for name, content in sorted(found.items())}


def _page_file(name: str, content: bytes) -> PageFile:
    tag = hashlib.sha256(content).hexdigest()[:32]
    return PageFile(content=content, media_type=_TYPES[Path(name).suffix], tag=f'"{tag}"')


class PageHandlers:
    """`GET /` and `GET /pages/{name}`: open to whoever reaches the port; they hold nothing of this node."""

    def __init__(self, files: Mapping[str, PageFile]) -> None:
        self._files = files

    async def index(self, request: Request) -> ASGIApp:
        """Answer with the one page there is."""
        return self._answer(request, INDEX)

    async def file(self, request: Request) -> ASGIApp:
        """Answer with a file.

        Raises:
            RefusedError: 404.
        """
        return self._answer(request, request.path_params["name"])

    def _answer(self, request: Request, name: str) -> Response:
        found = self._files.get(name)
        if found is None:
            raise RefusedError(404, "there is no such file", where=name[:80])
        headers = {**_HEADERS, "ETag": found.tag}
        if request.headers.get("if-none-match") == found.tag:
            return Response(status_code=304, headers=headers)
        return Response(found.content, media_type=found.media_type, headers=headers)

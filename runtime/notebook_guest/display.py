"""What `from IPython.display import …` gives in the guest.

Source: https://ipython.readthedocs.io/en/stable/api/generated/IPython.display.html
"""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

from .formatters import real_method
from .shell import get_ipython, require_shell

_SIGNATURES = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8": "jpeg", b"GIF8": "gif"}


def display(
    *things: Any,
    include: Any = None,
    exclude: Any = None,
    metadata: dict[str, Any] | None = None,
    transient: dict[str, Any] | None = None,
    display_id: str | bool | None = None,
    raw: bool = False,
    clear: bool = False,
    **_: Any,
) -> DisplayHandle | None:
    """Show objects; with a display_id they can be updated, by the handle that is returned."""
    shell = require_shell()
    if clear:
        shell.recorder.clear(wait=True)
    if display_id is True:
        display_id = shell.next_display_id()
    name = display_id or (transient or {}).get("display_id") or None
    for thing in things:
        _show(thing, include=include, exclude=exclude, metadata=metadata, raw=raw, name=name, is_update=False)
    return DisplayHandle(str(name)) if name else None


def update_display(thing: Any, *, display_id: str, **how: Any) -> None:
    """Show something in the place of what was shown under a name."""
    options = {key: how.get(key) for key in ("include", "exclude", "metadata")}
    _show(thing, **options, raw=bool(how.get("raw")), name=display_id, is_update=True)


def clear_output(wait: bool = False) -> None:
    """Forget what the cell has shown so far."""
    require_shell().recorder.clear(wait=wait)


def publish_display_data(
    data: dict[str, Any], metadata: dict[str, Any] | None = None, *, transient: dict[str, Any] | None = None, **_: Any
) -> None:
    """Show media as they are."""
    name = (transient or {}).get("display_id")
    _show(data, include=None, exclude=None, metadata=metadata, raw=True, name=name, is_update=False)


def _show(
    thing: Any, *, include: Any, exclude: Any, metadata: Any, raw: bool, name: str | None, is_update: bool
) -> None:
    shell = require_shell()
    if raw:
        data, more = shell.display_formatter.checked(dict(thing), dict(metadata or {}))
    else:
        shows_itself = real_method(thing, "_ipython_display_")
        if shows_itself is not None:
            shows_itself()
            return
        data, more = shell.display_formatter.format(thing, include, exclude)
        data, more = shell.display_formatter.checked(data, more | dict(metadata or {}))
    if not data:
        return
    if is_update:
        shell.recorder.update(str(name), data, more)
        shell.has_updated = True
    else:
        shell.recorder.show(data, more, display_id=None if name is None else str(name))


class DisplayHandle:
    """Something that was shown and can be replaced."""

    def __init__(self, display_id: str | None = None) -> None:
        self.display_id = display_id or require_shell().next_display_id()

    def display(self, thing: Any, **how: Any) -> None:
        """Show something under this name."""
        display(thing, display_id=self.display_id, **how)

    def update(self, thing: Any, **how: Any) -> None:
        """Replace what was shown."""
        update_display(thing, display_id=self.display_id, **how)

    def __repr__(self) -> str:
        return f"<DisplayHandle display_id={self.display_id}>"


class DisplayObject:
    """Content of one media type: given, or read from a file."""

    mime = ""

    def __init__(self, data: Any = None, url: str | None = None, filename: Any = None, metadata: Any = None) -> None:
        if url is not None:
            raise OSError(f"there is no network to fetch {url} over: give the content, or show HTML that links to it")
        if filename is not None:
            data = self._read(Path(filename))
        self.data = data
        self.metadata = metadata or {}

    def _read(self, path: Path) -> Any:
        return path.read_text(encoding="utf-8")

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:  # noqa: ARG002
        return {self.mime: self.data}, {self.mime: self.metadata} if self.metadata else {}

    def __repr__(self) -> str:
        return f"<IPython.core.display.{type(self).__name__} object>"


class Pretty(DisplayObject):
    """Text."""

    mime = "text/plain"


class HTML(DisplayObject):
    """HTML."""

    mime = "text/html"

    def _repr_html_(self) -> Any:
        return self.data

    def __html__(self) -> Any:
        """Return the HTML, as templates ask for it."""
        return self.data


class Markdown(DisplayObject):
    """Markdown."""

    mime = "text/markdown"


class Latex(DisplayObject):
    """LaTeX, with its own delimiters."""

    mime = "text/latex"


class Math(Latex):
    """A formula, without delimiters."""

    def __init__(self, data: Any = None, **given: Any) -> None:
        super().__init__(data, **given)
        self.data = f"$\\displaystyle {str(self.data).strip('$')}$"


class SVG(DisplayObject):
    """An SVG picture."""

    mime = "image/svg+xml"


class Javascript(DisplayObject):
    """JavaScript, for whoever opens the notebook; nothing here runs it."""

    mime = "application/javascript"


class JSON(DisplayObject):
    """JSON; a text is read as such."""

    mime = "application/json"

    def __init__(self, data: Any = None, **given: Any) -> None:
        given.pop("expanded", None)
        given.pop("root", None)
        super().__init__(data, **given)
        if isinstance(self.data, str):
            self.data = json.loads(self.data)


class IFrame:
    """A page in a page, by its address; whoever opens the notebook fetches it."""

    def __init__(self, src: str, width: Any, height: Any, **_: Any) -> None:
        self.src, self.width, self.height = src, width, height

    def _repr_html_(self) -> str:
        words = (html.escape(str(word), quote=True) for word in (self.width, self.height, self.src))
        return '<iframe width="{}" height="{}" src="{}" frameborder="0" allowfullscreen></iframe>'.format(*words)


class Image(DisplayObject):
    """A PNG, JPEG or GIF: bytes or a file; of an address only the link is kept."""

    def __init__(
        self,
        data: Any = None,
        url: str | None = None,
        filename: Any = None,
        format: str | None = None,  # noqa: A002  IPython's name
        width: int | None = None,
        height: int | None = None,
        metadata: Any = None,
        alt: str | None = None,
        **_: Any,
    ) -> None:
        if isinstance(data, (str, Path)) and url is None and filename is None:
            url, filename = (str(data), None) if str(data).startswith(("http://", "https://")) else (None, data)
        super().__init__(None if filename is not None else data, None, filename, metadata)
        self.url = url
        self.metadata = {
            **({"width": width} if width else {}),
            **({"height": height} if height else {}),
            **({"alt": alt} if alt else {}),
            **self.metadata,
        }
        content = bytes(self.data or b"")
        found = next((name for start, name in _SIGNATURES.items() if content.startswith(start)), None)
        self.format = (format or found or "png").lower().replace("jpg", "jpeg")
        self.mime = f"image/{self.format}"

    def _read(self, path: Path) -> bytes:
        return path.read_bytes()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
        if self.url is None:
            return super()._repr_mimebundle_(include, exclude)
        words = {"src": self.url, **self.metadata}
        said = " ".join(f'{key}="{html.escape(str(word))}"' for key, word in words.items())
        return {"text/html": f"<img {said}/>"}, {}


NAMES = {
    name: value
    for name, value in list(globals().items())
    if not name.startswith("_") and getattr(value, "__module__", None) == __name__
}
"""What a cell may import."""

__all__ = ["NAMES", "display", "get_ipython"]

"""Objects as media: what `_repr_html_` and its like give, or what was registered for their type.

Source: https://ipython.readthedocs.io/en/stable/config/integrating.html
"""

from __future__ import annotations

import base64
import json
import pprint
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, ClassVar

Print = Callable[..., Any]
Complain = Callable[[BaseException], None]
"""Told of what a method of somebody's class raised; the object is shown without it."""
Bundle = tuple[dict[str, Any], dict[str, Any]]
"""Media type -> content, media type -> metadata."""

PLAIN = "text/plain"
_METHODS = {
    "text/html": "_repr_html_",
    "text/markdown": "_repr_markdown_",
    "image/svg+xml": "_repr_svg_",
    "image/png": "_repr_png_",
    "application/pdf": "_repr_pdf_",
    "image/jpeg": "_repr_jpeg_",
    "text/latex": "_repr_latex_",
    "application/json": "_repr_json_",
    "application/javascript": "_repr_javascript_",
}
_CANARY = "_ipython_canary_method_should_not_exist_"
"""An object that has this has every attribute one asks for. The name is IPython's, which some classes know."""


class _Printer(pprint.PrettyPrinter):
    """Containers over several lines, all else as repr gives it, texts too."""

    _dispatch: ClassVar[dict[Any, Any]] = {
        key: method
        for key, method in vars(pprint.PrettyPrinter)["_dispatch"].items()
        if key not in (str.__repr__, bytes.__repr__)
    }


_printer = _Printer(width=79, sort_dicts=False)


def plain_text(thing: Any) -> str:
    """Return an object as text: built-in containers laid out, all else by its repr."""
    if type(thing) in (list, tuple, dict, set, frozenset):
        return _printer.pformat(thing)
    return repr(thing)


class Formatter:
    """How objects are shown as one media type."""

    def __init__(self, method: str, otherwise: Print | None = None) -> None:
        self._method = method
        self._otherwise = otherwise
        self.type_printers: dict[type, Print] = {}
        self._by_name: dict[tuple[str, str], Print] = {}
        self.enabled = True

    def for_type(self, kind: type | str, function: Print | None = None) -> Print | None:
        """Register how a type is shown, and return how it was before; a text names `module.Type`."""
        if isinstance(kind, str):
            module, _, name = kind.rpartition(".")
            return self.for_type_by_name(module, name, function)
        before = self.type_printers.get(kind)
        if function is not None:
            self.type_printers[kind] = function
        return before

    def for_type_by_name(self, module: str, name: str, function: Print | None = None) -> Print | None:
        """Do the same for a type that need not be loaded yet."""
        before = self._by_name.get((module, name))
        if function is not None:
            self._by_name[module, name] = function
        return before

    def pop(self, kind: type, default: Any = None) -> Any:
        """Forget how a type is shown."""
        return self.type_printers.pop(kind, default)

    def __call__(self, thing: Any) -> Any:
        """Return the content, None if the object has none of this type."""
        if not self.enabled:
            return None
        found = self._registered(type(thing))
        if found is not None:
            return self._printed(found, thing)
        method = real_method(thing, self._method)
        if method is not None:
            return method()
        return None if self._otherwise is None else self._otherwise(thing)

    def _registered(self, kind: type) -> Print | None:
        for base in kind.__mro__:
            found = self.type_printers.get(base) or self._by_name.get((base.__module__, base.__name__))
            if found is not None:
                return found
        return None

    def _printed(self, function: Print, thing: Any) -> Any:
        return function(thing)


class PlainFormatter(Formatter):
    """Objects as text. What is registered here writes on a page, as for IPython's printer."""

    def __init__(self) -> None:
        super().__init__("", plain_text)

    def _printed(self, function: Callable[..., Any], thing: Any) -> str:
        pieces: list[str] = []
        function(thing, SimpleNamespace(text=pieces.append, pretty=lambda part: pieces.append(repr(part))), False)
        return "".join(pieces)


class DisplayFormatter:
    """All media types that objects are asked for."""

    def __init__(self, complain: Complain) -> None:
        self._complain = complain
        self.formatters = {mime: Formatter(method) for mime, method in _METHODS.items()}
        self.formatters[PLAIN] = PlainFormatter()

    def format(self, thing: Any, include: Any = None, exclude: Any = None) -> Bundle:
        """Return an object as media; include, exclude: media types."""
        data, metadata = self._bundle(thing, include, exclude)
        for mime, given in self._contents(thing, include, {*(exclude or ()), *data}):
            content, more = given if isinstance(given, tuple) and len(given) == 2 else (given, None)
            if content is not None:
                data[mime] = content
            if more:
                metadata[mime] = more
        return self.checked(data, metadata)

    def checked(self, data: dict[str, Any], metadata: dict[str, Any]) -> Bundle:
        """Return what of media can be written into a notebook: bytes as base64, no NaN in JSON, all else as text."""
        fit = {}
        for mime, content in data.items():
            try:
                fit[str(mime)] = _fit(str(mime), content)
            except (TypeError, ValueError, RecursionError) as error:
                self._complain(error)
        try:
            return fit, json.loads(
                json.dumps({key: value for key, value in metadata.items() if value}, allow_nan=False)
            )
        except (TypeError, ValueError, RecursionError) as error:
            self._complain(error)
            return fit, {}

    def _contents(self, thing: Any, include: Any, exclude: Any) -> Iterator[tuple[str, Any]]:
        for mime, formatter in self.formatters.items():
            if (include and mime not in include) or mime in exclude:
                continue
            try:
                yield mime, formatter(thing)
            except (MemoryError, RecursionError):
                raise
            except Exception as error:
                self._complain(error)

    def _bundle(self, thing: Any, include: Any, exclude: Any) -> Bundle:
        method = real_method(thing, "_repr_mimebundle_")
        if method is None:
            return {}, {}
        try:
            found = method(include=include, exclude=exclude)
        except (MemoryError, RecursionError):
            raise
        except Exception as error:
            self._complain(error)
            return {}, {}
        data, metadata = found if isinstance(found, tuple) and len(found) == 2 else (found, {})
        wanted = {
            mime: content
            for mime, content in (data or {}).items()
            if content is not None and not (include and mime not in include) and not (exclude and mime in exclude)
        }
        return wanted, dict(metadata or {})


def real_method(thing: Any, name: str) -> Callable[..., Any] | None:
    """Return a method, None where there is none, or where the object has a method of any name."""
    if isinstance(thing, type) or not name:
        return None
    try:
        if callable(getattr(thing, _CANARY, None)):
            return None
        method = getattr(thing, name, None)
    except Exception:
        return None
    return method if callable(method) else None


def _fit(mime: str, content: Any) -> Any:
    if mime == "application/json" or (mime.startswith("application/") and mime.endswith("+json")):
        return json.loads(json.dumps(content, allow_nan=False))
    if isinstance(content, (bytes, bytearray, memoryview)):
        return base64.b64encode(content).decode("ascii")
    if isinstance(content, (list, tuple)) and all(isinstance(line, str) for line in content):
        return "".join(content)
    if not isinstance(content, str):
        raise TypeError(f"{mime} is given as {type(content).__name__}: text or bytes are wanted")
    return str.__str__(content)

"""The text of a flow file, read as a small part of YAML: mappings, lists and texts, each with its place.

Left out is what makes YAML read otherwise than it looks: no anchors and aliases (a few lines can stand for gigabytes),
no tags (a type is no matter of the file), no second document, no merge keys, no key twice. A plain scalar is a text
here; what it means is for whoever knows which field it is of, so `no` is no boolean and `1_000` no number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import yaml

from storage.errors import UserError

MAX_BYTES: Final = 1 << 20
"""Of a file: some 10,000 steps. A pure Python parser reads it in about 10 s."""
MAX_NODES: Final = 200_000
MAX_DEPTH: Final = 32
"""Mappings and lists inside one another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A place in a file."""

    file: str
    """As the user calls it."""
    line: int
    """From 1, like `column`, which counts characters."""
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextNode:
    """A scalar."""

    text: str
    is_plain: bool
    """Written without quotes, and not as a block."""
    at: Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class ListNode:
    """A sequence."""

    items: tuple[Node, ...]
    at: Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class MapNode:
    """A mapping; keys are texts, none of them twice."""

    entries: tuple[tuple[TextNode, Node], ...]
    at: Mark


Node: TypeAlias = TextNode | ListNode | MapNode


def refused(at: Mark, problem: str, fix: str) -> UserError:
    """Return the error for what stands at a place."""
    return UserError(problem, where=str(at), fix=fix)


def read_yaml(content: bytes, file: str) -> Node:
    """Return what a file says.

    file: what the user calls it, for errors.

    Raises:
        UserError: too large, not UTF-8, no YAML, or not of the part that is read here; names line and column.
    """
    if len(content) > MAX_BYTES:
        fix = "split the flow, or let a step map over a directory"
        raise UserError(f"has {len(content)} bytes, at most {MAX_BYTES} are read", where=file, fix=fix)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"is not UTF-8 text, from byte {error.start} on", where=file, fix="save it as UTF-8") from error
    try:
        return _Reader(yaml.parse(text, Loader=yaml.SafeLoader), file).document()
    except yaml.MarkedYAMLError as error:
        at = _mark(file, error.problem_mark or error.context_mark)
        said = ", ".join(part for part in (error.context, error.problem) if part)
        raise refused(at, f"is no YAML: {said}", "correct the line") from error
    except yaml.YAMLError as error:  # of the reader of characters: its message has several lines
        said = str(error).splitlines()[0]
        raise UserError(f"is no YAML: {said}", where=file, fix="leave the character out") from error


class _Reader:
    """Makes nodes of the parser's events, one after the other."""

    def __init__(self, events: Iterator[Any], file: str) -> None:
        self._events = events
        self._file = file
        self._nodes = 0

    def document(self) -> Node:
        next(self._events)  # the stream's start
        event = next(self._events)
        if isinstance(event, yaml.StreamEndEvent):
            raise UserError("is empty", where=self._file, fix="begin it with 'flow: 1'")
        node = self._node(next(self._events), 0)
        next(self._events)  # the document's end
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise refused(self._at(after), "begins a second document", "keep one flow in a file")
        return node

    def _node(self, event: Any, depth: int) -> Node:
        at = self._at(event)
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise refused(at, f"has more than {MAX_NODES} values", "split the flow")
        if depth > MAX_DEPTH:
            raise refused(at, f"is more than {MAX_DEPTH} levels deep", "write it flatter")
        if isinstance(event, yaml.AliasEvent):
            raise refused(at, f"has the alias *{event.anchor}", "write the value out")
        if event.anchor is not None:
            raise refused(at, f"has the anchor &{event.anchor}", "write the value out where it is needed")
        if event.tag is not None:
            raise refused(at, f"has the tag {event.tag}", "leave it out: what a value is, its key says")
        if isinstance(event, yaml.ScalarEvent):
            return TextNode(text=event.value, is_plain=event.style is None, at=at)
        if isinstance(event, yaml.SequenceStartEvent):
            return ListNode(items=tuple(self._items(depth)), at=at)
        return MapNode(entries=tuple(self._entries(depth)), at=at)

    def _items(self, depth: int) -> Iterator[Node]:
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            yield self._node(event, depth + 1)

    def _entries(self, depth: int) -> Iterator[tuple[TextNode, Node]]:
        seen: dict[str, Mark] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._node(event, depth + 1)
            if not isinstance(key, TextNode):
                raise refused(key.at, "is a key that is no text", "write 'name: value'")
            if key.text == "<<" and key.is_plain:
                raise refused(key.at, "merges mappings", "write the keys out")
            if key.text in seen:
                raise refused(
                    key.at, f"has {key.text!r} a second time, first in line {seen[key.text].line}", "keep one of them"
                )
            seen[key.text] = key.at
            yield key, self._node(next(self._events), depth + 1)

    def _at(self, event: Any) -> Mark:
        return _mark(self._file, event.start_mark)


def _mark(file: str, mark: Any) -> Mark:
    return (
        Mark(file=file, line=1, column=1)
        if mark is None
        else Mark(file=file, line=mark.line + 1, column=mark.column + 1)
    )

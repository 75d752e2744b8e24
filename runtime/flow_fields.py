"""The fields of a flow file's mappings, and values in them; errors name line and column."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from runtime import arguments
from runtime.flow_text import fill_value, is_parameter
from runtime.flow_yaml import ListNode, MapNode, Mark, Node, TextNode, refused
from storage.errors import UserError


class Fields:
    """The fields of a mapping; which there may be is known."""

    def __init__(self, node: Node, what: str, known: tuple[str, ...]) -> None:
        if not isinstance(node, MapNode):
            raise refused(node.at, f"{what} is a mapping", f"write it with keys: {', '.join(known)}")
        self._node = node
        self._keys = {key.text: key for key, _ in node.entries}
        self._values = {key.text: value for key, value in node.entries}
        for key in self._keys.values():
            if key.text not in known:
                close = difflib.get_close_matches(key.text, known, 1)
                fix = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(known)}"
                raise refused(key.at, f"{what} has no {key.text!r}", fix)

    def get(self, name: str) -> Node | None:
        """Return a field's value, None if it is not there."""
        return self._values.get(name)

    def at(self, name: str) -> Mark:
        """Return where a field's value is, or the whole mapping if it has no such field."""
        return self._values[name].at if name in self._values else self._node.at

    def text(self, name: str) -> str | None:
        """Return a field's text, None if it is not there."""
        node = self.get(name)
        if node is None:
            return None
        if not isinstance(node, TextNode):
            raise refused(node.at, f"{name} is a text", "write it on one line, or as a block after '|'")
        if not node.text:
            raise refused(node.at, f"{name} is empty", "write something, or leave it out")
        return node.text


def entries(node: Node | None, what: str) -> Iterator[tuple[TextNode, Node]]:
    """Return keys and values of a mapping; none if it is not there."""
    if node is None:
        return iter(())
    if not isinstance(node, MapNode):
        raise refused(node.at, f"{what} is a mapping", "write name: value")
    return iter(node.entries)


def json_value(node: Node, values: Mapping[str, Any]) -> Any:
    """Return a value as `--arg` reads it: what stands without quotes is JSON, or a bare word."""
    if isinstance(node, ListNode):
        return [json_value(item, values) for item in node.items]
    if isinstance(node, MapNode):
        return {key.text: json_value(item, values) for key, item in node.entries}
    value = fill_value(node.text, values, node.at)
    if not node.is_plain or is_parameter(node.text):
        return value
    with told_at(node.at, "--arg", "args"):
        return arguments.parse_args([f"value={value}"])["value"]


def whole_number(value: Any) -> int | None:
    """Return a whole number, None for anything else."""
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


@contextmanager
def told_at(at: Mark, flag: str, field: str) -> Iterator[None]:
    """Say where it was written, and what is called a flag elsewhere is a field here."""
    try:
        yield
    except UserError as error:
        problem = f"{error.where.replace(flag, field)}: {error.problem}"
        raise UserError(problem, where=str(at), fix=error.fix) from error

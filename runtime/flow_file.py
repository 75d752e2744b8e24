"""A flow file, read: docs/flows.md. Every error names line and column; nothing of the world is looked at.

flow: 1                                     the version of this format
args: {top: 10, texts: null}                parameters with their defaults; null: has to be given
steps:
  count:
    function: ./count                       as `bacalhau run python` takes it, beside the file
    map: {over: ./texts, glob: '/**/*.txt', batch: 100}
  total:
    function: ./total
    reduce: {over: '${count}', glob: '/shards/*/result', batch: 100}
    args: {top: '${args.top}'}
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from runtime import arguments
from runtime.flow_fields import Fields, entries, json_value, told_at, whole_number
from runtime.flow_text import anchored, fill, fill_value, read_content
from runtime.flow_types import (
    APPLIED,
    MAX_ENTRIES,
    MAX_STEPS,
    Content,
    Flow,
    Literal,
    Reference,
    Split,
    Step,
    StepKind,
    Tree,
    is_step_name,
    what_is_wrong,
)
from runtime.flow_yaml import ListNode, MapNode, Node, TextNode, read_yaml, refused
from runtime.input_draft import draft_input
from runtime.mounts import check_places
from runtime.request import Request
from runtime.shard_pattern import parse_pattern
from runtime.shard_tokens import FLAG
from runtime.shards import MAX_BATCH
from storage.counting import counted
from storage.errors import UserError

VERSION: Final = "1"
_PARTS: Final = ("flow", "args", "steps")
_NUMBERS: Final = ("epoch", "fuel", "timeout")
_TEXTS: Final = ("entry", "seed", "memory")
_FIELDS: Final = (
    *APPLIED, "arguments", "requirements", "data", "map", "reduce", "volumes", "outputs", "args", "env",
    *_TEXTS, *_NUMBERS,
)  # fmt: skip
_FLAGS: Final = {
    "--arg": "args", "-e": "env", "-o": "outputs", "-v": "volumes", "--seed": "seed", "--epoch": "epoch",
    "--fuel": "fuel", "--memory": "memory", "--timeout": "timeout",
}  # fmt: skip
"""Which field says what a flag of `run python` says."""


def read_flow(content: bytes, file: str, folder: Path, given: Mapping[str, Any]) -> Flow:
    """Return the flow of a file.

    file: what the user calls it; folder: what relative paths begin in; given: parameters by name.

    Raises:
        UserError: something in it is wrong, or a parameter is unknown or missing.
    """
    parts = Fields(read_yaml(content, file), "a flow", _PARTS)
    version = parts.text("flow")
    if version != VERSION:
        fix = f"begin the file with 'flow: {VERSION}'"
        raise refused(parts.at("flow"), "has no version" if version is None else f"is of version {version!r}", fix)
    values = _parameters(parts, given, file)
    found = parts.get("steps")
    if not isinstance(found, MapNode) or not found.entries:
        raise refused(parts.at("steps"), "has no steps", "write them below 'steps:', each with its name")
    if len(found.entries) > MAX_STEPS:
        raise refused(
            found.at, f"has {counted(len(found.entries), 'step')}, at most {MAX_STEPS} are read", "map over a directory"
        )
    steps = tuple(_StepReader(key, node, values, folder).step() for key, node in found.entries)
    return Flow(name=file, steps=steps)


def _parameters(parts: Fields, given: Mapping[str, Any], file: str) -> dict[str, Any]:
    declared = parts.get("args")
    values: dict[str, Any] = {}
    for key, node in entries(declared, "args"):
        if not key.text.isidentifier():
            raise refused(key.at, f"{key.text!r} is no name of a parameter", "use letters, digits and '_'")
        values[key.text] = given.get(key.text, json_value(node, {}))
        if values[key.text] is None:
            raise UserError("has to be given", where=f"--arg {key.text}", fix=f"see {key.at}")
    unknown = next((name for name in given if name not in values), None)
    if unknown is not None:
        fix = f"it has: {', '.join(values)}" if values else "declare it under 'args'"
        raise UserError(f"{file} has no such parameter", where=f"--arg {unknown}", fix=fix)
    return values


class _StepReader:
    """Reads one step."""

    def __init__(self, key: TextNode, node: Node, values: Mapping[str, Any], folder: Path) -> None:
        if not is_step_name(key.text):
            fix = "use up to 64 letters, digits, '_' and '-'; 'args' is for parameters"
            raise refused(key.at, f"{key.text!r} is no name of a step", fix)
        self._name, self._at = key.text, key.at
        self._fields = Fields(node, f"step {key.text}", _FIELDS)
        self._values, self._folder = values, folder

    def step(self) -> Step:
        kind, data, split = self._data()
        volumes = self._volumes()
        request = self._request()
        with self._told():
            outputs = [output.path for output in draft_input(request, [path for path, _ in volumes]).outputs]
            check_places([path for path, _ in volumes], data=None, outputs=outputs)
        return Step(
            name=self._name, kind=kind, request=request, data=data, split=split, volumes=volumes, at=str(self._at)
        )

    def _request(self) -> Request:
        fields = self._fields
        if (wrong := what_is_wrong([name for name in _FIELDS if fields.get(name) is not None])) is not None:
            raise refused(self._at, f"step {self._name} {wrong[0]}", wrong[1])
        function, code, module = (fields.text(name) for name in APPLIED)
        requirements = fields.text("requirements")
        more: dict[str, Any] = {name: value for name in _TEXTS if (value := self._filled(name)) is not None}
        more |= {name: number for name in _NUMBERS if (number := self._number(name)) is not None}
        if "timeout" in more:
            more["timeout_s"] = float(more.pop("timeout"))
        return Request(
            function=None if function is None else self._folder / function,
            code=code,
            module=None if module is None else self._anchored(module),
            arguments=tuple(self._arguments()),
            requirements=None if requirements is None else self._folder / requirements,
            args=tuple(f"{key.text}={json.dumps(json_value(node, self._values))}" for key, node in self._map("args")),
            env=tuple(f"{key.text}={self._filled_node(node)}" for key, node in self._map("env")),
            outputs=tuple(f"{key.text}:{self._filled_node(node)}" for key, node in self._map("outputs")),
            **more,
        )

    def _data(self) -> tuple[StepKind, Content | None, Split | None]:
        given = [name for name in ("data", "map", "reduce") if self._fields.get(name) is not None]
        if len(given) > 1:
            raise refused(self._fields.at(given[1]), f"step {self._name} has {' and '.join(given)}", "keep one of them")
        if not given:
            return StepKind.ONE, None, None
        node = self._fields.get(given[0])
        assert node is not None  # noqa: S101  it is in `given`
        if given[0] == "data":
            return StepKind.ONE, self._content(node), None
        return StepKind(given[0]), *self._split(node, StepKind(given[0]))

    def _split(self, node: Node, kind: StepKind) -> tuple[Literal | Reference, Split]:
        fields = Fields(node, kind.value, ("over", "glob", "batch"))
        over, glob, batch = fields.get("over"), fields.text("glob"), fields.text("batch")
        if over is None or glob is None:
            missing = "over" if over is None else "glob"
            raise refused(node.at, f"{kind.value} has no {missing!r}", "write over: CONTENT and glob: '/**/*.txt'")
        with told_at(fields.at("glob"), FLAG, "glob"):
            pattern = parse_pattern(fill(glob, self._values, fields.at("glob")))
        least, default = (2, MAX_BATCH) if kind is StepKind.REDUCE else (1, 1)
        size = default if batch is None else whole_number(fill_value(batch, self._values, fields.at("batch")))
        if size is None or not least <= size <= MAX_BATCH:
            raise refused(fields.at("batch"), f"batch is {batch}", f"write a number from {least} to {MAX_BATCH}")
        return self._named(over), Split(pattern=pattern, batch=size)

    def _content(self, node: Node) -> Content:
        if isinstance(node, ListNode):
            raise refused(node.at, "is a list", "write a mapping of path: content to put a directory together")
        if isinstance(node, TextNode):
            return self._named(node)
        if not 0 < len(node.entries) <= MAX_ENTRIES:
            fix = f"put 1 to {MAX_ENTRIES} contents together"
            raise refused(node.at, f"has {counted(len(node.entries), 'content')}", fix)
        return Tree(entries=tuple((key.text, self._named(content)) for key, content in node.entries), at=str(node.at))

    def _named(self, node: Node) -> Literal | Reference:
        if not isinstance(node, TextNode):
            raise refused(node.at, "is no content", "name a file, a directory, a CID, a URL or ${step/result}")
        return read_content(node.text, self._values, node.at, self._folder)

    def _volumes(self) -> tuple[tuple[str, Literal | Reference], ...]:
        found = []
        for key, node in self._map("volumes"):
            with told_at(key.at, "-v", "volumes"):
                path = arguments.check_guest_path(key.text, "-v")
            found.append((path, self._named(node)))
        return tuple(found)

    def _map(self, name: str) -> Iterator[tuple[TextNode, Node]]:
        return entries(self._fields.get(name), name)

    def _arguments(self) -> Iterator[str]:
        node = self._fields.get("arguments")
        if node is None:
            return
        if not isinstance(node, ListNode):
            raise refused(node.at, "arguments is a list", "write [one, two], or a line with '- one' for each")
        yield from (self._filled_node(item) for item in node.items)

    def _anchored(self, module: str) -> str:
        try:
            return anchored(module, self._folder)
        except UserError as error:
            raise refused(self._fields.at("module"), f"{error.where}: {error.problem}", error.fix) from error

    def _filled(self, name: str) -> str | None:
        text = self._fields.text(name)
        return None if text is None else fill(text, self._values, self._fields.at(name))

    def _filled_node(self, node: Node) -> str:
        if not isinstance(node, TextNode):
            raise refused(node.at, "is no text", "write it on one line")
        return fill(node.text, self._values, node.at)

    def _number(self, name: str) -> int | None:
        text = self._fields.text(name)
        if text is None:
            return None
        value = whole_number(fill_value(text, self._values, self._fields.at(name)))
        if value is None:
            raise refused(self._fields.at(name), f"{name} is {text!r}", "write a whole number")
        return value

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Say where the text of a flag was written."""
        try:
            yield
        except UserError as error:
            field = _FLAGS.get(error.where.split(" ", 1)[0], "")
            at = self._fields.at(field) if field else self._at
            problem = f"step {self._name}: {error.where}: {error.problem}"
            raise UserError(problem, where=str(at), fix=error.fix) from error

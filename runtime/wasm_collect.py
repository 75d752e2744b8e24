"""What a run leaves in its output directories, as entries of y: by the rules of js_host/collect.mjs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from runtime.wasi_nodes import MAX_NAME_BYTES, Directory, Node, OwnFile, Symlink
from runtime.wasm_streams import OutputExceededError, OutputMeter

MAX_ENTRIES: Final = 100_000
MAX_DEPTH: Final = 100
"""Names of a path below y."""


@dataclass(frozen=True, slots=True)
class Collected:
    """One entry, by its path below y."""

    path: str
    content: bytearray | None = None
    """Of a file."""
    target: str | None = None
    """Of a link. Neither: a directory."""


def collect(outputs: Iterable[tuple[str, Node]], meter: OutputMeter) -> list[Collected]:
    """Return what is in output directories, depth first, names by their UTF-8 bytes.

    outputs: by name. Links that lead out of their output are left out.

    Raises:
        OutputExceededError: more than may be put out; a name that is too long, or too many of them.
    """
    found: list[Collected] = []
    for name, node in outputs:
        for entry in _entries(f"outputs/{name}", node):
            size = len(entry.content or b"") + len((entry.target or "").encode())
            if len(found) >= MAX_ENTRIES or meter.take(size) < size:
                raise OutputExceededError
            found.append(entry)
    return found


def _entries(root: str, node: Node) -> Iterator[Collected]:
    left = [(root, node)]
    while left:
        path, node = left.pop()
        names = path.split("/")
        if len(names) > MAX_DEPTH or len(names[-1].encode()) > MAX_NAME_BYTES:
            raise OutputExceededError
        if isinstance(node, Directory):
            yield Collected(path)
            children = ((name, node.get(name)) for name in reversed(node.names()))
            left += [(f"{path}/{name}", child) for name, child in children if child is not None]
        elif isinstance(node, OwnFile):
            yield Collected(path, content=node.content)
        elif isinstance(node, Symlink) and stays_inside(path, node.target.decode()):
            yield Collected(path, target=node.target.decode())


def stays_inside(path: str, target: str) -> bool:
    """Tell whether a link leads to a place in its own output: `..` may stand at the beginning only."""
    parts = target.split("/")
    ups = next((number for number, part in enumerate(parts) if part != ".."), len(parts))
    is_relative = target != "" and not target.startswith("/")
    return is_relative and ups <= len(path.split("/")) - 3 and ".." not in parts[ups:]

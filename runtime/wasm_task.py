"""What a run of a module is given, and what comes of it: values that the worker reads and makes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from runtime.wasi_inputs import Entry
from runtime.wasm_collect import Collected


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One thing that was handed over."""

    path: str
    entry: Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class WasmTask:
    """What a run is given: everything that it may depend on."""

    arguments: tuple[str, ...]
    """Behind the program's name."""
    environment: tuple[str, ...]
    """`K=V`, sorted."""
    stdin: Entry | None
    """A file."""
    mounts: tuple[Mount, ...]
    outputs: tuple[tuple[str, str], ...]
    """Name and guest path, by name."""
    epoch_s: int
    fuel: int | None
    memory_bytes: int
    output_bytes: int

    @classmethod
    def read(cls, node: Mapping[str, Any]) -> Self:
        """Read what `wasm_frames.task_text` has written."""
        return cls(
            arguments=tuple(node["arguments"]),
            environment=tuple(node["environment"]),
            stdin=None if node["stdin"] is None else read_entry(node["stdin"]),
            mounts=tuple(Mount(path=one["path"], entry=read_entry(one)) for one in node["mounts"]),
            outputs=tuple((one["name"], one["path"]) for one in node["outputs"]),
            epoch_s=node["epoch"],
            fuel=node["fuel"],
            memory_bytes=node["memory"],
            output_bytes=node["output"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a run."""

    exit_code: int
    stdout: bytearray
    stderr: bytearray
    outputs: tuple[Collected, ...]
    fuel: int
    state_digest: str


def read_entry(node: Mapping[str, Any]) -> Entry:
    """Return an entry as the parent writes it."""
    return Entry(kind=node["kind"], size=node["size"], handle=node["handle"], target=node.get("target"))

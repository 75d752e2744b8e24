"""What is computed: function, lock, runtime, input, task. Import these from `verifier.model`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from verifier.bounds import (
    AbsolutePath,
    Amount,
    Count,
    Environment,
    Epoch,
    FileName,
    Hex32,
    Identifier,
    JsonMap,
    Link,
    ProjectName,
    RelativePath,
    Seed,
    Word,
    sorted_by,
)
from verifier.schema import Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Function(Schema):
    """f: what is computed."""

    VERSION: ClassVar[str] = "function/1"

    source: Link
    """UnixFS directory that holds `function.py`."""
    entry: Identifier | None
    """Name of the entry point; None for a script, whose output is what it prints."""
    lock: Link
    runtime: Link


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel(Schema):
    """One locked package."""

    name: ProjectName
    """Normalised as PEP 503 says."""
    version: Word
    file_name: FileName
    sha256: Hex32
    """Of the whole file, as package indexes give it."""
    wheel: Link
    """The same bytes as a UnixFS file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock(Schema):
    """The exact packages of a function, its requirements and everything they require."""

    VERSION: ClassVar[str] = "lock/1"

    python: Word
    """Version of the guest's Python, such as `3.14`."""
    platform: Word
    """Wheel platform tag, such as `pyemscripten_2026_0_wasm32`."""
    wheels: Annotated[tuple[Wheel, ...], sorted_by("name")]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeFile(Schema):
    """One file of the prepared runtime."""

    path: RelativePath
    size: Count
    """Bytes."""
    cid: Link
    """UnixFS file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime(Schema):
    """Manifest of a prepared runtime: everything but the function that can change an output."""

    VERSION: ClassVar[str] = "runtime/1"

    profile: Word
    """Determinism profile, such as `pyodide-1`."""
    pyodide: Word
    """Version of Pyodide."""
    files: Annotated[tuple[RuntimeFile, ...], sorted_by("path")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume(Schema):
    """A further input, mounted read-only."""

    path: AbsolutePath
    cid: Link


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputMount(Schema):
    """A guest directory that is collected as `outputs/<name>`."""

    name: FileName
    path: AbsolutePath


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits(Schema):
    """Bounds of one execution; counted, not timed."""

    fuel: Amount | None
    """None: not bounded by fuel."""
    memory: Amount
    """Bytes of linear memory."""
    output: Amount
    """Bytes of result, stdout, stderr and outputs together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Input(Schema):
    """x: everything that the function is applied to."""

    VERSION: ClassVar[str] = "input/1"

    data: Link | None
    """UnixFS file or directory; None is an empty file."""
    volumes: Annotated[tuple[Volume, ...], sorted_by("path")]
    outputs: Annotated[tuple[OutputMount, ...], sorted_by("name")]
    args: JsonMap
    env: Environment
    seed: Seed | None
    """Hex; None: derived from the task's CID."""
    epoch: Epoch
    limits: Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(Schema):
    """{f, x}: its CID is known before anything runs, and is the key of everything that follows."""

    VERSION: ClassVar[str] = "task/1"

    function: Link
    input: Link

"""What a function of the Python API is run with: the options of `bacalhau.function`, checked when it is made."""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, TypedDict, cast

from bacalhau.result_value import RETURNS
from bacalhau.verified import Verified, VerifiedPath
from storage.errors import UserError

Data: TypeAlias = bytes | bytearray | memoryview | str | Path | BinaryIO | Verified[Any] | VerifiedPath | None
"""What a call's first argument may be: bytes; a path, CID or URL; an open binary file; another call's result."""


class FunctionOptions(TypedDict, total=False):
    """What a function is run with; as the flags of `bacalhau run python` have it."""

    requirements: Sequence[str] | str | Path
    """Packages, as lines; or a requirements.txt."""
    volumes: Mapping[str, Data]
    """Guest path -> content that is mounted there, read-only."""
    outputs: Mapping[str, str]
    """Name -> guest path that is collected as `outputs/<name>`; `/outputs` always is."""
    env: Mapping[str, str]
    seed: str
    """Hex, 1 to 64 bytes; default: derived from the task."""
    epoch: int
    """When the clock starts, seconds since 1970."""
    fuel: int
    """Instructions it may spend; then it ends with exit code 152."""
    memory: str
    """Such as `1Gb`."""
    timeout_s: float
    """Wall-clock seconds after which a node gives up; such a run is not verified, never an output."""
    trust: float
    """Probability with which an answer is to be right; instead of the counts of the executor (docs/trust.md)."""
    bad_nodes: float
    """With `trust`: share of the nodes that is assumed to be bad."""
    node: bool | str
    """Where calls run, as `bacalhau.Executor` has it: on a node that runs (True), on nodes of this process (False), on
    the node at an address."""
    returns: str
    """How the result is read: `auto`, `bytes`, `text`, `json`; default: by the annotation, `-> str` and `-> bytes`."""


def checked(options: Mapping[str, Any], where: str) -> FunctionOptions:
    """Return options that are all known.

    Raises:
        UserError: one is not.
    """
    known = typing.get_type_hints(FunctionOptions, localns={"Data": Any})
    unknown = [name for name in options if name not in known]
    if unknown:
        raise UserError(f"has no option {unknown[0]!r}", where=where, fix=f"it has {', '.join(sorted(known))}")
    if options.get("returns", "auto") not in RETURNS:
        raise UserError(f"returns={options['returns']!r} is unknown", where=where, fix=f"use {', '.join(RETURNS)}")
    return cast(FunctionOptions, dict(options))


def requirements_text(said: Sequence[str] | str | Path, where: str) -> bytes:
    """Return a requirements.txt.

    Raises:
        UserError: the file cannot be read, or a line is no text.
    """
    if isinstance(said, str | Path):
        try:
            return Path(said).read_bytes()
        except OSError as error:
            fix = 'give a file, or a list of packages: requirements=["pandas"]'
            raise UserError(f"requirements {str(said)!r} cannot be read", where=where, fix=fix) from error
    if not all(isinstance(line, str) for line in said):
        raise UserError("requirements are no texts", where=where, fix='give packages: requirements=["pandas"]')
    return "".join(f"{line}\n" for line in said).encode()

"""One call of `bacalhau.Flow`, read: what every kind of step takes, and what names content."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeAlias, TypedDict

from runtime.flow_text import anchored
from runtime.request import Request
from storage.errors import UserError

_PLAIN: Final = ("code", "entry", "seed", "epoch", "fuel", "memory", "timeout_s")
"""Options that a request has under the same names."""


class StepOptions(TypedDict, total=False):
    """What every kind of step takes; as the flags of `bacalhau run python` have it."""

    name: str
    """Default: the function's, with a number behind it if it is taken."""
    code: str
    """A script, instead of a function."""
    module: str | Path
    """A WebAssembly module, instead of a function: path, CID or URL."""
    arguments: Sequence[str]
    """Of a module."""
    requirements: str | Path
    entry: str
    volumes: Mapping[str, Source]
    """Guest path -> content."""
    outputs: Mapping[str, str]
    """Name -> guest path."""
    args: Mapping[str, Any]
    env: Mapping[str, str]
    seed: str
    epoch: int
    fuel: int
    memory: str
    timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowStep:
    """A step, or something in what it gives: `step / "result"`, `step / "outputs/outputs/x"`."""

    flow: object = field(repr=False)
    """Whose step it is."""
    name: str
    path: str = ""

    def __truediv__(self, path: str) -> FlowStep:
        """Return something in what the step gives.

        Raises:
            UserError: the path is not plain.
        """
        if any(name in ("", ".", "..") for name in path.split("/")):
            raise UserError(f"{path!r} is not a plain path", where=f"step {self.name}", fix="write names joined by '/'")
        return replace(self, path=f"{self.path}/{path}" if self.path else path)


Source: TypeAlias = FlowStep | str | Path
"""Content: what a step gives, or what `-i` takes: a path, a CID, a URL."""


def free_name(function: str | Path | None, taken: Collection[str]) -> str:
    """Return a name for a step: the function's, with a number behind it if it is taken."""
    path = Path(function or "step")
    name = path.stem if path.suffix in (".py", ".wasm") else path.name
    name = re.sub(r"[^A-Za-z0-9_-]", "-", name)[:50].strip("-_") or "step"
    return name if name not in taken else f"{name}-{len(taken) + 1}"


def request_of(where: str, function: str | Path | None, options: StepOptions) -> Request:
    """Return the request of a step; relative paths begin in the present directory."""
    requirements = options.get("requirements")
    try:
        args = tuple(f"{name}={json.dumps(value, allow_nan=False)}" for name, value in options.get("args", {}).items())
    except (TypeError, ValueError) as error:
        raise UserError(f"an argument is no JSON: {error}", where=where, fix="pass it as data") from error
    plain: dict[str, Any] = {key: options[key] for key in _PLAIN if key in options}
    return Request(
        function=None if function is None else Path(function).absolute(),
        requirements=None if requirements is None else Path(requirements).absolute(),
        module=None if "module" not in options else anchored(str(options["module"]), Path.cwd()),
        arguments=tuple(options.get("arguments", ())),
        outputs=tuple(f"{name}:{path}" for name, path in options.get("outputs", {}).items()),
        args=args,
        env=tuple(f"{name}={value}" for name, value in options.get("env", {}).items()),
        **plain,
    )
